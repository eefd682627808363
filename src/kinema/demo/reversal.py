"""What a network knows of the order of frames: its answers forward and on reversed frames, class by mirrored class.

The measure is that of "Rethinking Spatiotemporal Feature Learning" (S3D-G, arXiv 1712.04851), Table 1, on a set whose
classes are each other's time reversal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import UserError

if TYPE_CHECKING:
    from kinema.evaluation.scores import ScoreTable


@dataclass(frozen=True, kw_only=True)
class OrderScores:
    """How often a network is right, from 0 to 1.

    Attributes:
        forward: Class right.
        reversed: Class right with the frames in reverse; a network that sees order should be wrong.
        mirrored: With the frames in reverse, the time-reversed class is named.
        pair: The class or its time-reversed partner is named, frames forward.
        member: The class is right where the pair is; a half is guessing.
    """

    forward: float
    reversed: float
    mirrored: float
    pair: float
    member: float


def order_scores(forward: ScoreTable, backward: ScoreTable, opposite: Sequence[int]) -> OrderScores:
    """Compare the scores of the same videos played forward and in reverse.

    Args:
        forward: Scores of labelled videos.
        backward: Scores of the same videos in the same order with their frames reversed.
        opposite: For each class the index of the class that it becomes in reverse.

    Raises:
        UserError: The tables hold different videos, a video has no label, or ``opposite`` does not fit the classes.
    """
    if not np.array_equal(forward.ids, backward.ids) or forward.classes != backward.classes:
        raise UserError("the two score tables are not of the same videos and classes in the same order.")
    if (forward.labels < 0).any():
        raise UserError("some videos have no label, so there is nothing to compare their answers with.")
    mirror = np.asarray(opposite)
    if mirror.shape != (len(forward.classes),) or not np.array_equal(mirror[mirror], np.arange(len(mirror))):
        raise UserError(
            f"opposite must pair up the {len(forward.classes)} classes, so that applied twice it does nothing."
        )
    labels = forward.labels
    answer, answer_reversed = forward.scores.argmax(axis=1), backward.scores.argmax(axis=1)
    right = answer == labels
    pair = right | (answer == mirror[labels])
    return OrderScores(
        forward=float(right.mean()),
        reversed=float((answer_reversed == labels).mean()),
        mirrored=float((answer_reversed == mirror[labels]).mean()),
        pair=float(pair.mean()),
        member=float(right[pair].mean()) if pair.any() else float("nan"),
    )
