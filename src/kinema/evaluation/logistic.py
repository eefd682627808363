"""Multinomial logistic regression on features, and the choice of its strength by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from kinema.compute.optimizers import LBFGS
from kinema.errors import UserError

STRENGTHS = tuple(10.0 ** (half / 2) for half in range(4, -13, -1))
"""Penalties that cross-validation tries, from strong to weak: 100 to 0.000001 in steps of a factor of 3.2."""

PATIENCE = 3
"""So many strengths after the best one are tried in vain; weak ones take longest."""

NUM_FOLDS = 5


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """One linear layer: ``features @ weight.T + bias`` are logits.

    Attributes:
        weight: Axes ``classes d``, float64.
        bias: Axes ``classes``, float64.
    """

    weight: np.ndarray
    bias: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Logits of feature vectors: axes ``videos d`` to ``videos classes``, float64."""
        return features.astype(np.float64) @ self.weight.T + self.bias


class Trial(NamedTuple):
    """What cross-validation found for one strength.

    Attributes:
        strength: The penalty.
        loss: Mean cross entropy of the held-out videos, in nats.
        top1: Fraction of them that is right, 0..1.
    """

    strength: float
    loss: float
    top1: float


class LogisticPath:
    """Fits of the same videos at one strength after the other, each from the solution before.

    Minimises mean cross entropy + strength / 2 * (sum of squared weights) over features that are standardised first
    (mean 0, deviation 1 over the videos given; a feature that never varies is left out); standardisation is folded
    into the answer. The bias is not penalised, and all videos count the same. scikit-learn's ``C`` is
    1 / (strength x videos).

    Args:
        features: Axes ``videos d``, finite.
        labels: Class indices, axes ``videos``; every class has a video.
        num_classes: Number of classes.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
        values = torch.from_numpy(np.asarray(features, dtype=np.float64))
        self._mean, deviation = values.mean(0), values.std(0, correction=0)
        varies = deviation > 1e-9 * values.abs().amax(0)
        self._scale = torch.where(varies, 1 / deviation.where(varies, 1.0), 0.0)
        # The best weights lie in the span of the videos: with fewer videos than features there are fewer unknowns.
        left, singular, right = torch.linalg.svd((values - self._mean) * self._scale, full_matrices=False)
        kept = singular > singular[:1] * 1e-10
        self._inputs, self._basis = (left * singular)[:, kept], right[kept]
        self._targets = torch.from_numpy(np.asarray(labels, dtype=np.int64))
        self._weight = torch.zeros(num_classes, self._inputs.shape[1], dtype=torch.float64)
        self._bias = torch.zeros(num_classes, 1, dtype=torch.float64)

    def fit(self, strength: float, *, tolerance: float = 1e-7) -> LinearClassifier:
        """Find the one minimum by L-BFGS.

        The columns of the inputs are orthogonal, so that dividing the unknowns by the root of a bound of the curvature
        along each of them makes all directions about equally steep, and a few dozen steps suffice.

        Args:
            strength: Of the penalty, above 0.
            tolerance: Largest slope of the loss along any of the unknowns at the end.
        """
        num_classes = len(self._weight)
        spread = 1 / num_classes * (1 - 1 / num_classes)  # of a class's chances, where all classes are equally likely
        steepness = (spread * self._inputs.square().mean(0) + strength).sqrt()
        unknowns = torch.cat([self._weight * steepness, self._bias * spread**0.5], 1).requires_grad_(True)
        solver = LBFGS(
            [unknowns],
            max_iter=500,
            history_size=20,
            tolerance_grad=tolerance,
            tolerance_change=tolerance**2,
            line_search_fn="strong_wolfe",
        )

        def loss() -> torch.Tensor:
            solver.zero_grad()
            weight, bias = unknowns[:, :-1] / steepness, unknowns[:, -1] / spread**0.5
            scores = self._inputs @ weight.T + bias
            value = functional.cross_entropy(scores, self._targets) + strength / 2 * weight.square().sum()
            value.backward()
            return value

        solver.step(loss)  # pyrefly: ignore[bad-argument-type]  (the closure may return a tensor)
        found = unknowns.detach()
        self._weight, self._bias = found[:, :-1] / steepness, found[:, -1:] / spread**0.5
        unfolded = self._weight @ self._basis * self._scale
        return LinearClassifier(unfolded.numpy(), (self._bias[:, 0] - unfolded @ self._mean).numpy())


def cross_validate(
    features: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str],
    *,
    strengths: Sequence[float] = STRENGTHS,
    num_folds: int = NUM_FOLDS,
) -> list[Trial]:
    """Try strengths on videos that the fit has not seen; a group is never on both sides.

    A video whose class has no other group is in no trial. Ends once ``PATIENCE`` strengths after the best were worse.

    Args:
        features: Axes ``videos d``.
        labels: Class indices, axes ``videos``.
        groups: Group of each video; empty for a group of its own.
        strengths: What to try, from strong to weak.
        num_folds: Parts that are held out in turn; fewer where there are fewer groups.

    Raises:
        UserError: No class has two groups.
    """
    fold_of = whole_group_folds(labels, groups, num_folds)
    parts = [part for fold in range(num_folds) if (part := _part(features, labels, fold_of, fold)) is not None]
    num_tried = sum(len(targets) for _, _, targets in parts)
    if not num_tried:
        raise UserError(
            "no class has a second video or group to hold out, so the strength cannot be chosen by cross-validation; "
            "give more videos, or the strength, such as 0.3"
        )
    trials: list[Trial] = []
    for strength in strengths:
        loss, right = 0.0, 0
        for path, held_out, targets in parts:
            scores = torch.from_numpy(path.fit(strength, tolerance=1e-5).scores(held_out))
            loss += functional.cross_entropy(scores, targets, reduction="sum").item()
            right += int((scores.argmax(1) == targets).sum())
        trials.append(Trial(strength, loss / num_tried, right / num_tried))
        if len(trials) - 1 - trials.index(best_trial(trials)) >= PATIENCE:
            break
    return trials


def _part(
    features: np.ndarray, labels: np.ndarray, fold_of: np.ndarray, fold: int
) -> tuple[LogisticPath, np.ndarray, torch.Tensor] | None:
    """The videos outside of a fold to fit, and features and classes of those in it that the fit can know."""
    training = fold_of != fold
    known, own = np.unique(labels[training], return_inverse=True)
    tried = ~training & np.isin(labels, known)
    if len(known) < 2 or not tried.any():
        return None
    targets = torch.from_numpy(np.searchsorted(known, labels[tried]))
    return LogisticPath(features[training], own, len(known)), features[tried], targets


def whole_group_folds(labels: np.ndarray, groups: Sequence[str], num_folds: int) -> np.ndarray:
    """Deal videos out to folds, whole groups together and every class as evenly as that allows.

    The groups with most videos are dealt first, each to the fold that has fewest videos of the group's classes.

    Args:
        labels: Class indices, axes ``videos``.
        groups: Group of each video; empty for a group of its own.
        num_folds: Largest number of folds.

    Returns:
        Fold of each video, from 0 on, axes ``videos``; every fold has a video.
    """
    names = [group or f"\0{row}" for row, group in enumerate(groups)]
    _, unit_of = np.unique(names, return_inverse=True)
    counts = np.zeros((unit_of.max() + 1, int(labels.max()) + 1))
    np.add.at(counts, (unit_of, labels), 1)
    num_folds = min(num_folds, len(counts))
    class_sizes = counts.sum(0).clip(min=1)  # a rare class counts as much as a frequent one
    order = np.random.default_rng(0).permutation(len(counts))
    filled, fold_of = np.zeros((num_folds, counts.shape[1])), np.zeros(len(counts), dtype=np.int64)
    for unit in sorted(order.tolist(), key=lambda unit: -counts[unit].sum()):
        crowded = (filled * (counts[unit] > 0) / class_sizes).sum(1)
        fold = int(np.lexsort((filled.sum(1), crowded))[0])
        fold_of[unit] = fold
        filled[fold] += counts[unit]
    return np.unique(fold_of[unit_of], return_inverse=True)[1]


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The trial of the smallest loss; of equal ones the first, which is the strongest penalty.

    The loss decides and not the hits: on a few dozen videos many strengths hit equally often.
    """
    return min(trials, key=lambda trial: trial.loss)
