"""``kinema analyze contributions``: what models of a study owe to single frames, and what time adds."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from kinema.errors import UserError

if TYPE_CHECKING:
    from kinema.study.contributions import Contribution, MeanContribution


def contributions(
    table: Positional[Path],
    *,
    metric: str = "clip_top1",
    protocol: str = "",
    sampling: str = "",
    models: bool = False,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Compute spatial contribution and temporal improvement, as the deep analysis does (arXiv 2010.11757).

    Every model is compared with the frame-wise network (tsn without temporal pooling) of the same backbone, frames
    and data. The means over backbones and lengths are printed for each data set and module.

    Args:
        table: CSV of a study: a row for each model with the columns dataset, module, backbone, temporal_pooling (0 or
            1), frames, and accuracies in percent.
        metric: Column of the accuracy.
        protocol: Of a table with several, the test protocol to look at.
        sampling: Of a table with several, the sampling of frames to look at.
        models: Print every model too.
        plot: Draw the means, as .png, .svg or .pdf.
        json: Print JSON instead of tables.
    """
    if plot is not None and plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UserError(f"--plot is {plot}; its name must end in .png, .svg or .pdf")
    from kinema.study.contributions import contributions as compute
    from kinema.study.contributions import mean_contributions
    from kinema.study.table import StudyTable

    chosen = {name: value for name, value in (("protocol", protocol), ("sampling", sampling)) if value}
    rows = StudyTable.read(table)
    found = compute(rows.select(**chosen) if chosen else rows, metric=metric)
    means = mean_contributions(found)
    if json:
        _print_json(found, means)
    else:
        _print(found if models else (), means, metric)
    if plot is not None:
        from kinema.report.study_plots import plot_contributions

        print(f"plot: {plot_contributions(means, plot, title=f'{metric} of {table.name}')}", file=sys.stderr)


def _print(found: Sequence[Contribution], means: Sequence[MeanContribution], metric: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if found:
        shown = Table(title=f"against the frame-wise network, by {metric}")
        for heading in ("data", "model"):
            shown.add_column(heading, overflow="fold")
        for heading in ("frames", "accuracy", "frame-wise", "spatial", "temporal"):
            shown.add_column(heading, justify="right")
        for one in found:
            accuracy = f"{one.row.results[metric]:.1f}"
            numbers = f"{one.baseline:.1f}", _two_digits(one.spatial), _two_digits(one.temporal)
            shown.add_row(one.row.dataset, one.row.model, str(one.row.frames), accuracy, *numbers)
        console.print(shown)
    shown = Table(title=f"means over backbones and lengths, by {metric}")
    for heading in ("data", "module"):
        shown.add_column(heading, overflow="fold")
    for heading in ("spatial", "temporal", "temporal,\nwith pooling", "models"):
        shown.add_column(heading, justify="right")
    for row in means:
        numbers = map(_two_digits, (row.spatial, row.temporal, row.temporal_pooled))
        shown.add_row(row.dataset, row.module, *numbers, " + ".join(map(str, row.num_models)))
    console.print(shown)


def _two_digits(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _print_json(found: Sequence[Contribution], means: Sequence[MeanContribution]) -> None:
    import dataclasses
    import json

    def known(values: dict[str, Any]) -> dict[str, Any]:
        """JSON knows no nan: what does not exist is null."""
        return {key: None if value != value else value for key, value in values.items()}

    models = [known({"model": one.row.model, **dataclasses.asdict(one)}) for one in found]
    print(json.dumps({"models": models, "means": [known(dataclasses.asdict(row)) for row in means]}))
