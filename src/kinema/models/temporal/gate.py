"""Feature gating: channels weighed by what all channels hold on average, S3D-G's G."""

from __future__ import annotations

import math
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from kinema.errors import one_of
from kinema.models.sites import ConvSpec
from kinema.models.temporal.base import TemporalModule

_POOLED: Final = {"space_time": (2, 3, 4), "space": (3, 4), "time": (2,)}
"""Axes of ``b c t h w`` that are averaged."""

GATE_POOLS: Final = tuple(_POOLED)
"""What the average runs over: everything, every frame by itself, or every position by itself."""


class Gate(TemporalModule):
    """A gate behind every k x k convolution but the stem, and at the end of every branch of an Inception module.

    Behind the temporal half, where another module of the stack splits the convolution off (``s3d+gate`` is ``s3dg``).
    Source: "Rethinking Spatiotemporal Feature Learning" (arXiv 1712.04851), section 4.6.
    Differs from the paper: it gates after each temporal convolution; this is the placement of the authors' released
    code, which also gates the 1 x 1 branches that have none, and not the stem. That code has no bias (``gate_bias``).

    Args:
        gate_pool: One of ``GATE_POOLS``; the paper found ``"space_time"`` best.
        gate_bias: Whether the layer has a bias.
    """

    option_names: ClassVar[tuple[str, ...]] = ("gate_pool", "gate_bias")

    def __init__(self, *, gate_pool: str = "space_time", gate_bias: bool = True) -> None:
        self.gate_pool = one_of("gate_pool", gate_pool, GATE_POOLS)
        self.gate_bias = gate_bias

    def activated(self, spec: ConvSpec) -> nn.Module:
        """The gate."""
        if spec.ends_branch or (spec.kernel_time > 1 and spec.role != "stem"):
            return FeatureGate(spec.out_channels, pool=self.gate_pool, bias=self.gate_bias)
        return nn.Identity()


class FeatureGate(nn.Module):
    """A map times the sigmoid of a linear layer on its average.

    Args:
        channels: Channels of the map.
        pool: One of ``GATE_POOLS``.
        bias: Whether the layer has a bias.
    """

    def __init__(self, channels: int, *, pool: str, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels, bias=bias)
        self.pool = pool
        nn.init.trunc_normal_(self.linear.weight, std=0.01)  # as the authors' code: every gate starts half open
        if bias:
            nn.init.zeros_(self.linear.bias)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to the same shape."""
        pooled = clip.mean(_POOLED[self.pool], keepdim=True)
        return clip * torch.sigmoid(self.linear(pooled.movedim(1, -1))).movedim(-1, 1)

    def own_macs(self, clip: Tensor) -> int:
        """Multiply-adds of the layer; the product is not counted."""
        pooled = math.prod(clip.shape[axis] for axis in _POOLED[self.pool])
        return clip[:, 0].numel() // pooled * self.linear.weight.numel()

    def extra_repr(self) -> str:
        """The pooling, for printing."""
        return f"pool={self.pool}"
