"""What a backbone tells its temporal module when it asks for a part: the facts about one convolution, pool or place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["stem", "reduce", "spatial", "branch_out", "shortcut"]
"""What a convolution does: the network's first; 1 x 1 that changes the width; k x k; the last of a residual branch
(its norm is followed by the addition, not by an activation); the projection beside a residual branch."""


def same_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros that TensorFlow's SAME puts before and behind: ``ceil(size / stride)`` come out, odd rests go behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def tap_span(tap: int, size: int, num_out: int, *, stride: int, padding: int) -> tuple[int, int]:
    """The first and the last of ``num_out`` windows whose position ``tap`` falls on one of ``size`` positions.

    Window w begins at ``w stride - padding``. Where there is none, the last lies before the first.
    """
    return max(0, -((tap - padding) // stride)), min(num_out - 1, (size - 1 + padding - tap) // stride)


@dataclass(frozen=True, kw_only=True)
class ConvSpec:
    """One convolution of a backbone, as its two-dimensional form has it, and what time may do there.

    Attributes:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel: Height and width of the kernel.
        stride: Spatial stride.
        groups: Groups of channels that do not meet.
        padding: Rows and columns of zeros on each side; None for half a kernel.
        same_padding: Pad as TensorFlow's SAME does (uneven at stride 2) instead.
        same_time: SAME padding in time too.
        bias: Whether it carries a bias, as convolutions without a norm behind them do.
        init_fan: Fan-in (``"in"``, which keeps the scale of activations, as networks without norms need) or fan-out
            (``"out"``, which keeps that of gradients) of random weights.
        role: What the convolution is for.
        kernel_time: Frames that an inflated convolution covers here; 1 where it should stay flat.
        stride_time: Stride in time: 2 where time is halved by this convolution, which is where the module strides time
            or every module has to; else 1.
        split_time: Frames of the temporal convolution that a factorising module (S3D) puts behind this one; None for
            ``kernel_time``, except that a stem stays whole.
        ends_branch: Whether it is the last of a branch of an Inception module.
        bias_time: Whether a temporal convolution split off from this one carries a bias.
        norm_eps: The backbone's epsilon of batch norms, for norms that the module adds.
        norm_momentum: The same for their momentum.
        block_in: Channels that enter the block.
        block_out: Channels that leave the block.
        stage: 0 for the stem and maps as large; 1, 2, 3, 4 at spatial strides 4, 8, 16, 32.
        block: Position of the block in its stage, from 0.
        leads: Whether it is the first of its residual branch.
        temporal_allowed: False outside the placement.
    """

    in_channels: int
    out_channels: int
    kernel: int
    role: Role
    stride: int = 1
    groups: int = 1
    padding: int | None = None
    same_padding: bool = False
    same_time: bool = False
    bias: bool = False
    init_fan: Literal["in", "out"] = "out"
    kernel_time: int = 1
    stride_time: int = 1
    split_time: int | None = None
    ends_branch: bool = False
    bias_time: bool = False
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    block_in: int = 0
    block_out: int = 0
    stage: int = 0
    block: int = 0
    leads: bool = False
    temporal_allowed: bool = True

    @property
    def frames_behind(self) -> int:
        """Frames of the temporal convolution that a factorising module puts behind; 1 for none."""
        if self.split_time is not None:
            return self.split_time
        return 1 if self.role == "stem" else self.kernel_time

    def pad_of(self, kernel: int) -> int:
        """Zeros that a convolution of ``kernel`` rows puts on each side; one that covers a point needs none."""
        if self.same_padding:
            return 0
        return kernel // 2 if self.padding is None or kernel != self.kernel else self.padding


@dataclass(frozen=True, kw_only=True)
class PoolSpec:
    """One max-pool of a backbone.

    Attributes:
        kernel: Height and width of the window.
        stride: Spatial stride.
        padding: Spatial padding, of minus infinity.
        same_padding: Pad space and time as TensorFlow's SAME does instead (with minus infinity).
        ceil_mode: Whether a last window may reach over the border.
        kernel_time: Frames that an inflated pool covers here; where time is halved, every pool.
        stride_time: 2 where time is halved; every module has to follow.
        temporal_allowed: False outside the placement.
    """

    kernel: int
    stride: int
    padding: int = 0
    same_padding: bool = False
    ceil_mode: bool = False
    kernel_time: int = 1
    stride_time: int = 1
    temporal_allowed: bool = True


@dataclass(frozen=True, kw_only=True)
class Site:
    """One place of a backbone where a module may put a part of its own.

    Attributes:
        name: The block's name in the network, such as ``"layer2.1"``; several sites of one block share it.
        channels: Channels of the map there; the part has to keep them.
        stage: 0 for the stem and maps as large; 1, 2, 3, 4 at spatial strides 4, 8, 16, 32.
        block: Position of the block in its stage, from 0.
        num_blocks: Blocks of the whole backbone.
        rectified: Whether the map has gone through a ReLU, so that one more changes nothing.
        temporal_allowed: False outside the placement.
    """

    name: str
    channels: int
    stage: int
    block: int
    num_blocks: int
    rectified: bool = True
    temporal_allowed: bool = True
