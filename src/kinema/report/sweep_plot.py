"""The picture of a sweep: accuracy of two streams' fusion against their weights."""

from __future__ import annotations

import csv
import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kinema.files import write_text
from kinema.report.style import COLOURS, FAINT, INK, legend_below, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from kinema.evaluation.sweep import Sweep

TICKS = {0.0: "1 : 0", 0.2: "4 : 1", 1 / 3: "2 : 1", 0.5: "1 : 1", 2 / 3: "1 : 2", 0.8: "1 : 4", 1.0: "0 : 1"}
"""Weights of the second stream, and how they read as weights."""
CAUTION = (
    "Shown for information: the weights were given before this was drawn. To take the best point of the curve "
    "would be to choose on the test videos."
)
_LABEL_ROOM = 0.24
"""Part of the height, above the curves, that the labels have for themselves."""


def plot_sweep(sweep: Sweep, names: Sequence[str], path: str | Path, *, weights: str, subject: str) -> Path:
    """Draw top-1 and mean-class accuracy from the first stream alone (left) to the second alone (right).

    Args:
        sweep: What to draw; of several splits the mean, and each split's top-1 faintly.
        names: The two streams.
        path: Where the picture goes.
        weights: The weights that were used, as they are to be read, such as ``"1 : 2"``.
        subject: What was fused and on which videos, such as ``"logits, ucf101-split1"``.
    """
    figure, axes = new_figure(7.6, 4.9)
    is_mean = len(sweep.top1) > 1
    if is_mean:
        for row in sweep.top1:
            axes.plot(sweep.weights, row, color=COLOURS[0], lw=0.8, alpha=0.4, label="top-1 of each split")
    curves = {"top-1": sweep.top1.mean(axis=0), "mean class": sweep.mean_class.mean(axis=0)}
    used = int(np.flatnonzero(sweep.weights == sweep.chosen)[0])
    for (measure, curve), colour, line in zip(curves.items(), COLOURS, ("-", "--"), strict=False):
        name = f"{measure}, mean of {len(sweep.top1)} splits" if is_mean else measure
        axes.plot(sweep.weights, curve, line, color=colour, lw=1.8, label=name)
        axes.plot(sweep.weights[[0, -1]], curve[[0, -1]], "o", color=colour, ms=5, clip_on=False)
        axes.plot(sweep.chosen, curve[used], "D", color=colour, ms=7, mec="white", zorder=4, clip_on=False)
    _make_room(axes, np.concatenate([sweep.top1, [curves["mean class"]]]))
    axes.axvline(sweep.chosen, color=INK, lw=1, ls=":", zorder=1)
    ends = (0.0, f"{_short(names[0])} alone"), (1.0, f"{_short(names[1])} alone")
    for weight, caption in (*ends, (sweep.chosen, f"used: {weights}")):
        if weight == sweep.chosen or abs(weight - sweep.chosen) > 0.18:
            index = int(np.flatnonzero(sweep.weights == weight)[0])
            _label_point(axes, weight, caption, {measure: float(curve[index]) for measure, curve in curves.items()})
    axes.set_xticks(list(TICKS), list(TICKS.values()))
    axes.set_xlabel(f"weights of {names[0]} : {names[1]}", color=INK)
    axes.grid(axis="y", color=FAINT, alpha=0.25, lw=0.6)
    title = textwrap.fill(f"Fusion of {names[0]} and {names[1]}: {subject}", 84)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    axes.set_title(textwrap.fill(CAUTION, 110), loc="left", fontsize=8, color=FAINT)
    legend_below(figure)
    return save(figure, path)


def write_sweep(sweep: Sweep, names: Sequence[str], splits: Sequence[str], path: str | Path) -> Path:
    """Write the points of a sweep as CSV: a row for each split and share, accuracies from 0 to 1.

    Args:
        sweep: What to write.
        names: The two streams; their weights are the columns ``NAME weight``.
        splits: Names of the splits.
        path: Where the CSV goes.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["videos", *(f"{name} weight" for name in names), "top1", "mean_class", "used"])
    for split, top1, mean_class in zip(splits, sweep.top1, sweep.mean_class, strict=True):
        for weight, *values in zip(sweep.weights, top1, mean_class, strict=True):
            cells = [f"{value:.6g}" for value in (1 - weight, weight, *values)]
            rows.writerow([split, *cells, "yes" if weight == sweep.chosen else ""])
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())
    return path


def _make_room(axes: Axes, curves: np.ndarray) -> None:
    """Let the axes hold the curves, at least 4 points high, and the labels above them."""
    low, high = float(curves.min()), float(curves.max())
    margin = max(0.04 - (high - low), 0) / 2 + 0.06 * (high - low)
    bottom, top = max(low - margin, 0.0), min(high + margin, 1.0)
    ceiling = bottom + (top - bottom) / (1 - _LABEL_ROOM)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(bottom, ceiling)
    ticks = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(bottom, top)  # no quarters: whole percents are shown
    axes.set_yticks([tick for tick in ticks if bottom <= tick <= top])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))


def _short(name: str) -> str:
    """A name that fits above the end of the curve; the title has the whole of it."""
    return name if len(name) <= 13 else f"{name[:12].rstrip()}…"


def _label_point(axes: Axes, weight: float, caption: str, accuracies: dict[str, float]) -> None:
    """Write the accuracies of a point above the curves."""
    lines = [caption, *(f"{measure} {100 * value:.1f} %" for measure, value in accuracies.items())]
    # Away from the nearer end, whose own label is there.
    side = "center" if weight == 0.5 else "left" if weight < 0.5 else "right"
    text = axes.text(
        weight, 0.995, "\n".join(lines), transform=axes.get_xaxis_transform(), ha=side, va="top", fontsize=9
    )
    text.set(color=INK, bbox={"facecolor": "white", "edgecolor": "none", "pad": 2.0}, linespacing=1.35)
