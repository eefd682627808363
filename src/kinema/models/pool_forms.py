"""Max-pools for inference: the maximum over a box as a chain of maxima over shifted rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from kinema.models.layers import ClipMaxPool
from kinema.models.sites import same_pads
from kinema.models.temporal_pooling import TemporalMaxPool


class ShiftedMaxPool(nn.Module):
    """The pool of ``ClipMaxPool`` or ``TemporalMaxPool``, number for number, one axis after the other.

    The library's kernels look for the position of every maximum too, which training needs; on a CPU these chains often
    take less time.
    """

    def __init__(self, pool: ClipMaxPool | TemporalMaxPool) -> None:
        super().__init__()
        self.pool = pool

    @torch.no_grad()
    def forward(self, clip: Tensor) -> Tensor:
        """Pool; ``b c t h w`` to ``b c t' h' w'``."""
        if isinstance(self.pool, TemporalMaxPool):
            return _over_time(clip, kernel=3, stride=2, same_padding=False)
        spec = self.pool.spec
        for axis in (4, 3):
            size = clip.shape[axis]
            window = spec.kernel if spec.padding or spec.same_padding else min(spec.kernel, size)
            padding = same_pads(size, spec.kernel, spec.stride)[0] if spec.same_padding else spec.padding
            clip = max_along(
                clip, axis, kernel=window, stride=spec.stride, padding=padding, ceil=spec.ceil_mode or spec.same_padding
            )
        if self.pool.kernel_time == 1:
            return clip
        kernel, stride = self.pool.kernel_time, spec.stride_time
        return _over_time(clip, kernel=kernel, stride=stride, same_padding=spec.same_padding)


def pool_ways(pool: ClipMaxPool | TemporalMaxPool) -> dict[str, Callable[[], nn.Module]]:
    """How to make each form that a pool can take: the library's kernel, or shifted maxima."""
    return {"kernel": lambda: pool, "shifted": partial(ShiftedMaxPool, pool)}


def _over_time(clip: Tensor, *, kernel: int, stride: int, same_padding: bool) -> Tensor:
    num_frames = clip.shape[2]
    padding = same_pads(num_frames, kernel, stride)[0] if same_padding else (kernel - 1) // 2
    window = min(kernel, num_frames + 2 * padding)
    return max_along(clip, 2, kernel=window, stride=stride, padding=padding, ceil=same_padding)


def max_along(clip: Tensor, axis: int, *, kernel: int, stride: int, padding: int, ceil: bool) -> Tensor:
    """Maximum over windows along one axis; beyond the ends there is nothing.

    Args:
        clip: Any tensor; none of its gradients are kept.
        axis: The axis.
        kernel: Size of a window.
        stride: From one window to the next.
        padding: Positions before the first that the first window covers.
        ceil: Whether a last window may reach over the end.
    """
    size = clip.shape[axis]
    rest = size + 2 * padding - kernel
    num_out = (-(-rest // stride) if ceil else rest // stride) + 1
    if (num_out - 1) * stride >= size + padding:  # a window has to begin on something
        num_out -= 1
    taps: list[tuple[int, int, Tensor]] = []
    for tap in range(kernel):
        first = max(0, -((tap - padding) // stride))
        last = min(num_out - 1, (size - 1 + padding - tap) // stride)
        if first <= last:
            start = first * stride + tap - padding
            seen = slice(start, start + (last - first) * stride + 1, stride)
            taps.append((first, last, clip[(slice(None),) * axis + (seen,)]))
    taps.sort(key=lambda tap: tap[0] - tap[1])  # one that reaches all windows first, where there is one
    (first, last, seen), *others = taps
    if (first, last) == (0, num_out - 1):
        if others and others[0][:2] == (first, last):
            pooled = torch.maximum(seen, others.pop(0)[2])
        else:
            pooled = torch.empty_like(seen).copy_(seen)
    else:
        shape = [*clip.shape[:axis], num_out, *clip.shape[axis + 1 :]]
        pooled = torch.empty_like(clip.narrow(axis, 0, 1).expand(shape)).fill_(-torch.inf)
        pooled.narrow(axis, first, last - first + 1).copy_(seen)
    for first, last, seen in others:
        part = pooled.narrow(axis, first, last - first + 1)
        torch.maximum(part, seen, out=part)
    return pooled
