"""Squeeze-and-excitation over space and time."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.sites import Site
from kinema.models.temporal.base import TemporalModule

_LEAST_HIDDEN = 4
"""Hidden units that a narrow block keeps (64 / 16 of ResNet-18's first stage)."""


class SqueezeExcitation(TemporalModule):
    """Channels weighted by what the whole clip holds, at the end of every block.

    Source: "Squeeze-and-Excitation Networks" (arXiv 1709.01507); pooled over space and time in the deep analysis
    (arXiv 2010.11757).

    Args:
        se_reduction: Hidden units are the channels divided by this (at least 4).
    """

    option_names: ClassVar[tuple[str, ...]] = ("se_reduction",)

    def __init__(self, *, se_reduction: int = 16) -> None:
        if se_reduction < 1:
            raise UserError(f"se_reduction must be 1 or more, got {se_reduction}")
        self.se_reduction = se_reduction

    def branch_end(self, site: Site) -> nn.Module:
        """The gate."""
        return ChannelGate(site.channels, max(site.channels // self.se_reduction, _LEAST_HIDDEN))


class ChannelGate(nn.Module):
    """Average over all positions of all frames, two layers, a sigmoid, and a product."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to the same shape."""
        gate = torch.sigmoid(self.expand(torch.relu(self.reduce(clip.mean((2, 3, 4))))))
        return clip * gate[:, :, None, None, None]

    def own_macs(self, clip: Tensor) -> int:
        """Multiply-adds of the two layers; the product is not counted."""
        return clip.shape[0] * (self.reduce.weight.numel() + self.expand.weight.numel())
