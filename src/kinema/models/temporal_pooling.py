"""Halving time: the max-pool that ``-tp`` puts where no convolution can stride."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def max_over_time(clip: Tensor, *, stride: int) -> Tensor:
    """Maximum over each frame and its two neighbours, at every frame or (``stride`` 2) at every second one.

    ``b c t h w`` to ``b c ceil(t / stride) h w``; beyond the ends there is nothing.
    """
    return F.max_pool3d(clip, (3, 1, 1), (stride, 1, 1), (1, 0, 0))


class TemporalMaxPool(nn.Module):
    """Halve time by a max-pool of size 3, stride 2, padding 1.

    Source: "Deep Analysis of CNN-based Spatio-temporal Representations for Action Recognition" (arXiv 2010.11757),
    temporal pooling; the size is that of the authors' released code.
    """

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b c ceil(t / 2) h w``."""
        return max_over_time(clip, stride=2)
