"""What a backbone tells its temporal module when it asks for a part: the facts about one convolution, pool or place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["stem", "reduce", "spatial", "branch_out", "shortcut"]
"""What a convolution does: the network's first; 1 x 1 that changes the width; k x k; the last of a residual branch
(its norm is followed by the addition, not by an activation); the projection beside a residual branch."""


@dataclass(frozen=True, kw_only=True)
class ConvSpec:
    """One convolution of a backbone, as its two-dimensional form has it, and what time may do there.

    Attributes:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel: Height and width of the kernel.
        stride: Spatial stride.
        groups: Groups of channels that do not meet.
        same_padding: Pad as TensorFlow's SAME does (uneven at stride 2) rather than by half a kernel on each side.
        role: What the convolution is for.
        kernel_time: Frames that an inflated convolution covers here; 1 where it should stay flat.
        stride_time: 2 where time is halved and the module said that it strides time, else 1.
        bias_time: Whether a temporal convolution split off from this one carries a bias.
        norm_eps: The backbone's epsilon of batch norms, for norms that the module adds.
        norm_momentum: The same for their momentum.
        block_in: Channels that enter the block.
        block_out: Channels that leave the block.
        stage: 0 for the stem and maps as large; 1, 2, 3, 4 at spatial strides 4, 8, 16, 32.
        block: Position of the block in its stage, from 0.
        temporal_allowed: False outside the placement.
    """

    in_channels: int
    out_channels: int
    kernel: int
    role: Role
    stride: int = 1
    groups: int = 1
    same_padding: bool = False
    kernel_time: int = 1
    stride_time: int = 1
    bias_time: bool = False
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    block_in: int = 0
    block_out: int = 0
    stage: int = 0
    block: int = 0
    temporal_allowed: bool = True


@dataclass(frozen=True, kw_only=True)
class PoolSpec:
    """One max-pool of a backbone.

    Attributes:
        kernel: Height and width of the window.
        stride: Spatial stride.
        padding: Spatial padding, of minus infinity.
        ceil_mode: Whether a last window may reach over the border.
        kernel_time: Frames that an inflated pool covers here.
        stride_time: 2 where time is halved; every module has to follow.
        temporal_allowed: False outside the placement.
    """

    kernel: int
    stride: int
    padding: int = 0
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
