"""Spatial contribution and temporal improvement: how much of a model's accuracy frames alone would give.

Source: "Deep Analysis of CNN-based Spatio-temporal Representations for Action Recognition" (arXiv 2010.11757), section
6, equations 1 and 2 and Table 7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kinema.errors import UserError
from kinema.study.table import StudyRow, StudyTable
from kinema.wording import some_of

BASELINE = "tsn"
"""The module without any: its networks without temporal pooling are what the others are measured against."""


@dataclass(frozen=True)
class Contribution:
    """What one model owes to single frames, and what time adds.

    Attributes:
        row: The model.
        baseline: Accuracy of the frame-wise network of the same backbone, frames and data, in percent.
        spatial: Phi: the baseline's accuracy over the better of both, from 0 to 1.
        temporal: Psi: what the model gains over the baseline, as a fraction of what the baseline has wrong; below 0
            where it loses.
    """

    row: StudyRow
    baseline: float
    spatial: float
    temporal: float


@dataclass(frozen=True)
class MeanContribution:
    """The mean over backbones and lengths, a column of the paper's Table 7.

    Attributes:
        dataset: Data set.
        module: Temporal module.
        spatial: Mean Phi of the models without temporal pooling; nan where there are none.
        temporal: Mean Psi of the models without temporal pooling (the paper's "ta"); nan where there are none.
        temporal_pooled: Mean Psi of the models with it ("ta+tp"); nan where there are none.
        num_models: Models without temporal pooling, and with it.
    """

    dataset: str
    module: str
    spatial: float
    temporal: float
    temporal_pooled: float
    num_models: tuple[int, int]


def contributions(table: StudyTable, *, metric: str = "clip_top1") -> list[Contribution]:
    """Compare every model with the frame-wise one of the same backbone, frames and data (equation 1).

    Several seeds of the baseline are averaged; each seed of the others gets its own row.

    Args:
        table: Results of ``tsn`` without temporal pooling, and of whatever is to be compared with it.
        metric: The accuracy, in percent.

    Returns:
        A row for each model but the baselines, in the order of the table.

    Raises:
        UserError: A row has no such accuracy, it is none, or its baseline is missing; or the rows were sampled or
            tested in several ways.
    """
    table.require_metric(metric)
    for row in table:
        if not 0 <= row.results[metric] <= 100:
            raise UserError(f"{table.name}: {metric} of {row} is {row.results[metric]:g}; it must be from 0 to 100 %.")
    for key in ("protocol", "sampling"):
        values = sorted({getattr(row, key) for row in table})
        if len(values) > 1:
            raise UserError(f"{table.name} has results of several {key}s: {', '.join(values)}; choose one (--{key})")
    baselines: dict[tuple[object, ...], list[float]] = {}
    for row in table:
        if _is_baseline(row):
            baselines.setdefault(_setting(row), []).append(row.results[metric])
    compared = [row for row in table if not _is_baseline(row)]
    if not compared:
        raise UserError(
            f"{table.name} has nothing but {BASELINE} without temporal pooling; there is nothing to compare."
        )
    lacking = [str(row) for row in compared if _setting(row) not in baselines]
    if lacking:
        raise UserError(
            f"{table.name} has no {BASELINE} without temporal pooling of the same backbone, frames and data "
            f"as {some_of(lacking, 3)}."
        )
    return [_contribution(row, _mean(baselines[_setting(row)]), row.results[metric]) for row in compared]


def mean_contributions(found: Sequence[Contribution]) -> list[MeanContribution]:
    """Average over backbones, lengths and seeds (equation 2), for each data set and module in order of appearance."""
    cells: dict[tuple[str, str], list[Contribution]] = {}
    for one in found:
        cells.setdefault((one.row.dataset, one.row.module), []).append(one)
    rows = []
    for (dataset, module), members in cells.items():
        plain = [one for one in members if not one.row.temporal_pooling]
        pooled = [one for one in members if one.row.temporal_pooling]
        rows.append(
            MeanContribution(
                dataset,
                module,
                _mean([one.spatial for one in plain]),
                _mean([one.temporal for one in plain]),
                _mean([one.temporal for one in pooled]),
                (len(plain), len(pooled)),
            )
        )
    return rows


def _contribution(row: StudyRow, baseline: float, accuracy: float) -> Contribution:
    best = max(accuracy, baseline)
    room = 100 - baseline
    return Contribution(
        row, baseline, baseline / best if best else math.nan, (accuracy - baseline) / room if room else math.nan
    )


def _is_baseline(row: StudyRow) -> bool:
    return row.module == BASELINE and not row.temporal_pooling and not row.variant


def _setting(row: StudyRow) -> tuple[object, ...]:
    return row.dataset, row.backbone, row.frames


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
