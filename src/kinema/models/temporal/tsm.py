"""TSM: channels shifted along time."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.sites import Site
from kinema.models.temporal.base import TemporalModule

_DEEP = 33
"""Blocks from which a ResNet counts as deep (ResNet-101 has 33): there only every second block shifts."""


class Tsm(TemporalModule):
    """Temporal shift in the residual branch: no parameter, no multiplication.

    Source: "TSM: Temporal Shift Module for Efficient Video Understanding" (arXiv 1811.08383), residual shift.

    Args:
        shift_div: One part in ``shift_div`` of the channels takes the next frame, one part the previous.
        shift_every: Shift in every block (1), every second block of a stage (2), ...; 0 decides by depth as the
            authors' code does: 2 from ResNet-101 on, else 1.
    """

    sees_order = True
    option_names: ClassVar[tuple[str, ...]] = ("shift_div", "shift_every")

    def __init__(self, *, shift_div: int = 8, shift_every: int = 0) -> None:
        if shift_div < 2:
            raise UserError(f"shift_div must be 2 or more (two parts of the channels move), got {shift_div}")
        if shift_every < 0:
            raise UserError(f"shift_every must be 0 (by depth) or a number of blocks, got {shift_every}")
        self.shift_div = shift_div
        self.shift_every = shift_every

    def mix(self, site: Site) -> nn.Module:
        """A shift at the head of the branch."""
        every = self.shift_every or (2 if site.num_blocks >= _DEEP else 1)
        return Shift(site.channels // self.shift_div) if site.block % every == 0 else nn.Identity()


class Shift(nn.Module):
    """Take the first ``width`` channels from the next frame and the second ``width`` from the previous one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = max(width, 1)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to the same shape; zeros come in at the ends."""
        return _Shift.apply(clip, self.width, True)

    def extra_repr(self) -> str:
        """The width, for printing."""
        return f"width={self.width}"


class _Shift(torch.autograd.Function):
    """One pass over memory each way: the gradient of a shift is the shift the other way."""

    @staticmethod
    def forward(ctx: Any, clip: Tensor, width: int, first_from_next: bool) -> Tensor:  # pyrefly: ignore[bad-override]
        ctx.arguments = (width, first_from_next)
        first, second, rest = slice(0, width), slice(width, 2 * width), slice(2 * width, None)
        from_next, from_previous = (first, second) if first_from_next else (second, first)
        shifted = torch.empty_like(clip)
        shifted[:, from_next, :-1] = clip[:, from_next, 1:]
        shifted[:, from_next, -1] = 0
        shifted[:, from_previous, 1:] = clip[:, from_previous, :-1]
        shifted[:, from_previous, 0] = 0
        shifted[:, rest] = clip[:, rest]
        return shifted

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyrefly: ignore[bad-override]
        width, first_from_next = ctx.arguments
        return _Shift.apply(grad, width, not first_from_next), None, None
