"""Two streams looked at together: accuracy against their weights, and which videos only one of them gets right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinema.errors import UserError
from kinema.evaluation.fusion import combine
from kinema.evaluation.metrics import ranks
from kinema.evaluation.scores import ScoreTable

NUM_STEPS = 100
"""Steps of a sweep from the first stream alone to the second alone."""


@dataclass(frozen=True)
class Sweep:
    """Accuracies of two streams' fusion at many weights, averaged over splits where there are several.

    A sweep is for looking at: weights chosen by it are chosen on the test videos.

    Attributes:
        weights: The second stream's part of the weight, 0 (first alone) to 1 (second alone), ascending.
        top1: Top-1 accuracy at each weight, 0 to 1, axes ``splits weights``.
        mean_class: Accuracy averaged over classes, 0 to 1, axes ``splits weights``.
        chosen: The weight that was fused; one of ``weights``.
    """

    weights: np.ndarray
    top1: np.ndarray
    mean_class: np.ndarray
    chosen: float


def sweep(splits: Sequence[Sequence[ScoreTable]], chosen: float) -> Sweep:
    """Fuse two streams at every hundredth of the weight, and at the chosen one.

    Args:
        splits: For each split the two streams' tables, made alike by :func:`kinema.evaluation.fusion.line_up`.
        chosen: The second stream's part of the weight in the fusion that is reported.

    Raises:
        UserError: There are not two streams, or no labels.
    """
    for streams in splits:
        if len(streams) != 2:
            raise UserError(
                f"a sweep is a curve over the weight between two streams; {len(streams)} are given. "
                "Fuse some of them first (--out FILE) and sweep the result against the other."
            )
    weights = np.unique(np.append(np.linspace(0, 1, NUM_STEPS + 1), chosen))
    top1, mean_class = np.empty((2, len(splits), len(weights)))
    for row, streams in enumerate(splits):
        for column, weight in enumerate(weights):
            fused = combine(streams, [1 - weight, weight])
            top1[row, column], mean_class[row, column] = fused.top(1), fused.mean_class_accuracy()
    return Sweep(weights, top1, mean_class, chosen)


@dataclass(frozen=True)
class RightCount:
    """Videos that the same streams get right.

    Attributes:
        name: Which streams do.
        num_videos: Number of such videos.
        num_fused: How many of these the fusion gets right.
    """

    name: str
    num_videos: int
    num_fused: int


def count_right(
    splits: Sequence[Sequence[ScoreTable]], fused: Sequence[ScoreTable], names: Sequence[str]
) -> list[RightCount]:
    """Count labelled videos by the streams that get them right, which says what a fusion can win and what it loses.

    Args:
        splits: For each split the streams' tables, made alike by :func:`kinema.evaluation.fusion.line_up`.
        fused: The fusion of each split.
        names: What to call the streams.

    Returns:
        Rows for all streams, for each stream alone, for several (of more than two) and for none; each video counts in
        one of them, once for every split it is in.
    """
    num_streams = len(names)
    group_names = ["both" if num_streams == 2 else "all", *(f"only {name}" for name in names)]
    group_names += ["several, not all"] * (num_streams > 2) + ["none"]
    counts = np.zeros((len(group_names), 2), np.int64)
    for streams, together in zip(splits, fused, strict=True):
        known = together.labels >= 0
        right = np.array([_right(table)[known] for table in streams])
        num_right = right.sum(axis=0)
        alone = [right[stream] & (num_right == 1) for stream in range(num_streams)]
        several = [(num_right > 1) & (num_right < num_streams)] * (num_streams > 2)
        for row, group in enumerate([num_right == num_streams, *alone, *several, num_right == 0]):
            counts[row] += int(group.sum()), int((group & _right(together)[known]).sum())
    return [RightCount(name, int(total), int(won)) for name, (total, won) in zip(group_names, counts, strict=True)]


def _right(table: ScoreTable) -> np.ndarray:
    """Whether the best class is the true one, axes ``videos``; meaningless without a label."""
    return ranks(table.scores, table.labels) == 0
