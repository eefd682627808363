"""TAM: every channel of a frame blended with its neighbours in time."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kinema.errors import one_of
from kinema.models.sites import Site
from kinema.models.temporal.base import TemporalModule

TAM_INITS = ("identity", "kaiming")


class Tam(TemporalModule):
    """Temporal aggregation: three depth-wise taps over time, summed, then a ReLU.

    Source: "More Is Less: Learning Efficient Video Representations by Big-Little Network and Depthwise Temporal
    Aggregation" (arXiv 1912.00869), as the deep analysis places it (arXiv 2010.11757): at the head of the residual
    branch; on Inception after each stem convolution and each module.
    Differs from the paper: taps start as the identity (the frame itself 1, its neighbours 0), which keeps ImageNet
    features; the authors draw them at random. No ReLU where the map has none (linear bottlenecks of EfficientNet).

    Args:
        tam_init: ``"identity"``, or ``"kaiming"`` as the authors (fan out).
    """

    sees_order = True
    option_names: ClassVar[tuple[str, ...]] = ("tam_init",)

    def __init__(self, *, tam_init: str = "identity") -> None:
        self.tam_init = one_of("tam_init", tam_init, TAM_INITS)

    def mix(self, site: Site) -> nn.Module:
        """The taps."""
        return TemporalTaps(site.channels, init=self.tam_init, rectify=site.rectified)


class TemporalTaps(nn.Module):
    """Three taps per channel over the previous, the same and the next frame; beyond the ends there are zeros.

    Attributes:
        taps: Axes ``tap c``; taps in the order previous, current, next.
    """

    def __init__(self, channels: int, *, init: str, rectify: bool) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.empty(3, channels))
        self.rectify = rectify
        if init == "identity":
            with torch.no_grad():
                self.taps.zero_()[1] = 1.0
        else:  # each tap is a depth-wise 1 x 1 convolution: its fan out, as the authors' initialiser counts, is c
            nn.init.normal_(self.taps, std=(2.0 / channels) ** 0.5)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to the same shape."""
        blended = _Blend.apply(clip, self.taps.to(clip.dtype))
        return torch.relu_(blended) if self.rectify else blended

    def own_macs(self, clip: Tensor) -> int:
        """Multiply-adds that no convolution shows: three per element."""
        return 3 * clip.numel()


class _Blend(torch.autograd.Function):
    """Shifted multiply-adds into one buffer.

    A depth-wise 3-D convolution gives the same numbers eight times slower on CPU; plain slices under autograd copy the
    whole map for every shift.
    """

    @staticmethod
    def forward(ctx: Any, clip: Tensor, taps: Tensor) -> Tensor:  # pyrefly: ignore[bad-override]
        ctx.save_for_backward(clip, taps)
        return _blend(clip, taps)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # pyrefly: ignore[bad-override]
        clip, taps = ctx.saved_tensors
        grad_clip = _blend(grad, taps.flip(0)) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return grad_clip, None
        axes = (0, 2, 3, 4)
        previous = (grad[:, :, 1:] * clip[:, :, :-1]).sum(axes)
        current = (grad * clip).sum(axes)
        following = (grad[:, :, :-1] * clip[:, :, 1:]).sum(axes)
        return grad_clip, torch.stack((previous, current, following))


def _blend(clip: Tensor, taps: Tensor) -> Tensor:
    previous, current, following = taps.view(3, -1, 1, 1, 1)
    blended = clip * current
    blended[:, :, 1:].addcmul_(clip[:, :, :-1], previous)
    blended[:, :, :-1].addcmul_(clip[:, :, 1:], following)
    return blended
