"""The ways in which one convolution over clips can be computed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers import ClipConv3d, FrameConv2d, fold, from_lines, lines, to_layout, unfold
from kinema.models.sites import same_pads
from kinema.models.winograd import transform_kernels, winograd

_LEAST_BATCH: Final = 16
"""Images from which on the library takes its own kernel for 1 x 1 convolutions on one thread."""


class ChosenConv(nn.Conv3d):
    """A convolution that is computed in one of the ``FORMS``; its weights have five axes and the form's memory order.

    Attributes:
        form: Name of the form.
        same_padding: Whether space is padded as TensorFlow's SAME does.
        same_time: Whether time is.
    """

    def __init__(self, conv: FrameConv2d | ClipConv3d, form: str | None = None) -> None:
        before: tuple[list[int], ...] = ([], [], [])
        if isinstance(conv, FrameConv2d):
            before = ([1], [conv.stride_time], [0])
        sizes = (conv.kernel_size, conv.stride, _numbers(conv.padding))
        kernel, stride, padding = (_triple(*first, *size) for first, size in zip(before, sizes, strict=True))
        bias = conv.bias is not None
        with torch.device("meta"):
            super().__init__(
                conv.in_channels, conv.out_channels, kernel, stride, padding, groups=conv.groups, bias=bias
            )
        weight = conv.weight.detach()
        self.weight = nn.Parameter(weight.unsqueeze(2) if weight.ndim == 4 else weight, requires_grad=False)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach(), requires_grad=False)
        self.same_padding = conv.same_padding
        self.same_time = isinstance(conv, ClipConv3d) and conv.same_time
        self._by_padding: dict[tuple[int, ...], ChosenConv] = {}
        self.form = next(iter(FORMS))
        if form is not None:
            self.take(form)

    points: Tensor | None

    def take(self, form: str) -> None:
        """Compute in this form from now on."""
        self.form = form
        self._by_padding = {}
        order = FORMS[form].weight_order
        back = [order.index(axis) for axis in range(5)]
        self.weight = nn.Parameter(self.weight.permute(order).contiguous().permute(back), requires_grad=False)
        points = transform_kernels(self.weight) if form == "winograd" else None
        self.register_buffer("points", points, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; ``b c t h w`` to ``b d t' h' w'``."""
        conv = self._evened(input.shape[2:]) if self.same_padding or self.same_time else self
        return FORMS[self.form].run(conv, input)

    def _evened(self, sizes: torch.Size) -> ChosenConv:
        """The convolution that pads a map of these sizes as SAME does, with as many zeros before it as behind it.

        Where SAME puts fewer before, the kernel begins with zeros: padding the map would copy it, which takes longer
        than a strided depth-wise convolution.
        """
        padding, fewer = list(_numbers(self.padding)), [0, 0, 0]
        for axis, same in enumerate((self.same_time, self.same_padding, self.same_padding)):
            if same:
                before, padding[axis] = same_pads(sizes[axis], self.kernel_size[axis], self.stride[axis])
                fewer[axis] = padding[axis] - before
        key = (*padding, *fewer)
        if key not in self._by_padding:
            conv = copy.deepcopy(self)
            conv.padding = _triple(*padding)
            conv.weight, conv.points = self.weight, self.points
            if any(fewer):
                conv.kernel_size = _triple(*(size + more for size, more in zip(self.kernel_size, fewer, strict=True)))
                conv.weight = nn.Parameter(F.pad(self.weight, (fewer[2], 0, fewer[1], 0, fewer[0], 0)), False)
                conv.take(self.form)
            self._by_padding[key] = conv
        return self._by_padding[key]

    def forms(self) -> list[str]:
        """Names of the forms that this convolution can take."""
        return [name for name, form in FORMS.items() if form.fits(self)]

    def extra_repr(self) -> str:
        """The convolution and its form, for printing."""
        return f"{super().extra_repr()}, form={self.form}"


class Form(NamedTuple):
    """One way to compute a convolution.

    Attributes:
        fits: Whether a convolution can be computed so.
        run: From the convolution, which pads evenly, and a clip ``b c t h w`` to its answer.
        weight_order: The five axes of the weights ``d c t h w`` in the order in which they lie in memory.
    """

    fits: Callable[[ChosenConv], bool]
    run: Callable[[ChosenConv, Tensor], Tensor]
    weight_order: tuple[int, int, int, int, int]


def _numbers(padding: str | tuple[int, ...]) -> tuple[int, ...]:
    assert not isinstance(padding, str)  # our own layers pad by numbers
    return padding


def _triple(frames: int, rows: int, columns: int) -> tuple[int, int, int]:
    return frames, rows, columns


def _whole(conv: ChosenConv, clip: Tensor) -> Tensor:
    return to_layout(F.conv3d(clip, conv.weight, conv.bias, conv.stride, _numbers(conv.padding), groups=conv.groups))


def _contiguous(conv: ChosenConv, clip: Tensor) -> Tensor:
    return _whole(conv, clip.contiguous())


def _frames(conv: ChosenConv, clip: Tensor) -> Tensor:
    clip = clip[:, :, :: conv.stride[0]]
    out = F.conv2d(fold(clip), conv.weight[:, :, 0], conv.bias, conv.stride[1:], _space(conv), groups=conv.groups)
    return unfold(out, clip.shape[2])


def _lines(conv: ChosenConv, clip: Tensor) -> Tensor:
    stride, padding = (conv.stride[0], 1), (_numbers(conv.padding)[0], 0)
    out = F.conv2d(lines(clip), conv.weight[..., 0], conv.bias, stride, padding, groups=conv.groups)
    return from_lines(out, clip.shape[3:])


def _rows(conv: ChosenConv, clip: Tensor) -> Tensor:
    rows = clip[:, :, :: conv.stride[0], :: conv.stride[1], :: conv.stride[2]].movedim(1, -1)
    return F.linear(rows, conv.weight.flatten(1), conv.bias).movedim(-1, 1)


def _batched(conv: ChosenConv, clip: Tensor) -> Tensor:
    """All positions as the batch of a flat convolution, with as many in a row as leave at least 16 rows.

    On one thread the library hands smaller batches to a product of matrices, which is slower on many shapes.
    """
    seen = clip[:, :, :: conv.stride[0], :: conv.stride[1], :: conv.stride[2]].permute(0, 2, 3, 4, 1)
    num = seen.shape[:4].numel()
    rows = next((rows for rows in range(_LEAST_BATCH, num) if num % rows == 0), num)
    images = seen.reshape(rows, 1, -1, seen.shape[4]).permute(0, 3, 1, 2)
    out = F.conv2d(images, conv.weight[:, :, 0], conv.bias, groups=conv.groups)
    return out.permute(0, 2, 3, 1).reshape(*seen.shape[:4], -1).permute(0, 4, 1, 2, 3)


def _taps(conv: ChosenConv, clip: Tensor) -> Tensor:
    """One two-dimensional convolution for each frame of the kernel, summed where each falls; the middle one first."""
    (size, stride, padding), num_frames = (
        (conv.kernel_size[0], conv.stride[0], _numbers(conv.padding)[0]),
        clip.shape[2],
    )
    num_out = (num_frames + 2 * padding - size) // stride + 1
    total: Tensor | None = None
    for tap in sorted(range(size), key=lambda tap: abs(tap - size // 2)):
        first = max(0, -((tap - padding) // stride))
        last = min(num_out - 1, (num_frames - 1 + padding - tap) // stride)
        if last < first:
            continue
        start = first * stride + tap - padding
        seen = clip[:, :, start : start + (last - first) * stride + 1 : stride]
        bias = conv.bias if total is None else None
        out = F.conv2d(fold(seen), conv.weight[:, :, tap], bias, conv.stride[1:], _space(conv), groups=conv.groups)
        out = unfold(out, seen.shape[2])
        if total is None and seen.shape[2] == num_out:
            total = out
        elif total is None:  # frames that the middle tap does not reach have the bias alone
            empty = out.new_zeros(out.shape[0], num_out, *out.shape[3:], out.shape[1]).movedim(-1, 1)
            total = empty if conv.bias is None else empty.add_(conv.bias.view(-1, 1, 1, 1))
            total[:, :, first : last + 1] = out
        else:
            total[:, :, first : last + 1] += out
    assert total is not None
    return total


def _joined(conv: ChosenConv, clip: Tensor) -> Tensor:
    """The frames that a kernel covers side by side as channels of one, for kernels on few channels."""
    (size, stride, padding) = conv.kernel_size[0], conv.stride[0], _numbers(conv.padding)[0]
    clip = F.pad(clip, (0, 0, 0, 0, padding, padding)) if padding else clip
    span = clip.shape[2] - size + 1
    joined = to_layout(torch.cat([clip[:, :, tap : tap + span : stride] for tap in range(size)], 1))
    weight = conv.weight.transpose(1, 2).flatten(1, 2)
    return unfold(F.conv2d(fold(joined), weight, conv.bias, conv.stride[1:], _space(conv)), joined.shape[2])


def _winograd(conv: ChosenConv, clip: Tensor) -> Tensor:
    assert conv.points is not None
    return winograd(clip, conv.points, conv.bias, _numbers(conv.padding))


def _fits_winograd(conv: ChosenConv) -> bool:
    precise = conv.weight.dtype in (torch.float32, torch.float64)  # sums of unlike terms
    return precise and conv.kernel_size[1:] == (3, 3) and conv.stride == (1, 1, 1) and conv.groups == 1


def _space(conv: ChosenConv) -> tuple[int, ...]:
    return _numbers(conv.padding)[1:]


FORMS: Final[dict[str, Form]] = {
    "whole": Form(lambda _: True, _whole, (0, 2, 3, 4, 1)),
    "contiguous": Form(lambda _: True, _contiguous, (0, 1, 2, 3, 4)),
    "frames": Form(lambda conv: conv.kernel_size[0] == 1, _frames, (0, 2, 3, 4, 1)),
    "lines": Form(
        lambda conv: conv.kernel_size[1:] == conv.stride[1:] == (1, 1) and not any(_space(conv)),
        _lines,
        (0, 2, 3, 4, 1),
    ),
    "rows": Form(
        lambda conv: conv.kernel_size == (1, 1, 1) and conv.groups == 1 and not any(_numbers(conv.padding)),
        _rows,
        (0, 2, 3, 4, 1),
    ),
    "batched": Form(
        lambda conv: conv.kernel_size == (1, 1, 1) and not any(_numbers(conv.padding)), _batched, (0, 2, 3, 4, 1)
    ),
    "taps": Form(lambda conv: conv.kernel_size[0] > 1, _taps, (2, 0, 3, 4, 1)),
    "joined": Form(lambda conv: conv.kernel_size[0] > 1 and conv.groups == 1, _joined, (0, 3, 4, 2, 1)),
    "winograd": Form(_fits_winograd, _winograd, (0, 2, 3, 4, 1)),
}
"""The forms by name: one kernel over time and space in channels-last order or in contiguous order (with the way there
and back), a flat one over the folded frames, a temporal one over (t, h w), a product of matrices, a flat one over
batches of positions, a sum of flat ones, a flat one over neighbouring frames joined, and Winograd's method."""


def conv_ways(conv: FrameConv2d | ClipConv3d) -> dict[str, Callable[[], ChosenConv]]:
    """How to make each form that a convolution can take, by its name."""
    return {name: partial(ChosenConv, conv, name) for name in ChosenConv(conv).forms()}
