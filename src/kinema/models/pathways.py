"""The parts of SlowFast: which frames the slow pathway sees, what it is told, and how both maps become one."""

from __future__ import annotations

from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from kinema.models.layers import ClipBatchNorm, ClipConv3d
from kinema.models.sites import ConvSpec
from kinema.models.temporal.base import init_conv
from kinema.shapes import Clip, Features

Pair: TypeAlias = tuple[Tensor, Tensor]
"""The slow and the fast pathway's map, ``b c t h w`` each with its own channels and time steps."""

LATERAL_RATIO: Final = 2
"""Channels that a lateral connection hands over, for each of the fast pathway's."""


def slow_frames(num_frames: int, alpha: int) -> list[int]:
    """Which frames of a clip the slow pathway sees, 0-based: evenly spread from the first to the last, truncated.

    One frame for every ``alpha``, rounded up; where ``alpha`` divides the number of frames, these are the frames of
    the published code (``linspace(0, num_frames - 1, num_frames // alpha)`` cut to integers), but for its rounding
    errors: with 160, 400 and 512 frames it takes one frame earlier here and there.
    Differs from the paper: there, every alpha-th frame from the first.
    """
    count = -(-num_frames // alpha)
    return [0] if count == 1 else [step * (num_frames - 1) // (count - 1) for step in range(count)]


class SlowFrames(nn.Module):
    """From a clip to the slow pathway's frames and the clip itself."""

    def __init__(self, alpha: int) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, clip: Clip) -> Pair:
        """``b c t h w`` to a pair of ``b c ceil(t/alpha) h w`` and the clip."""
        indices = torch.tensor(slow_frames(clip.shape[2], self.alpha), device=clip.device)
        # picked in the physical order b t h w c, so that the result is laid out as the clip is
        return clip.permute(0, 2, 3, 4, 1).index_select(1, indices).permute(0, 4, 1, 2, 3), clip


class Lateral(nn.Module):
    """What the fast pathway tells the slow one: a convolution over time with stride alpha, batch norm, ReLU."""

    def __init__(self, channels: int, *, alpha: int, kernel_time: int) -> None:
        super().__init__()
        spec = ConvSpec(
            in_channels=channels, out_channels=LATERAL_RATIO * channels, kernel=1, role="reduce", stride_time=alpha
        )
        self.conv = ClipConv3d(spec, kernel_time=kernel_time)
        init_conv(self.conv)
        self.bn = ClipBatchNorm(spec.out_channels)

    def forward(self, fast: Features) -> Features:
        """``b c t h w`` to ``b 2c ceil(t/alpha) h w``."""
        return torch.relu_(self.bn(self.conv(fast)))


class Pathways(nn.Module):
    """One stage of both pathways, and the lateral connection behind it where there is one."""

    def __init__(self, slow: nn.Module, fast: nn.Module, lateral: Lateral | None) -> None:
        super().__init__()
        self.slow = slow
        self.fast = fast
        self.lateral = lateral

    def forward(self, passed: Pair) -> Pair:
        """A pair of maps to the next pair; the slow one has its own channels first, then what it was told."""
        slow, fast = self.slow(passed[0]), self.fast(passed[1])
        return slow if self.lateral is None else torch.cat([slow, self.lateral(fast)], 1), fast


def average_over_spans(clip: Features, num_spans: int) -> Features:
    """Average time over spans of equal length: ``b c t h w`` to ``b c num_spans h w``.

    A frame that two spans share counts in each with the part that lies there, so the average stays what it was.
    """
    num_frames = clip.shape[2]
    # in units of 1 / (t num_spans) of the clip: frames are num_spans long, spans are t long
    frames = torch.arange(num_frames, device=clip.device)[:, None] * num_spans
    spans = torch.arange(num_spans, device=clip.device) * num_frames
    shared = torch.minimum(frames + num_spans, spans + num_frames) - torch.maximum(frames, spans)
    return torch.einsum("bcthw,ts->bcshw", clip, shared.clamp(min=0).to(clip.dtype) / num_frames)
