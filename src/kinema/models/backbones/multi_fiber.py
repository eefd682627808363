"""The multi-fiber unit: a residual unit cut into fibers that meet in a multiplexer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinema.models.layers import ClipBatchNorm
from kinema.models.sites import ConvSpec, Role, Site
from kinema.models.temporal.base import PlacedModule
from kinema.models.temporal_pooling import TemporalMaxPool


@dataclass(frozen=True, kw_only=True)
class UnitSpec:
    """Number, width and stride of a multi-fiber unit; makes the specs of its parts.

    Attributes:
        name: The unit's name in the network, such as ``"conv2.B01"``.
        stage: 1, 2, 3, 4 at spatial strides 4, 8, 16, 32.
        block: Position of the unit in its stage, from 0.
        unit: Position of the unit in the network, from 0.
        num_units: Units of the whole network.
        in_channels: Channels in.
        middle: Channels between the two convolutions.
        out_channels: Channels out.
        fibers: Groups of channels that meet only in the multiplexer.
        multiplexer: Whether there is one.
        full: Whether the second convolution is 1 x 1 over all fibers rather than 3 x 3 within each.
        rectified: Whether the map that comes in has gone through a ReLU.
        stride: Spatial stride.
        halves_time: Whether time is halved here as ``-tp`` halves it, by a max-pool where no convolution can.
        strides_time: Whether time is halved here where a convolution can, and stays where none can.
    """

    name: str
    stage: int
    block: int
    unit: int
    num_units: int
    in_channels: int
    middle: int
    out_channels: int
    fibers: int
    multiplexer: bool
    full: bool
    rectified: bool
    stride: int
    halves_time: bool
    strides_time: bool

    def conv(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        role: Role,
        stride: int = 1,
        groups: int = 1,
        kernel_time: int = 1,
        in_time: int = 1,
    ) -> ConvSpec:
        """The facts of one convolution."""
        return ConvSpec(
            in_channels=in_channels,
            out_channels=out_channels,
            kernel=kernel,
            stride=stride,
            groups=groups,
            role=role,
            kernel_time=kernel_time,
            stride_time=in_time,
            block_in=self.in_channels,
            block_out=self.out_channels,
            stage=self.stage,
            block=self.block,
        )

    def site(self, channels: int) -> Site:
        """A free place of the unit."""
        return Site(
            name=self.name,
            channels=channels,
            stage=self.stage,
            block=self.block,
            num_blocks=self.num_units,
            rectified=self.rectified,
        )


class NormConv(nn.Module):
    """Batch norm, ReLU, convolution: the order of pre-activation networks.

    Attributes:
        bn: The norm.
        activated: What the activation passes through before the convolution.
        conv: The convolution.
    """

    def __init__(self, spec: ConvSpec, placed: PlacedModule, unit: int, *, before: ConvSpec | None = None) -> None:
        super().__init__()
        self.bn = ClipBatchNorm(spec.in_channels, eps=spec.norm_eps, momentum=spec.norm_momentum)
        self.activated = nn.Identity() if before is None else placed.activated(before, unit)
        self.conv = placed.conv(spec, unit)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t' h' w'``."""
        return self.conv(self.activated(torch.relu_(self.bn(clip))))


class MultiFiberUnit(nn.Module):
    """Multiplexer, two convolutions within fibers, and the sum with the unit's input.

    The multiplexer, 1 x 1 to a quarter of the middle width and back over all fibers, is added to the unit's input for
    the residual branch alone: the shortcut carries the input as it came. Only the first convolution covers time. In
    the first unit of a stage the shortcut is a strided 1 x 1 convolution.

    Source: "Multi-Fiber Networks for Video Recognition" (arXiv 1807.11195), section 3.1 and Figure 3, with the order
    of the authors' code: batch norm and ReLU before every convolution, the shortcut's too.
    Differs from the paper: it makes the multiplexer four times narrower than the unit's input; the authors' code, and
    so the paper's counts, four times narrower than the middle. Convolutions are drawn as in every backbone here
    (Kaiming), not by Xavier's rule.

    Attributes:
        conv_i1: Multiplexer, first half; absent without one.
        conv_i2: Multiplexer, second half.
        conv_m1: First convolution of the branch.
        conv_m2: Second convolution of the branch.
        conv_w1: The shortcut's; None where the input passes unchanged.
    """

    def __init__(self, unit_spec: UnitSpec, placed: PlacedModule) -> None:
        super().__init__()
        unit, channels, middle = unit_spec.unit, unit_spec.in_channels, unit_spec.middle
        conv_strides = (unit_spec.halves_time or unit_spec.strides_time) and placed.strides_time(unit)
        in_time = 2 if conv_strides else 1
        self.time_pool = TemporalMaxPool() if unit_spec.halves_time and not conv_strides else nn.Identity()
        self.mix = placed.mix(unit_spec.site(channels), unit)
        self.multiplexes = unit_spec.multiplexer
        if unit_spec.multiplexer:
            self.conv_i1 = NormConv(unit_spec.conv(channels, middle // 4, 1, role="reduce"), placed, unit)
            self.conv_i2 = NormConv(unit_spec.conv(middle // 4, channels, 1, role="reduce"), placed, unit)
        first = unit_spec.conv(
            channels,
            middle,
            3,
            role="spatial",
            stride=unit_spec.stride,
            groups=unit_spec.fibers,
            kernel_time=3,
            in_time=in_time,
        )
        kernel, groups = (1, 1) if unit_spec.full else (3, unit_spec.fibers)
        second = unit_spec.conv(middle, unit_spec.out_channels, kernel, role="branch_out", groups=groups)
        self.conv_m1 = NormConv(first, placed, unit)
        self.conv_m2 = NormConv(second, placed, unit, before=first)
        self.conv_w1: nn.Module | None = None
        if unit_spec.block == 0:
            shortcut = unit_spec.conv(
                channels, unit_spec.out_channels, 1, role="shortcut", stride=unit_spec.stride, in_time=in_time
            )
            self.conv_w1 = NormConv(shortcut, placed, unit)
        self.branch_end = placed.branch_end(unit_spec.site(unit_spec.out_channels), unit)
        self.after = placed.after(unit_spec.site(unit_spec.out_channels), unit)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t' h' w'``."""
        clip = self.time_pool(clip)
        branch = self.mix(clip)
        if self.multiplexes:
            branch = branch + self.conv_i2(self.conv_i1(branch))
        branch = self.branch_end(self.conv_m2(self.conv_m1(branch)))
        return self.after(branch + (clip if self.conv_w1 is None else self.conv_w1(clip)))
