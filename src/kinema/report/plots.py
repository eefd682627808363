"""Pictures of results: accuracy bars, confusion matrices, per-class accuracy and frames of videos."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from kinema.errors import UserError
from kinema.report.style import COLOURS, FAINT, INK, legend_below, new_figure, save

if TYPE_CHECKING:
    from kinema.shapes import Pixels

# With more classes the names and counts of a confusion matrix are too small to read, so they are left out.
_MOST_NAMED_CLASSES = 200
_MOST_COUNTED_CLASSES = 20
_LARGEST_SIDE = 22.0  # inches, of all matrices of a row together


def plot_bars(
    values: Mapping[str, Mapping[str, float]],
    path: str | Path,
    *,
    title: str,
    chance: Mapping[str, float] | None = None,
) -> Path:
    """Draw accuracies as groups of bars, so that models can be compared measure by measure.

    Args:
        values: Measure to (model to accuracy, 0 to 1); each measure is a group, each model a colour.
        path: Where the picture goes.
        title: What the picture shows.
        chance: Accuracy of guessing for each measure, drawn as a dashed line across its group.
    """
    models = list(dict.fromkeys(model for group in values.values() for model in group))
    if not models:
        raise UserError("there are no accuracies to draw.")
    figure, axes = new_figure(2.2 + 1.5 * len(values), 3.8)
    width = 0.8 / len(models)
    for column, (measure, group) in enumerate(values.items()):
        for index, model in enumerate(models):
            if model not in group:
                continue
            x = column - 0.4 + (index + 0.5) * width
            axes.bar(x, group[model], width * 0.94, color=COLOURS[index % len(COLOURS)], label=model)
            text = axes.text(x, group[model] + 0.02, f"{100 * group[model]:.0f} %", ha="center", fontsize=9, color=INK)
            text.set_bbox(
                {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            )  # stays readable over the chance line
        if chance and measure in chance:
            axes.plot([column - 0.45, column + 0.45], [chance[measure]] * 2, "--", color=INK, lw=1.2, label="chance")
    axes.set_xticks(range(len(values)), [textwrap.fill(name, 18) for name in values])
    axes.set_ylim(0, 1.1)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title(title, loc="left", fontsize=11)
    legend_below(figure)
    return save(figure, path)


def plot_confusion(
    matrices: Mapping[str, np.ndarray],
    classes: Sequence[str],
    path: str | Path,
    *,
    title: str = "",
    num_columns: int = 3,
) -> Path:
    """Draw confusion matrices in a grid: true classes down, answers across, shade the fraction of a class.

    Args:
        matrices: Caption to counts of true class (rows) against answered class (columns).
        classes: Names of the rows and columns.
        path: Where the picture goes.
        title: A line over all of them.
        num_columns: Matrices side by side, at most.

    Raises:
        UserError: There is no matrix, or one is not ``classes`` by ``classes``.
    """
    if not matrices:
        raise UserError("there are no confusion matrices to draw.")
    for caption, matrix in matrices.items():
        if matrix.shape != (len(classes), len(classes)):
            raise UserError(f"confusion matrix {caption!r} is {matrix.shape} but there are {len(classes)} classes.")
    across = min(num_columns, len(matrices))
    down = -(-len(matrices) // across)
    is_small = len(classes) <= _MOST_COUNTED_CLASSES
    side = 1.6 + 0.34 * len(classes) if is_small else min(_LARGEST_SIDE / across, max(8.4, 0.17 * len(classes)))
    figure = Figure(figsize=(2.2 + side * across, 1.4 + side * down), dpi=120, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    shading = ScalarMappable(Normalize(0, 1), "Blues")
    names = list(classes) if len(classes) <= _MOST_NAMED_CLASSES else []
    for axes in grid.flat[len(matrices) :]:
        axes.set_visible(False)
    for axes, (caption, matrix) in zip(grid.flat, matrices.items(), strict=False):
        fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(fractions, cmap=shading.cmap, norm=shading.norm)
        axes.set_title(caption, fontsize=10)
        turned: dict[str, Any] = {"rotation": 45, "ha": "right"} if is_small else {"rotation": 90, "fontsize": 7}
        axes.set_xticks(range(len(names)), names, **turned)
        axes.set_yticks(range(len(names)), names, fontsize=10 if is_small else 7)
        if is_small:
            for row, column in np.argwhere(matrix):
                ink = "white" if fractions[row, column] > 0.55 else INK
                axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=ink, fontsize=9)
    figure.colorbar(shading, ax=grid, shrink=0.6, label="fraction of the true class", format=PercentFormatter(1.0))
    figure.supxlabel("answer", color=FAINT, fontsize=10)
    figure.supylabel("true class", color=FAINT, fontsize=10)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return save(figure, path)


def plot_frames(rows: Mapping[str, Pixels], path: str | Path, *, title: str = "", num_frames: int = 8) -> Path:
    """Draw a few frames of each video in a row, first to last, so that motion can be read from left to right.

    Args:
        rows: Caption to frames with axes ``t h w c``; ``num_frames`` of them, evenly spaced, are shown.
        path: Where the picture goes.
        title: A line over the rows.
        num_frames: Frames to show of each video.
    """
    if not rows:
        raise UserError("there are no videos to draw.")
    height, width = next(iter(rows.values())).shape[1:3]
    cell = 0.95
    tight = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.01, wspace=0, hspace=0)
    size = (1.9 + cell * num_frames * width / height, 0.5 + cell * len(rows))
    figure = Figure(figsize=size, dpi=120, layout=tight)
    grid = figure.subplots(len(rows), num_frames, squeeze=False)
    for cells, (caption, pixels) in zip(grid, rows.items(), strict=True):
        shown = np.linspace(0, len(pixels) - 1, num_frames).round().astype(int)
        for axes, index in zip(cells, shown, strict=True):
            axes.imshow(pixels[index])
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        label = textwrap.fill(caption, 16)
        cells[0].set_ylabel(label, rotation=0, ha="right", va="center", color=INK, fontsize=10)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return save(figure, path)
