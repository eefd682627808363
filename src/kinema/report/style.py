"""One look for every picture: colours that colour-blind readers can tell apart, quiet axes, and safe writing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Okabe and Ito, "Color Universal Design" (2008): distinct for all common kinds of colour blindness.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
INK, FAINT = "#222222", "#8A8A8A"


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure (inches) and its axes; it belongs to no global state, so any thread may draw it."""
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    return figure, quiet(figure.add_subplot())


def quiet(axes: Axes) -> Axes:
    """Take the frame off a pair of axes, all but its left and bottom."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, length=3)
    return axes


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG (or what the suffix says), making the folder it goes to."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def legend_below(figure: Figure, num_columns: int = 4) -> None:
    """Put one legend under all axes of a figure, each label once."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(list(handles.values()), list(handles), loc="outside lower left", ncols=num_columns, frameon=False)
