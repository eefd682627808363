"""Halving time: the max-pool that ``-tp`` puts where no convolution can stride."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.sites import same_pads


def max_over_time(clip: Tensor, *, stride: int, kernel: int = 3, same_padding: bool = False) -> Tensor:
    """Maximum over each frame and its two neighbours, at every frame or (``stride`` 2) at every second one.

    ``b c t h w`` to ``b c ceil(t / stride) h w``; beyond the ends there is nothing.

    Args:
        clip: The clip.
        stride: Frames from one maximum to the next.
        kernel: 3, or 2: each frame and the next, a last frame without a next one left out unless it is the only one.
        same_padding: Place the windows as TensorFlow's SAME does; then none is left out.
    """
    num_frames = clip.shape[2]
    padding = same_pads(num_frames, kernel, stride)[0] if same_padding else (kernel - 1) // 2
    window = min(kernel, num_frames + 2 * padding)
    return F.max_pool3d(clip, (window, 1, 1), (stride, 1, 1), (padding, 0, 0), ceil_mode=same_padding)


class TemporalMaxPool(nn.Module):
    """Halve time by a max-pool of size 3, stride 2, padding 1.

    Source: "Deep Analysis of CNN-based Spatio-temporal Representations for Action Recognition" (arXiv 2010.11757),
    temporal pooling; the size is that of the authors' released code.
    """

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b c ceil(t / 2) h w``."""
        return max_over_time(clip, stride=2)
