"""The loss of a training step: cross-entropy with smoothing, class weights and mixup."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from kinema.models.action_model import TrainingScores

if TYPE_CHECKING:
    from kinema.shapes import Clip, Logits

AUXILIARY_WEIGHT = 0.3
"""Of each auxiliary head's loss beside the head's ("Going Deeper with Convolutions", arXiv:1409.4842, section 5)."""


class Mixture(NamedTuple):
    """Clips of a batch blended in pairs (mixup): ``weight`` of each clip and its own label, the rest of its partner's.

    Attributes:
        clips: Axes ``b c t h w``.
        labels: Class of each clip, axis ``b``.
        partners: Class of what was blended in, axis ``b``.
        weight: Weight of the clip itself, 0..1.
    """

    clips: Clip
    labels: torch.Tensor
    partners: torch.Tensor
    weight: float


class Blend(NamedTuple):
    """How the clips of a batch are blended in pairs.

    Attributes:
        weight: Of each clip itself; the rest is its partner's.
        partners: Row of each clip's partner, axis ``b``.
    """

    weight: float
    partners: torch.Tensor

    def mix(self, clips: Clip, labels: torch.Tensor, others: Clip, labels_of_others: torch.Tensor) -> Mixture:
        """Blend clips (axes ``b c t h w``) with their partners; labels have the axis ``b``."""
        return Mixture(clips.lerp(others, 1 - self.weight), labels, labels_of_others, self.weight)


def draw_blend(num_clips: int, *, alpha: float, rng: np.random.Generator) -> Blend | None:
    """Draw the pairs of mixup ("mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412).

    Args:
        num_clips: Clips of the batch.
        alpha: Both parameters of the Beta distribution of the weight; None comes of 0, which leaves the clips alone.
        rng: Decides weight and partners.
    """
    if alpha == 0:
        return None
    return Blend(float(rng.beta(alpha, alpha)), torch.from_numpy(rng.permutation(num_clips)))


class Objective:
    """Sums the loss of the clips of a batch; the caller divides by how many clips the whole step has.

    Args:
        label_smoothing: Label smoothing: the part of the target that is spread evenly over all classes, 0..1.
        class_weights: Factor per class (mean 1 over the training videos), or None.
    """

    def __init__(self, *, label_smoothing: float = 0.0, class_weights: torch.Tensor | None = None) -> None:
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights

    def __call__(self, scores: Logits | TrainingScores, mixture: Mixture) -> torch.Tensor:
        """Compute the summed loss, a scalar.

        Args:
            scores: What the network said, axes ``b classes``, and what its auxiliary heads said beside it.
            mixture: What the network saw.
        """
        logits, auxiliary = TrainingScores.of(scores)
        return self._mixed(logits, mixture) + AUXILIARY_WEIGHT * sum(self._mixed(own, mixture) for own in auxiliary)

    def _mixed(self, logits: Logits, mixture: Mixture) -> torch.Tensor:
        loss = mixture.weight * self._sum(logits, mixture.labels)
        if mixture.weight < 1:
            loss = loss + (1 - mixture.weight) * self._sum(logits, mixture.partners)
        return loss

    def _sum(self, logits: Logits, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(
            logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing, reduction="sum"
        )
