"""Pictures of predictions: the frames with the answer, and what happens when in a long video."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kinema.report.style import COLOURS, FAINT, INK, legend_below, quiet, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kinema.evaluation.predict import Prediction
    from kinema.evaluation.timeline import Timeline

MOST_FRAMES = 8
_LONGEST_NAME = 32
_LINES = {"-": "", "--": "//", ":": "..", "-.": "xx"}
"""Kinds of lines, and the hatching of the band that goes with each; after the last colour the next kind begins."""


def plot_strip(prediction: Prediction, path: str | Path) -> Path:
    """Draw the frames that a network saw first, as it saw them, beside its best classes.

    Args:
        prediction: The answer; of a clip with more than eight frames, eight are shown, evenly spaced.
        path: Where the picture goes.
    """
    views = prediction.views
    pixels = views.clips(0, 1)[0].permute(1, 2, 3, 0).numpy()
    shown = np.linspace(0, len(pixels) - 1, min(len(pixels), MOST_FRAMES)).round().astype(int)
    cell = 1.25 if len(shown) > 2 else 2.2
    bars_width = 4.2
    height = max(cell + 0.75, 0.95 + 0.3 * len(prediction.top))
    figure = Figure(figsize=(cell * len(shown) + bars_width, height), dpi=120, layout="constrained")
    ratios = [cell] * len(shown) + [bars_width]
    *cells, bars = figure.subplots(1, len(shown) + 1, width_ratios=ratios)
    for axes, index in zip(cells, shown, strict=True):
        axes.imshow(pixels[index])
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_xlabel(f"{views.frames[0, index]}", fontsize=8, color=FAINT)
    _draw_classes(quiet(bars), prediction)
    name, probability = prediction.top[0]
    figure.suptitle(f"{Path(prediction.path).name}: {name} ({100 * probability:.0f} %)", x=0.01, ha="left", fontsize=11)
    return save(figure, path)


def plot_timeline(timeline: Timeline, path: str | Path) -> Path:
    """Draw a video's segments as a band, and below it the probabilities of their classes over time, all of them named.

    Args:
        timeline: The answer.
        path: Where the picture goes.
    """
    styles = _styles(timeline)
    num_lines = -(-len(styles) // 3)  # of the legend
    figure = Figure(figsize=(10, 3.2 + 0.24 * num_lines), dpi=120, layout="constrained")
    band, curves = figure.subplots(2, 1, sharex=True, height_ratios=[1, 5])
    for part in timeline.segments():
        style, length = styles[part.label], part.end_sec - part.start_sec
        look: dict[str, Any] = {"color": style.colour, "hatch": style.hatch, "edgecolor": "white"}
        band.barh(0, length, left=part.start_sec, height=1, **look)
    band.set(yticks=[], ylim=(-0.5, 0.5))
    band.spines[:].set_visible(False)
    band.tick_params(bottom=False)
    band.set_title(Path(timeline.path).name, loc="left", fontsize=11)
    for name, style in styles.items():
        values = timeline.probabilities[:, timeline.classes.index(name)]
        line: dict[str, Any] = {"color": style.colour, "ls": style.line, "lw": 1.8}
        quiet(curves).stairs(values, timeline.edges_sec, baseline=None, label=_shortened(name), **line)
    curves.set(ylim=(0, 1.02), xlim=(timeline.edges_sec[0], timeline.edges_sec[-1]), xlabel="seconds")
    curves.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend_below(figure, num_columns=3)
    return save(figure, path)


def _draw_classes(axes: Axes, prediction: Prediction) -> None:
    """Bars of the best classes, the best one on top."""
    for row, (_, probability) in enumerate(prediction.top):
        axes.barh(row, probability, height=0.72, color=COLOURS[0] if row == 0 else COLOURS[4])
        axes.text(probability + 0.02, row, f"{100 * probability:.1f} %", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(prediction.top)), [_shortened(name) for name, _ in prediction.top], fontsize=9)
    axes.set(xlim=(0, 1.25), xticks=[], ylim=(len(prediction.top) - 0.4, -0.6))
    axes.spines[["bottom"]].set_visible(False)


class _Style(NamedTuple):
    """How a class is drawn: its curve, and its part of the band."""

    colour: str
    line: str
    hatch: str


def _styles(timeline: Timeline) -> dict[str, _Style]:
    """A look of its own for each class of the segments, most time first; past 32 classes they begin anew."""
    seconds: dict[str, float] = {}
    for part in timeline.segments():
        seconds[part.label] = seconds.get(part.label, 0.0) + part.end_sec - part.start_sec
    looks = itertools.cycle(_Style(colour, *line) for line in _LINES.items() for colour in COLOURS)
    return dict(zip(sorted(seconds, key=lambda name: -seconds[name]), looks, strict=False))


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
