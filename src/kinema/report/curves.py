"""Training curves, read from the ``metrics.csv`` of runs."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kinema.errors import UserError
from kinema.report.style import COLOURS, legend_below, quiet, save


def read_metrics(path: str | Path) -> dict[str, np.ndarray]:
    """Read a run's ``metrics.csv``: column name to one float per epoch, nan where a cell is empty.

    Raises:
        UserError: The file has no rows or holds something that is no number.
    """
    with Path(path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise UserError(f"{path} has no rows yet; it gets one after each epoch.")
    try:
        return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is not a table of numbers: {error}") from None


def plot_training(runs: Mapping[str, str | Path], path: str | Path, *, title: str = "") -> Path:
    """Draw loss and top-1 accuracy over the epochs, training dashed and validation solid, a colour for each run.

    Args:
        runs: Caption to ``metrics.csv`` or the run directory that holds it.
        path: Where the picture goes.
        title: A line over both panels.
    """
    figure = Figure(figsize=(8.4, 3.6), dpi=120, layout="constrained")
    panels = [quiet(axes) for axes in figure.subplots(1, 2)]
    for index, (caption, source) in enumerate(runs.items()):
        source = Path(source)
        values = read_metrics(source / "metrics.csv" if source.is_dir() else source)
        epochs = values.get("epoch", np.arange(1, 1 + len(next(iter(values.values())))))
        colour = COLOURS[index % len(COLOURS)]
        for axes, measure in zip(panels, ("loss", "top1"), strict=True):
            for split, line in (("train", "--"), ("val", "-")):
                curve = values.get(f"{split}_{measure}")
                if curve is None:
                    continue
                seen = ~np.isnan(curve)
                name = f"{caption}, {'training' if split == 'train' else 'validation'}"
                axes.plot(epochs[seen], curve[seen], line, color=colour, label=name, lw=1.6, marker=".", ms=4)
    for axes, measure in zip(panels, ("loss", "top-1 accuracy"), strict=True):
        axes.set_title(measure, fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=0)
    panels[1].set_ylim(0, 1.02)
    panels[1].yaxis.set_major_formatter(PercentFormatter(1.0))
    legend_below(figure)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return save(figure, path)
