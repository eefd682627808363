"""R(2+1)D: a spatial convolution and a temporal one with as many weights as the whole kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from kinema.errors import one_of
from kinema.models.layers import ClipBatchNorm, ClipConv3d, FrameConv2d
from kinema.models.sites import ConvSpec
from kinema.models.temporal.base import TemporalModule
from kinema.models.temporal.r3d import FRAMES

WIDTH_RULES = ("conv", "block")
"""What the width between the two halves is counted from: the convolution's own channels, or its block's."""

_STEM_WIDTH = 45, 64
"""Channels between the halves of a 7 x 7 stem, of so many behind it: the paper's appendix says 45, its formula 83."""


class R2plus1d(TemporalModule):
    """Every k x k convolution becomes a spatial one, a norm, a ReLU and a temporal one over three frames.

    The width between them is chosen so that both together have about as many weights as the three-dimensional kernel.
    Grouped convolutions are split within their groups.
    Source: "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (arXiv 1711.11248), section 3.5.

    Args:
        width_rule: ``"conv"``, the paper's: each convolution's width from its own channels; ``"block"``,
            torchvision's: one width for all of a block, from the channels that enter it.
    """

    strides_time = True
    sees_order = True
    option_names: ClassVar[tuple[str, ...]] = ("width_rule",)

    def __init__(self, *, width_rule: str = "conv") -> None:
        self.width_rule = one_of("width_rule", width_rule, WIDTH_RULES)

    def conv(self, spec: ConvSpec) -> nn.Module:
        """The pair; the convolution as it is where it covers one pixel, and outside the placement."""
        if spec.kernel == 1 or spec.kernel_time == 1 or not spec.temporal_allowed:
            return FrameConv2d(spec)
        return Conv2Plus1d(spec, width=self._width(spec))

    def _width(self, spec: ConvSpec) -> int:
        if spec.role == "stem" and spec.kernel == 7:
            part, whole = _STEM_WIDTH
            return spec.out_channels * part // whole
        by_block = self.width_rule == "block" and spec.block_in > 0 and spec.groups == 1
        num_in = spec.block_in if by_block else spec.in_channels
        width = middle_width(num_in // spec.groups, spec.out_channels // spec.groups, kernel=spec.kernel)
        return width * spec.groups


def middle_width(num_in: int, num_out: int, *, kernel: int, kernel_time: int = FRAMES) -> int:
    """Channels between the halves of a convolution, so that both have together as many weights as the whole.

    Args:
        num_in: Channels in.
        num_out: Channels out.
        kernel: Height and width of the kernel.
        kernel_time: Frames that it covers.
    """
    area = kernel * kernel
    return kernel_time * area * num_in * num_out // (area * num_in + kernel_time * num_out)


class Conv2Plus1d(nn.Module):
    """A spatial convolution, its norm and ReLU, then a temporal convolution.

    Attributes:
        spatial: Strides space; weights of four axes.
        norm: The norm between the two.
        temporal: Strides time.
    """

    def __init__(self, spec: ConvSpec, *, width: int) -> None:
        super().__init__()
        self.spatial = FrameConv2d(replace(spec, out_channels=width, stride_time=1, bias=False))
        self.norm = ClipBatchNorm(width, eps=spec.norm_eps, momentum=spec.norm_momentum)
        self.temporal = ClipConv3d(replace(spec, in_channels=width), kernel=1, kernel_time=FRAMES, stride=1)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t' h' w'``."""
        return self.temporal(torch.relu_(self.norm(self.spatial(clip))))
