"""Convolutions, norms and pools that take clips, ``b c t h w``, whatever they do with time inside.

Clips are kept in channels-last order (physically ``b t h w c``). There, folding time into the batch, joining time and
batch, or joining height and width are views, so that work on single frames runs as two-dimensional kernels for free.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.line_conv import line_conv
from kinema.models.sites import ConvSpec, PoolSpec, same_pads
from kinema.models.temporal_pooling import max_over_time


def to_layout(clip: Tensor) -> Tensor:
    """Put a clip into the physical order in which the networks run.

    Channels-last on every device. A training step on 8 frames of 112 x 112 on one CPU core takes ResNet-18 0.15 s in
    this order and 0.19 s in contiguous frames, EfficientNet-B0 0.14 s and 0.19 s; a 3-D ResNet-18 (64 x 64) loses 8 %.
    """
    return clip.contiguous(memory_format=torch.channels_last_3d)


# The four views below join or part axes that lie next to each other in memory, in the order of memory. ``flatten(3)``
# of ``b c t h w`` gives the same axes, but sees the batch's axis next to the channels', and gives the one clip of a
# batch, or the one frame of a clip, their stride; kernels then no longer know the order and answer in another one.


def fold(clip: Tensor) -> Tensor:
    """Lay the frames of a clip along the batch: ``b c t h w`` to ``(b t) c h w``."""
    return clip.permute(0, 2, 3, 4, 1).flatten(0, 1).permute(0, 3, 1, 2)


def unfold(frames: Tensor, num_frames: int) -> Tensor:
    """Undo ``fold``: ``(b t) c h w`` to ``b c t h w``."""
    return frames.permute(0, 2, 3, 1).unflatten(0, (-1, num_frames)).permute(0, 4, 1, 2, 3)


def lines(clip: Tensor) -> Tensor:
    """Lay the rows of every frame end to end: ``b c t h w`` to ``b c t (h w)``."""
    return clip.permute(0, 2, 3, 4, 1).flatten(2, 3).permute(0, 3, 1, 2)


def from_lines(joined: Tensor, size: Sequence[int]) -> Tensor:
    """Undo ``lines``: ``b c t (h w)`` to ``b c t h w``; ``size`` is height and width."""
    return joined.permute(0, 2, 3, 1).unflatten(2, size).permute(0, 4, 1, 2, 3)


def same_padding(frames: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad height and width as TensorFlow's SAME does: the output has ``ceil(size / stride)``, odd rests go behind."""
    pads = [pad for size in (frames.shape[-1], frames.shape[-2]) for pad in same_pads(size, kernel, stride)]
    return F.pad(frames, pads) if any(pads) else frames


def rectified(clip: Tensor) -> Tensor:
    """ReLU of what may be a view, as a convolution without a norm answers with; in place where no gradient is wanted.

    Autograd copies the gradient of a view that is written into; see ``ClipBatchNorm``.
    """
    return torch.relu(clip) if clip.requires_grad else torch.relu_(clip)


class Rectifier(nn.ReLU):
    """``rectified`` as a layer."""

    def forward(self, input: Tensor) -> Tensor:
        """``b c t h w`` to the same shape."""
        return rectified(input)


class FrameConv2d(nn.Conv2d):
    """A true two-dimensional convolution on every frame of a clip; weights have four axes."""

    def __init__(self, spec: ConvSpec) -> None:
        padding = spec.pad_of(spec.kernel)
        super().__init__(
            spec.in_channels, spec.out_channels, spec.kernel, spec.stride, padding, groups=spec.groups, bias=spec.bias
        )
        self.same_padding = spec.same_padding
        self.stride_time = spec.stride_time

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; ``b c t h w`` to ``b d t' h' w'``, where ``t'`` skips frames if time is strided here."""
        clip = input[:, :, :: self.stride_time] if self.stride_time > 1 else input
        frames = fold(clip)
        if self.same_padding:
            frames = same_padding(frames, self.kernel_size[0], self.stride[0])
        return unfold(super().forward(frames), clip.shape[2])


class ClipConv3d(nn.Conv3d):
    """A convolution over time, height and width; weights have five axes, and flat ones run as two-dimensional kernels.

    A kernel that covers one frame works on folded frames; one that covers one position works on ``t`` and ``(h w)`` as
    if they were height and width. That takes a third of the time of the general kernel on CPU.
    Grouped kernels that cover both stay whole: on one CPU core, in channels-last order, the general kernel takes 0.35
    to 0.85 of the time of three two-dimensional convolutions over folded frames, training 0.36 to 0.57 (MF-Net's
    shapes, 16 groups of 6 to 48 channels).
    """

    def __init__(
        self,
        spec: ConvSpec,
        *,
        kernel: int | None = None,
        kernel_time: int,
        stride: int | None = None,
        bias: bool | None = None,
    ) -> None:
        kernel = spec.kernel if kernel is None else kernel
        stride = spec.stride if stride is None else stride
        padding = spec.pad_of(kernel)
        super().__init__(
            spec.in_channels,
            spec.out_channels,
            (kernel_time, kernel, kernel),
            (spec.stride_time, stride, stride),
            (0 if spec.same_time else kernel_time // 2, padding, padding),
            groups=spec.groups,
            bias=spec.bias if bias is None else bias,
        )
        self.same_padding = spec.same_padding
        self.same_time = spec.same_time
        self._flat_padding = padding

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; ``b c t h w`` to ``b d t' h' w'``."""
        kernel_time, kernel, _ = self.kernel_size
        stride_time, stride, _ = self.stride
        if kernel_time == 1:
            clip = input[:, :, ::stride_time]
            frames = fold(clip)
            if self.same_padding:
                frames = same_padding(frames, kernel, stride)
            out = F.conv2d(frames, self.weight[:, :, 0], self.bias, stride, self._flat_padding, groups=self.groups)
            return unfold(out, clip.shape[2])
        if self.same_time:
            input = F.pad(input, (0, 0, 0, 0, *same_pads(input.shape[2], kernel_time, stride_time)))
        if kernel == stride == 1:
            padding = 0 if self.same_time else kernel_time // 2
            weight = self.weight[..., 0]
            out = line_conv(lines(input), weight, self.bias, stride=stride_time, padding=padding, groups=self.groups)
            return from_lines(out, input.shape[3:])
        if self.same_padding:
            input = unfold(same_padding(fold(input), kernel, stride), input.shape[2])
        if self._small(input):
            return self._frame_by_frame(input)
        return to_layout(super().forward(input))  # some kernels, for one clip, answer in contiguous order

    def _small(self, input: Tensor) -> bool:
        """Whether the library would hand one clip to its plain kernel, and frames by themselves are sooner done.

        It does so up to 20480 rows of pixels, channels and frames counted in; that took 51 ms for 64 channels of
        8 x 28 x 28, this 12 (one core); on maps below 7 x 7 or two frames it is the other way round.
        """
        batch, channels, num_frames, height, width = input.shape
        fits = self.kernel_size[0] == 3 and self.stride[0] == self.groups == 1 and not self.same_time
        small = batch == 1 and channels * num_frames * height <= 20480 and num_frames > 2 and height * width >= 49
        learns = torch.is_grad_enabled() and (input.requires_grad or self.weight.requires_grad)
        return fits and small and input.device.type == "cpu" and not learns

    def _frame_by_frame(self, input: Tensor) -> Tensor:
        """A flat convolution for each frame of the kernel, summed where each falls; three frames, stride 1 in time."""

        def flat(clip: Tensor, frame: int, bias: Tensor | None = None) -> Tensor:
            out = F.conv2d(fold(clip), self.weight[:, :, frame], bias, self.stride[1:], self._flat_padding)
            return unfold(out, clip.shape[2])

        total = flat(input, 1, self.bias)
        total[:, :, 1:] += flat(input[:, :, :-1], 0)
        total[:, :, :-1] += flat(input[:, :, 1:], 2)
        return total


class ClipBatchNorm(nn.BatchNorm2d):
    """Batch norm over all positions of all frames; keys and statistics are those of the two-dimensional norm.

    On a CPU the answer is no view of folded frames, so that the activation behind it may write into it: autograd copies
    the gradient, and clears the copy, of every view that is written into. The backward pass of norm and ReLU took 87 ms
    so and takes 19 (8 clips of 64 x 8 x 56 x 56, one core).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel of ``b c t h w``."""
        if input.device.type != "cpu":
            return unfold(super().forward(fold(input)), input.shape[2])
        momentum = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            momentum = 1.0 / self.num_batches_tracked.item() if momentum is None else momentum
        own = self.training or self.running_mean is None
        running = (
            (self.running_mean, self.running_var) if not self.training or self.track_running_stats else (None,) * 2
        )
        return F.batch_norm(input, *running, self.weight, self.bias, own, momentum or 0.0, self.eps)


class ClipMaxPool(nn.Module):
    """Max-pool over height, width and, where asked, two or three frames of time.

    The maximum over a box is the maximum over time of the maxima over space, so both passes stay cheap.
    """

    def __init__(self, spec: PoolSpec, *, kernel_time: int) -> None:
        super().__init__()
        assert kernel_time in (1, 2, 3)
        assert kernel_time > 1 or spec.stride_time == 1
        self.spec = spec
        self.kernel_time = kernel_time

    def forward(self, clip: Tensor) -> Tensor:
        """Pool; ``b c t h w`` to ``b c t' h' w'``."""
        spec = self.spec
        # a map that is smaller than the window is pooled whole, so that small clips pass as well
        window = spec.kernel if spec.padding else [min(spec.kernel, side) for side in clip.shape[-2:]]
        padding, ceil_mode = [spec.padding] * 2, spec.ceil_mode
        if spec.same_padding:  # ceil mode adds what is missing behind
            window, ceil_mode = spec.kernel, True
            padding = [same_pads(side, spec.kernel, spec.stride)[0] for side in clip.shape[-2:]]
        pooled = F.max_pool2d(fold(clip), window, spec.stride, padding, ceil_mode=ceil_mode)
        pooled = unfold(pooled, clip.shape[2])
        if self.kernel_time == 1:
            return pooled
        return max_over_time(pooled, kernel=self.kernel_time, stride=spec.stride_time, same_padding=spec.same_padding)

    def extra_repr(self) -> str:
        """The window, for printing."""
        return f"kernel={(self.kernel_time, self.spec.kernel)}, stride={(self.spec.stride_time, self.spec.stride)}"
