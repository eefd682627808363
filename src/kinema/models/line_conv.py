"""Temporal convolutions on frames laid out as lines, with a gradient of the weights by products of matrices."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.models.sites import tap_span


def line_conv(
    joined: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int, padding: int, groups: int = 1
) -> Tensor:
    """Convolve over time, ``b c t l`` to ``b d t' l``.

    On a CPU, and where weights learn, the gradient of the weights is a sum of products of matrices, one for each frame
    of the kernel: the library's own runs at 12 to 80 GFLOP/s on one AVX2 core, these products at 70 to 80 (kernels of
    R(2+1)D, 8 clips of 8 x 112 x 112).

    Args:
        joined: The clip, in channels-last order.
        weight: Axes ``d c k 1``.
        bias: Axis ``d``, or None.
        stride: Frames from one answer to the next.
        padding: Frames of zeros at each end.
        groups: Groups of channels that do not meet.
    """
    plain = groups > 1 or joined.device.type != "cpu" or joined.dtype not in (torch.float32, torch.float64)
    plain = plain or not (torch.is_grad_enabled() and weight.requires_grad)
    if plain or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return F.conv2d(joined, weight, bias, (stride, 1), (padding, 0), groups=groups)
    return _LineConv.apply(joined, weight, bias, stride, padding)


class _LineConv(torch.autograd.Function):
    @staticmethod
    def forward(  # pyrefly: ignore[bad-override]
        ctx: Any, joined: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(joined, weight)
        ctx.steps = (stride, padding)
        return F.conv2d(joined, weight, bias, (stride, 1), (padding, 0))

    @staticmethod
    def backward(  # pyrefly: ignore[bad-override]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        joined, weight = ctx.saved_tensors
        stride, padding = ctx.steps
        of_input, of_weight, of_bias = ctx.needs_input_grad[:3]
        twice = torch.is_grad_enabled()  # whoever wants to differentiate once more needs the library's own
        grad_input = grad_weight = None
        if of_input or (of_weight and twice):
            mask = (of_input, of_weight and twice, False)
            grad_input, grad_weight, _ = torch.ops.aten.convolution_backward(
                grad, joined, weight, None, (stride, 1), (padding, 0), (1, 1), False, (0, 0), 1, mask
            )
        if of_weight and not twice:
            grad_weight = _weight_gradient(grad, joined, weight.shape[2], stride, padding)
        return grad_input, grad_weight, grad.sum((0, 2, 3)) if of_bias else None, None, None


def _weight_gradient(grad: Tensor, joined: Tensor, size: int, stride: int, padding: int) -> Tensor:
    grads, inputs = (part.permute(0, 2, 3, 1).contiguous() for part in (grad, joined))  # b t l c
    total = grads.new_zeros(size, grads.shape[3], inputs.shape[3])
    for tap, products in enumerate(total):
        first, last = tap_span(tap, inputs.shape[1], grads.shape[1], stride=stride, padding=padding)
        if last < first:
            continue
        start = first * stride + tap - padding
        seen = inputs[:, start : start + (last - first) * stride + 1 : stride]
        for clip_grad, clip in zip(grads[:, first : last + 1], seen, strict=True):
            products.addmm_(clip_grad.flatten(0, 1).t(), clip.flatten(0, 1))
    return total.permute(1, 2, 0).unsqueeze(3)
