"""Late fusion: weighted averages of the scores that several networks gave the same videos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kinema.errors import UserError, one_of
from kinema.evaluation.scores import ScoreTable
from kinema.wording import some_of

AVERAGED = ("logits", "probabilities", "z-scores")
"""What can be asked to be averaged."""
_COMMON = ("protocol", "reverse", "split", "manifest_sha256")
"""What a fused table tells of its parts where they agree."""


def fuse_tables(tables: Sequence[ScoreTable], weights: Sequence[float] = (), *, average: str = "") -> ScoreTable:
    """Average the scores of several tables of one split, such as those of an RGB and a flow network.

    The weights are divided by their sum, which changes no accuracy. Videos and classes may be in another order in each
    table. Two-stream networks are fused like this: "Two-Stream Convolutional Networks for Action Recognition in Videos"
    (arXiv 1406.2199, section 2) averages probabilities; "Towards Good Practices for Very Deep Two-Stream ConvNets"
    (arXiv 1507.02159, section 4) gives flow the weight 2 and RGB 1.

    Args:
        tables: Two or more tables of the same videos and classes.
        weights: One number of at least 0 for each table; equal ones by default.
        average: ``"logits"``, ``"probabilities"`` (a softmax turns logits into them) or ``"z-scores"`` (any kind, each
            table divided by its spread); by default the one kind that all tables hold.

    Returns:
        A table in the order of the first one; clips are not judged. ``meta["fused"]`` says what went in.

    Raises:
        UserError: The tables do not fit together, or the weights do not fit the tables.
    """
    fractions = normalised_weights(weights, len(tables))
    return combine(line_up(tables, average=average), fractions)


def line_up(tables: Sequence[ScoreTable], *, average: str = "") -> list[ScoreTable]:
    """Bring tables to the same videos, classes, labels and kind, as a weighted sum needs them; see :func:`fuse_tables`.

    Labels that one table lacks come from another. ``meta["saved_kind"]`` keeps the kind that a table had.

    Raises:
        UserError: The tables do not fit together.
    """
    if average:
        one_of("kind of scores to average", average, AVERAGED)
    else:
        _check_kinds(tables)
    first, labels = tables[0], tables[0].labels
    lined: list[ScoreTable] = []
    for number, table in enumerate(tables, start=1):
        aligned = _aligned(table, first, number)
        labels = _merged_labels(labels, aligned, first, number)
        converted = _converted(aligned, average, number) if average else aligned
        lined.append(replace(converted, clip_hits=None, meta={**table.meta, "saved_kind": table.kind}))
    return [replace(table, labels=labels) for table in lined]


def combine(lined: Sequence[ScoreTable], fractions: Sequence[float]) -> ScoreTable:
    """Weighted sum of tables that :func:`line_up` made; the fractions sum to 1."""
    total = np.zeros(lined[0].scores.shape, np.float64)
    for table, fraction in zip(lined, fractions, strict=True):
        total += fraction * table.scores.astype(np.float64)
    fused = [{"weight": fraction, **table.meta} for table, fraction in zip(lined, fractions, strict=True)]
    first = lined[0]
    return ScoreTable(
        first.ids, total, first.labels, first.kind, first.classes, meta={**_common(lined), "fused": fused}
    )


def normalised_weights(weights: Sequence[float], num_tables: int) -> list[float]:
    """The weights, divided by their sum; equal fractions where none are given.

    Raises:
        UserError: There are fewer than two tables, not as many weights, or weights that are no weights.
    """
    if num_tables < 2:
        raise UserError(f"fusion needs at least two score tables, {num_tables} given.")
    given = [float(weight) for weight in weights] or [1.0] * num_tables
    if len(given) != num_tables:
        raise UserError(f"{num_tables} score tables need as many weights, {len(given)} given.")
    if not all(math.isfinite(weight) and weight >= 0 for weight in given) or sum(given) <= 0:
        raise UserError(f"weights must be finite, at least 0 and not all 0; given {', '.join(map(str, given))}.")
    return [weight / sum(given) for weight in given]


def _check_kinds(tables: Sequence[ScoreTable]) -> None:
    """Refuse to average kinds that have no scale in common."""
    kinds = {table.kind for table in tables}
    if len(kinds) == 1:
        return
    parts = ", ".join(f"{table.kind} ({_name(table, number)})" for number, table in enumerate(tables, 1))
    if kinds == {"logits", "probabilities"}:
        advice = "average probabilities (--average probabilities), which turns logits into them"
    else:
        advice = "average z-scores (--average z-scores), which divides the scores of each table by their spread"
    raise UserError(
        f"the tables hold different kinds of scores: {parts}. Their scales differ, so a weight means nothing; {advice}."
    )


def _converted(table: ScoreTable, wanted: str, number: int) -> ScoreTable:
    """A table as the kind that is averaged."""
    if wanted == "logits" and table.kind == "logits":
        return table
    if wanted == "logits":
        raise UserError(
            f"{_name(table, number)} holds {table.kind}, and the logits they were made of cannot be had from them; "
            "average probabilities or z-scores, or evaluate under a protocol that averages logits."
        )
    try:
        scores = table.probabilities() if wanted == "probabilities" else table.z_scores()
    except UserError as error:
        advice = " Average z-scores (--average z-scores) instead." if wanted == "probabilities" else ""
        raise UserError(f"{_name(table, number)}: {error}{advice}") from None
    return replace(table, scores=scores, kind=wanted)


def _aligned(table: ScoreTable, first: ScoreTable, number: int) -> ScoreTable:
    """Put a table's videos and classes into the order of the first table."""
    name = _name(table, number)
    _same_set(list(table.classes), list(first.classes), f"the classes of {name}")
    _same_set(table.ids.tolist(), first.ids.tolist(), f"the videos of {name}")
    index = {label: column for column, label in enumerate(table.classes)}
    new_index = {label: column for column, label in enumerate(first.classes)}
    columns = [index[label] for label in first.classes]
    moved = replace(
        table,
        scores=table.scores[:, columns],
        labels=np.array([*(new_index[label] for label in table.classes), -1])[table.labels],
        classes=first.classes,
    )
    rows = {video: row for row, video in enumerate(table.ids.tolist())}
    return moved.select([rows[video] for video in first.ids.tolist()])


def _same_set(given: list[str], wanted: list[str], what: str) -> None:
    missing = sorted(set(wanted) - set(given))
    extra = sorted(set(given) - set(wanted))
    if not missing and not extra:
        return
    parts = [f"{len(missing)} are missing ({some_of(missing, 3)})"] if missing else []
    parts += [f"{len(extra)} are only there ({some_of(extra, 3)})"] if extra else []
    raise UserError(f"{what} are not those of the first table: {'; '.join(parts)}. Fuse scores of the same split.")


def _merged_labels(labels: np.ndarray, table: ScoreTable, first: ScoreTable, number: int) -> np.ndarray:
    """Labels known so far, filled up from a table that must not contradict them."""
    clash = (labels >= 0) & (table.labels >= 0) & (labels != table.labels)
    if clash.any():
        raise UserError(
            f"{_name(table, number)} gives {int(clash.sum())} videos another class than the tables before it: "
            f"{some_of(first.ids[clash].tolist(), 3)}."
        )
    return np.where(labels >= 0, labels, table.labels)


def _common(tables: Sequence[ScoreTable]) -> Mapping[str, Any]:
    """What a fused table says of itself: the models together, and what all parts agree on."""
    first = tables[0].meta
    agreed = {key: first[key] for key in _COMMON if key in first and all(t.meta.get(key) == first[key] for t in tables)}
    files = {Path(str(table.meta.get("data", ""))).name for table in tables}  # relative in one, absolute in another
    if len(files) == 1 and "data" in first:
        agreed["data"] = first["data"]
    models = [str(table.meta.get("model") or "") for table in tables]
    return {**agreed, "model": " + ".join(models)} if all(models) else agreed


def _name(table: ScoreTable, number: int) -> str:
    model = table.meta.get("model")
    return f"table {number} ({model})" if model else f"table {number}"
