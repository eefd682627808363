"""Non-local blocks: every position of every frame attends to all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers import ClipBatchNorm, ClipConv3d, fold, unfold
from kinema.models.sites import ConvSpec, Site
from kinema.models.temporal.base import TemporalModule

_STAGES = (2, 3)
"""Stages at spatial strides 8 and 16: ResNet's layer2 and layer3."""


class NonLocal(TemporalModule):
    """Non-local blocks in the two middle stages, by default after every second block (ResNet-50: two and three).

    Attention has no notion of position, so the module does not see the order of frames.
    Source: "Non-local Neural Networks" (arXiv 1711.07971), embedded Gaussian, zero-initialised.

    Args:
        nl_blocks: Names of the blocks that are followed by one, such as ``["layer2.0", "layer2.2"]`` (public sources
            differ in the indices); empty for the default.
        nl_subsample: Whether keys and values are max-pooled 2 x 2 in space, which quarters the attention.
    """

    option_names: ClassVar[tuple[str, ...]] = ("nl_blocks", "nl_subsample")

    def __init__(self, *, nl_blocks: Sequence[str] = (), nl_subsample: bool = True) -> None:
        self.nl_blocks = self.named_blocks = tuple(nl_blocks)
        self.nl_subsample = nl_subsample

    @classmethod
    def may_have_no_gradient(cls, parameter: str) -> bool:
        """The bias of the keys adds the same to every score before the softmax."""
        return parameter.endswith(".phi.bias")

    def after(self, site: Site) -> nn.Module:
        """A non-local block after the chosen blocks."""
        usual = site.stage in _STAGES and site.block % 2 == 1
        chosen = site.name in self.nl_blocks if self.nl_blocks else usual
        return NonLocalBlock(site.channels, subsample=self.nl_subsample) if chosen else nn.Identity()


class NonLocalBlock(nn.Module):
    """Embedded-Gaussian attention over ``(t h w)``, a zero-initialised norm, and a residual sum."""

    def __init__(self, channels: int, *, subsample: bool) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.theta = _pointwise(channels, inner)
        self.phi = _pointwise(channels, inner)
        self.g = _pointwise(channels, inner)
        self.out = _pointwise(inner, channels)
        self.norm = ClipBatchNorm(channels)
        self.subsample = subsample
        for conv in (self.theta, self.phi, self.g, self.out):
            nn.init.normal_(conv.weight, std=0.01)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        nn.init.zeros_(self.norm.weight)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to the same shape."""
        queries = self.theta(clip).flatten(2).transpose(1, 2)
        keys = self._subsampled(self.phi(clip)).flatten(2).transpose(1, 2)
        values = self._subsampled(self.g(clip)).flatten(2).transpose(1, 2)
        # the paper does not divide by the square root of the width
        attended = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        attended = attended.transpose(1, 2).unflatten(2, clip.shape[2:])
        return clip + self.norm(self.out(attended))

    def own_macs(self, clip: Tensor) -> int:
        """Multiply-adds of the two attention products."""
        batch, _, num_frames, height, width = clip.shape
        keys = num_frames * ((height // 2) * (width // 2) if self._pools(clip) else height * width)
        return 2 * batch * num_frames * height * width * keys * self.theta.out_channels

    def _pools(self, clip: Tensor) -> bool:
        return self.subsample and min(clip.shape[-2:]) >= 2  # a map of one row has nothing to pool

    def _subsampled(self, clip: Tensor) -> Tensor:
        return unfold(F.max_pool2d(fold(clip), 2), clip.shape[2]) if self._pools(clip) else clip


def _pointwise(in_channels: int, out_channels: int) -> ClipConv3d:
    spec = ConvSpec(in_channels=in_channels, out_channels=out_channels, kernel=1, role="reduce")
    return ClipConv3d(spec, kernel_time=1, bias=True)
