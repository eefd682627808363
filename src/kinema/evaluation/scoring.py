"""Scores of the videos of one data set by a network in memory: what an evaluation and a validation have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from kinema.compute.process import Process
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.metrics import ranks
from kinema.evaluation.scores import ScoreTable
from kinema.evaluation.sharing import NUM_WORKERS, Reduce, compute_on, evaluating, reduce_videos
from kinema.inference.batching import ComputedViews
from kinema.inference.views import ViewDataset
from kinema.specs.protocol import softmax
from kinema.weights.given import class_scores
from kinema.wording import some_of

if TYPE_CHECKING:
    from kinema.specs.preprocessing import Preprocessing


def score_dataset(
    model: nn.Module,
    dataset: ViewDataset,
    *,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    process: Process | None = None,
    batch_views: int | None = None,
    num_workers: int = NUM_WORKERS,
    skip_bad: bool = False,
    advance: Callable[[], object] | None = None,
) -> ScoreTable:
    """Score every video of a data set; several processes share the videos and each gets the whole table.

    Args:
        model: The network itself, on the process's device and not wrapped for data-parallel training, since processes
            may run it a different number of times. It is evaluated in evaluation mode and left in its own.
        dataset: Videos and protocol.
        classes: Names of the model's classes; the manifest may have fewer, and in another order.
        preprocessing: How the model wants its input normalised.
        process: This process; alone and on the CPU by default.
        batch_views: Views of a batch; None fits it to the memory.
        num_workers: Processes that decode.
        skip_bad: Leave out videos that cannot be read; ``meta["left_out"]`` lists them.
        advance: Called after each video of this process.

    Returns:
        One row for each video, in the order of the manifest. A clip counts as right by its scores averaged over its
        crops.

    Raises:
        UserError: Videos cannot be read (all others are tried first; the message lists the bad ones), or the manifest
            has classes that the model does not know.
    """
    process = process or Process()
    labels = align_labels(dataset.manifest, classes)
    with evaluating(model):
        found = reduce_videos(
            dataset,
            compute_on(process, class_scores(model, classes), model, preprocessing),
            _averaging(dataset.protocol.averages, labels),
            process,
            batch_views=batch_views,
            num_workers=num_workers,
            skip_bad=skip_bad,
            advance=advance,
        )
    scores, clip_hits = found.columns
    ids = dataset.manifest.video_ids
    return ScoreTable(
        ids=np.array([ids[index] for index in found.indices], dtype=np.str_),
        scores=scores,
        labels=labels[found.indices],
        kind=dataset.protocol.averages,
        classes=tuple(classes),
        clip_hits=clip_hits,
        meta={"protocol": dataset.protocol.name, "reverse": dataset.reverse, "left_out": found.left_out},
    )


def align_labels(manifest: Manifest, classes: Sequence[str]) -> np.ndarray:
    """The manifest's labels as indices into a model's classes, int64, -1 where unlabelled.

    Raises:
        UserError: A class that has videos is not among ``classes``.
    """
    places = {name: index for index, name in enumerate(classes)}
    labels = manifest.labels
    named = [manifest.classes[label] for label in np.unique(labels[labels >= 0])]
    unknown = [name for name in named if name not in places]
    if unknown:
        raise UserError(
            f"{manifest.name} has classes that the model does not know: {some_of(unknown, 8)}. "
            f"The model knows {some_of(classes, 8)}."
        )
    table = np.array([*(places.get(name, -1) for name in manifest.classes), -1], dtype=np.int64)
    return table[labels]  # label -1 reads the last entry


def _averaging(averages: str, labels: np.ndarray) -> Reduce:
    """Build the step from the scores of a video's views to their average and the video's clip hits."""

    def reduce(views: ComputedViews) -> tuple[np.ndarray, ...]:
        scores = softmax(views.rows) if averages == "probabilities" else views.rows
        by_clip = scores.reshape(views.video.num_clips, views.video.num_crops, -1).mean(axis=1, dtype=np.float64)
        return by_clip.mean(axis=0).astype(np.float32), _clip_hits(by_clip, int(labels[views.video.index]))

    return reduce


def _clip_hits(scores: np.ndarray, label: int) -> np.ndarray:
    """Shares of a video's clips (axes ``clips classes``) with the true class first, and among the first five."""
    if label < 0:
        return np.full(2, np.nan, np.float32)
    places = ranks(scores, np.full(len(scores), label))
    return np.array([(places < 1).mean(), (places < 5).mean()], np.float32)
