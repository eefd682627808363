"""Local response normalisation, as networks had it before batch norm."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_NEIGHBOURS = 5
"""Channels that a sum covers, the channel itself in the middle."""


class ClipResponseNorm(nn.Module):
    """Divide every channel by a power of what it and its four nearest channels hold at the same place and frame.

    ``y = x / (k + alpha / 5 * sum of squares) ** beta``, as Caffe counts alpha; beyond the first and last channel there
    are zeros. Source: "ImageNet Classification with Deep Convolutional Neural Networks", section 3.3.

    Args:
        alpha: Weight of the mean square.
        beta: The power.
        k: What is added, so that nothing is divided by zero.
    """

    def __init__(self, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.alpha, self.beta, self.k = alpha, beta, k

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to the same shape."""
        rows = clip.movedim(1, -1)  # a clip's channels lie side by side in memory, so rows are views
        squares = rows.square().flatten(0, -2)
        mean_square = F.avg_pool1d(squares, _NEIGHBOURS, stride=1, padding=_NEIGHBOURS // 2).view_as(rows)
        return (rows * (mean_square * self.alpha + self.k).pow(-self.beta)).movedim(-1, 1)

    def extra_repr(self) -> str:
        """The constants, for printing."""
        return f"alpha={self.alpha}, beta={self.beta}, k={self.k}"
