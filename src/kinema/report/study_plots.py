"""Pictures of analyses: what sets models apart, and what they owe to space and time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from kinema.report.style import COLOURS, FAINT, INK, legend_below, new_figure, quiet, save

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinema.study.contributions import MeanContribution
    from kinema.study.difference import Difference

SIGNIFICANT = 0.05


def plot_differences(rows: Sequence[Difference], path: str | Path, *, confidence: float, title: str = "") -> Path:
    """Draw each pair's difference with its interval; filled points differ by more than chance.

    Args:
        rows: The pairs, from top to bottom.
        path: Where the picture goes.
        confidence: Of the intervals, from 0 to 1.
        title: What was compared, such as the data set and protocol.
    """
    figure, axes = new_figure(8.4, 1.6 + 0.42 * len(rows))
    heights = np.arange(len(rows))[::-1]
    for height, row in zip(heights, rows, strict=True):
        is_found = row.p_adjusted < SIGNIFICANT
        colour = COLOURS[0] if is_found else FAINT
        low, high = (100 * bound for bound in row.interval)
        axes.plot([low, high], [height, height], color=colour, lw=2.2, solid_capstyle="butt")
        axes.plot(100 * row.difference, height, "o", ms=7, color=colour, mfc=colour if is_found else "white")
        text = f"{100 * row.difference:+.1f}   p {format_p(row.p_adjusted)}"
        axes.text(1.01, height, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=INK)
    axes.axvline(0, color=INK, lw=1, zorder=0)
    axes.set_yticks(heights, [f"{row.first} − {row.second}" for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    corrected = " (Holm)" if len(rows) > 1 else ""
    units = "groups" if rows[0].num_units < rows[0].num_videos else "videos"
    axes.set_xlabel(
        f"difference of top-1 in percentage points, {100 * confidence:g} % intervals over "
        f"{rows[0].num_units} {units}; filled: p{corrected} < {SIGNIFICANT}",
        color=INK,
        fontsize=9,
    )
    axes.grid(axis="x", color=FAINT, alpha=0.25, lw=0.6)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return save(figure, path)


def plot_contributions(rows: Sequence[MeanContribution], path: str | Path, *, title: str = "") -> Path:
    """Draw spatial contribution and temporal improvement of every module, a panel for each data set.

    Args:
        rows: As ``mean_contributions`` gives them.
        path: Where the picture goes.
        title: What the accuracies are.
    """
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    figure, first = new_figure(max(6.0, 3.6 * len(datasets)), 3.9)
    figure.delaxes(first)
    measures = {"spatial": "spatial contribution Φ", "temporal": "temporal improvement Ψ"}
    measures["temporal_pooled"] = "Ψ with temporal pooling"
    panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
    for panel, dataset in zip(panels, datasets, strict=True):
        members = [row for row in rows if row.dataset == dataset]
        axes = quiet(panel)
        for number, (name, label) in enumerate(measures.items()):
            values = [getattr(row, name) for row in members]
            positions = np.arange(len(members)) + (number - 1) * 0.27
            bars = axes.bar(positions, values, 0.25, color=COLOURS[number], label=label)
            labels = ["" if math.isnan(value) else f"{value:.2f}" for value in values]
            axes.bar_label(bars, labels, fontsize=8, padding=2, color=INK)
        axes.axhline(0, color=INK, lw=0.8)
        axes.set_xticks(np.arange(len(members)), [row.module for row in members])
        axes.set_title(dataset, loc="left", fontsize=10, color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.grid(axis="y", color=FAINT, alpha=0.25, lw=0.6)
        axes.set_xlim(-0.6, len(members) - 0.4)
        axes.margins(y=0.12)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    legend_below(figure)
    return save(figure, path)


def format_p(value: float) -> str:
    """A p-value as it is read: two digits, never 0."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
