"""Scores of the videos of one data set by a network in memory: what an evaluation and a validation have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.metrics import ranks
from kinema.evaluation.scores import ScoreTable
from kinema.inference.batching import ViewRows
from kinema.inference.gathering import gather_videos
from kinema.inference.scorer import Scorer
from kinema.inference.views import ViewDataset
from kinema.wording import some_of


def score_dataset(scorer: Scorer, dataset: ViewDataset, *, classes: Sequence[str], title: str = "") -> ScoreTable:
    """Score every video of a data set; several processes divide the videos and each gets the whole table.

    Args:
        scorer: The network, one logit for each of ``classes``, and how the videos are loaded.
        dataset: Videos and protocol.
        classes: Names of the model's classes; the manifest may have fewer, and in another order.
        title: Of a progress bar on standard error, when that is a terminal; empty for none.

    Returns:
        One row for each video, in the order of the manifest. A clip counts as right by its scores averaged over its
        crops. ``meta["left_out"]`` lists videos that could not be read, where ``scorer.loading`` skips them.

    Raises:
        UserError: Videos cannot be read (all others are tried first; the message lists the bad ones), or the manifest
            has classes that the model does not know.
    """
    labels = align_labels(dataset.manifest, classes)
    average = dataset.protocol.average

    def reduce(result: ViewRows) -> tuple[np.ndarray, ...]:
        by_clip = average(result.rows.reshape(result.video.num_clips, result.video.num_crops, -1))
        return average(result.rows), _clip_hits(by_clip, int(labels[result.video.index]))

    found = gather_videos(scorer, dataset, reduce, title=title)
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
    indices = {name: index for index, name in enumerate(classes)}
    labels = manifest.labels
    named = [manifest.classes[label] for label in np.unique(labels[labels >= 0])]
    unknown = [name for name in named if name not in indices]
    if unknown:
        raise UserError(
            f"{manifest.name} has classes that the model does not know: {some_of(unknown, 8)}. "
            f"The model knows {some_of(classes, 8)}."
        )
    table = np.array([*(indices.get(name, -1) for name in manifest.classes), -1], dtype=np.int64)
    return table[labels]  # label -1 reads the last entry


def _clip_hits(scores: np.ndarray, label: int) -> np.ndarray:
    """Fractions of a video's clips (axes ``clips classes``) with the true class first, and among the first five."""
    if label < 0:
        return np.full(2, np.nan, np.float32)
    by_clip = ranks(scores, np.full(len(scores), label))
    return np.array([(by_clip < 1).mean(), (by_clip < 5).mean()], np.float32)
