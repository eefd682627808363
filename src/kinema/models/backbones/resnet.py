"""ResNet with torchvision's keys, asking a temporal module for every convolution, pool and free place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.layers import ClipBatchNorm
from kinema.models.sites import ConvSpec, PoolSpec, Role, Site
from kinema.models.temporal.base import PlacedModule
from kinema.models.temporal_pooling import TemporalMaxPool


@dataclass(frozen=True, kw_only=True)
class ResNetPlan(BackbonePlan):
    """A ResNet as numbers.

    Source: "Deep Residual Learning for Image Recognition" (arXiv 1512.03385); a bottleneck strides in its 3 x 3
    convolution, as torchvision's does.

    Attributes:
        block: Two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1 with four times as many channels out.
        layers: Blocks of each stage.
        widths: Channels of the 3 x 3 convolutions of each stage; the first is the stem's as well.
        stem_kernel: Height and width of the first kernel.
        stem_width: Channels of the stem; 0 for the first of the widths.
        out_widths: Channels that leave the blocks of each stage; empty for the widths, four times them in bottlenecks.
        groups: Groups of channels in a bottleneck's 3 x 3 convolutions.
        joined: Channels that another network adds to the map before each stage, as SlowFast's lateral connections do.
    """

    block: Literal["basic", "bottleneck"]
    layers: tuple[int, int, int, int]
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    stem_kernel: int = 7
    stem_width: int = 0
    out_widths: tuple[int, ...] = ()
    groups: int = 1
    joined: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def num_units(self) -> int:
        """Residual blocks."""
        return sum(self.layers)

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``."""
        return ResNet(self, placed, temporal_pooling=temporal_pooling, in_channels=in_channels)


class ResNet(Backbone):
    """Stem, four stages of residual blocks; the stem goes with the first block when a module is placed."""

    def __init__(self, plan: ResNetPlan, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> None:
        super().__init__()
        width, kernel = plan.stem_width or plan.widths[0], plan.stem_kernel
        stem = ConvSpec(
            in_channels=in_channels, out_channels=width, kernel=kernel, stride=2, role="stem", kernel_time=3
        )
        self.conv1 = placed.conv(stem, 0)
        self.bn1 = ClipBatchNorm(width)
        self.relu = nn.ReLU(inplace=True)
        self.activated1 = placed.activated(stem, 0)
        self.maxpool = placed.pool(PoolSpec(kernel=3, stride=2, padding=1), 0)
        expansion = 1 if plan.block == "basic" else 4
        out_widths = plan.out_widths or [planes * expansion for planes in plan.widths]
        unit, channels = 0, width
        for stage, (num_blocks, planes) in enumerate(zip(plan.layers, plan.widths, strict=True), start=1):
            blocks: list[nn.Module] = []
            channels += plan.joined[stage - 1]
            for block in range(num_blocks):
                first = block == 0 and stage > 1
                spec = ResidualBlockSpec(
                    stage=stage,
                    block=block,
                    unit=unit,
                    num_blocks=plan.num_units,
                    in_channels=channels,
                    planes=planes,
                    out_channels=out_widths[stage - 1],
                    groups=plan.groups,
                    stride=2 if first else 1,
                    halves_time=temporal_pooling and first,
                )
                blocks.append(BasicBlock(spec, placed) if plan.block == "basic" else Bottleneck(spec, placed))
                channels, unit = out_widths[stage - 1], unit + 1
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.num_features = channels
        self.temporal_stride = 8 if temporal_pooling else 1
        self.stages = {
            "stem": ("conv1", "bn1", "relu", "activated1", "maxpool"),
            **{f"layer{stage}": (f"layer{stage}",) for stage in range(1, 5)},
        }


@dataclass(frozen=True, kw_only=True)
class ResidualBlockSpec:
    """Number, width and stride of a block; makes the specs of its parts.

    Attributes:
        stage: Number of the block's stage, from 1.
        block: Position in its stage, from 0.
        unit: Number of the block in the whole network, which a placement counts, from 0.
        num_blocks: Blocks of the whole network.
        in_channels: Channels that enter the block.
        planes: Channels of its k x k convolutions.
        out_channels: Channels that leave it.
        stride: Spatial stride.
        halves_time: Whether time is halved here.
        norm_eps: Epsilon of its batch norms.
        groups: Groups of channels in a bottleneck's 3 x 3 convolution.
    """

    stage: int
    block: int
    unit: int
    num_blocks: int
    in_channels: int
    planes: int
    out_channels: int
    stride: int
    halves_time: bool
    norm_eps: float = 1e-5
    groups: int = 1

    def conv(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        role: Role,
        stride: int = 1,
        groups: int = 1,
        in_time: int = 1,
        leads: bool = False,
    ) -> ConvSpec:
        """The spec of one of its convolutions; those of more than one pixel may cover three frames."""
        return ConvSpec(
            in_channels=in_channels,
            out_channels=out_channels,
            kernel=kernel,
            stride=stride,
            groups=groups,
            role=role,
            kernel_time=3 if kernel > 1 else 1,
            stride_time=in_time,
            norm_eps=self.norm_eps,
            block_in=self.in_channels,
            block_out=self.out_channels,
            stage=self.stage,
            block=self.block,
            leads=leads,
        )

    def norm(self, channels: int) -> ClipBatchNorm:
        """A norm of this block."""
        return ClipBatchNorm(channels, eps=self.norm_eps)

    def site(self, channels: int) -> Site:
        """A free place of this block."""
        name = f"layer{self.stage}.{self.block}"
        return Site(name=name, channels=channels, stage=self.stage, block=self.block, num_blocks=self.num_blocks)


class _ResidualBlock(nn.Module):
    """Shortcut, temporal pooling and the three free places, which both kinds of block share."""

    downsample: nn.Module | None
    branch_end: nn.Module
    after: nn.Module

    def __init__(self, spec: ResidualBlockSpec, placed: PlacedModule) -> None:
        super().__init__()
        conv_strides = spec.halves_time and placed.strides_time(spec.unit)
        self.stride_time = 2 if conv_strides else 1
        self.time_pool = TemporalMaxPool() if spec.halves_time and not conv_strides else nn.Identity()
        self.mix = placed.mix(spec.site(spec.in_channels), spec.unit)

    def end(self, spec: ResidualBlockSpec, placed: PlacedModule) -> None:
        """Add what follows the convolutions; last, as in torchvision's order of keys."""
        self.downsample = None
        if spec.stride > 1 or spec.in_channels != spec.out_channels:
            shortcut = spec.conv(
                spec.in_channels,
                spec.out_channels,
                1,
                role="shortcut",
                stride=spec.stride,
                in_time=self.stride_time,
            )
            self.downsample = nn.Sequential(placed.conv(shortcut, spec.unit), spec.norm(spec.out_channels))
        self.branch_end = placed.branch_end(spec.site(spec.out_channels), spec.unit)
        self.after = placed.after(spec.site(spec.out_channels), spec.unit)

    def branch(self, clip: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t' h' w'``."""
        clip = self.time_pool(clip)
        residual = self.branch_end(self.branch(self.mix(clip)))
        shortcut = clip if self.downsample is None else self.downsample(clip)
        return self.after(torch.relu_(residual + shortcut))


class BasicBlock(_ResidualBlock):
    """Two 3 x 3 convolutions; the first strides."""

    def __init__(self, spec: ResidualBlockSpec, placed: PlacedModule) -> None:
        super().__init__(spec, placed)
        spec1 = spec.conv(
            spec.in_channels,
            spec.planes,
            3,
            role="spatial",
            stride=spec.stride,
            in_time=self.stride_time,
            leads=True,
        )
        spec2 = spec.conv(spec.planes, spec.planes, 3, role="branch_out")
        self.conv1 = placed.conv(spec1, spec.unit)
        self.bn1 = spec.norm(spec.planes)
        self.activated1 = placed.activated(spec1, spec.unit)
        self.conv2 = placed.conv(spec2, spec.unit)
        self.bn2 = spec.norm(spec.planes)
        self.activated2 = placed.activated(spec2, spec.unit)
        self.end(spec, placed)

    def branch(self, clip: Tensor) -> Tensor:
        """The residual branch up to the addition."""
        clip = self.activated1(torch.relu_(self.bn1(self.conv1(clip))))
        return self.activated2(self.bn2(self.conv2(clip)))


class Bottleneck(_ResidualBlock):
    """1 x 1, 3 x 3, 1 x 1; the middle one strides."""

    def __init__(self, spec: ResidualBlockSpec, placed: PlacedModule) -> None:
        super().__init__(spec, placed)
        spec1 = spec.conv(spec.in_channels, spec.planes, 1, role="reduce", leads=True)
        spec2 = spec.conv(
            spec.planes,
            spec.planes,
            3,
            role="spatial",
            stride=spec.stride,
            groups=spec.groups,
            in_time=self.stride_time,
        )
        spec3 = spec.conv(spec.planes, spec.out_channels, 1, role="branch_out")
        self.conv1 = placed.conv(spec1, spec.unit)
        self.bn1 = spec.norm(spec.planes)
        self.activated1 = placed.activated(spec1, spec.unit)
        self.conv2 = placed.conv(spec2, spec.unit)
        self.bn2 = spec.norm(spec.planes)
        self.activated2 = placed.activated(spec2, spec.unit)
        self.conv3 = placed.conv(spec3, spec.unit)
        self.bn3 = spec.norm(spec.out_channels)
        self.activated3 = placed.activated(spec3, spec.unit)
        self.end(spec, placed)

    def branch(self, clip: Tensor) -> Tensor:
        """The residual branch up to the addition."""
        clip = self.activated1(torch.relu_(self.bn1(self.conv1(clip))))
        clip = self.activated2(torch.relu_(self.bn2(self.conv2(clip))))
        return self.activated3(self.bn3(self.conv3(clip)))


RESNETS = {
    "resnet18": ResNetPlan(block="basic", layers=(2, 2, 2, 2)),
    "resnet34": ResNetPlan(block="basic", layers=(3, 4, 6, 3)),
    "resnet50": ResNetPlan(block="bottleneck", layers=(3, 4, 6, 3)),
    "resnet101": ResNetPlan(block="bottleneck", layers=(3, 4, 23, 3)),
    "resnet152": ResNetPlan(block="bottleneck", layers=(3, 8, 36, 3)),
    "resnettiny": ResNetPlan(block="basic", layers=(2, 2, 2, 2), widths=(16, 32, 64, 128), stem_kernel=5),
    "resnext26": ResNetPlan(
        block="bottleneck",
        layers=(2, 2, 2, 2),
        widths=(128, 256, 512, 1024),
        stem_width=64,
        out_widths=(64, 128, 256, 512),
        groups=8,
    ),
}
"""The ResNets by name. ``resnettiny`` is the project's own, for tests and demos: a 16th of ResNet-18's parameters.
``resnext26`` is the "ResNeXt-26 (8 x 16d)" of "Multi-Fiber Networks for Video Recognition" (arXiv 1807.11195, Table 1),
which prints 6.3 M parameters and 1.1 G multiply-adds; the widths are those that give them."""
