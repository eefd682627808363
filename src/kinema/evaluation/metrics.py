"""Accuracies of class scores: arrays in, numbers out.

Everywhere ``scores`` has axes ``videos classes`` (higher is better, any scale) and ``labels`` holds class indices with
-1 for an unlabelled video; unlabelled videos never count. Accuracies are fractions from 0 to 1.
"""

from __future__ import annotations

import numpy as np

from kinema.errors import UserError


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Place of the true class in each row, 0 for the best; int64, axes ``videos``.

    Equal scores are ordered by class index, so a constant score is right for class 0 alone and a tie can never count
    for two classes.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1])[None, :] < labels[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(axis=1)


def top_k(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Top-k accuracy: the fraction of labelled videos whose true class has one of the ``k`` highest scores."""
    if k < 1:
        raise UserError(f"top-{k} accuracy does not exist; k must be at least 1.")
    known = _labelled(labels)
    return float((ranks(scores[known], labels[known]) < k).mean())


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 accuracy of each class that has videos, averaged over those classes."""
    matrix = confusion_matrix(scores, labels)
    present = matrix.sum(axis=1) > 0
    return float((matrix.diagonal()[present] / matrix.sum(axis=1)[present]).mean())


def confusion_matrix(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count videos by true class (rows) and best-scored class (columns); int64, axes ``classes classes``."""
    known = _labelled(labels)
    num_classes = scores.shape[1]
    pairs = labels[known] * num_classes + scores[known].argmax(axis=1)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def _labelled(labels: np.ndarray) -> np.ndarray:
    known = labels >= 0
    if not known.any():
        raise UserError("no video of these scores has a label, so there is no accuracy.")
    return known
