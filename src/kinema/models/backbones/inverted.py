"""Inverted bottlenecks, of EfficientNet and MobileNet: what a block holds, whatever its parts are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor, nn

from kinema.models.backbones.multi_fiber import NormConv
from kinema.models.layers import ClipBatchNorm
from kinema.models.sites import ConvSpec, Role, Site
from kinema.models.temporal.base import PlacedModule
from kinema.models.temporal_pooling import TemporalMaxPool


class Group(NamedTuple):
    """Inverted bottlenecks of one width; ``stage`` counts resolutions as ``Site.stage`` does."""

    num_blocks: int
    channels: int
    kernel: int
    stride: int
    expansion: int
    stage: int


class PartNames(NamedTuple):
    """Where one step of a block puts its parts, so that weights keep the keys they were published under."""

    conv: str
    norm: str
    activated: str


@dataclass(frozen=True, kw_only=True)
class BlockStyle:
    """What all blocks of a network have in common.

    Attributes:
        prefix: What comes before the number in a block's name, such as ``"blocks."``.
        first_number: Number of the first block.
        norm_eps: Epsilon of the batch norms.
        norm_momentum: Momentum of the batch norms.
        same_padding: Whether strided convolutions pad unevenly, as TensorFlow's SAME.
        fibers: Groups of channels within which the 1 x 1 convolutions stay.
        multiplexer: Whether fibers meet at the head of every block.
    """

    prefix: str
    first_number: int = 0
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    same_padding: bool = False
    fibers: int = 1
    multiplexer: bool = False

    def norm(self, channels: int) -> ClipBatchNorm:
        """A batch norm."""
        return ClipBatchNorm(channels, eps=self.norm_eps, momentum=self.norm_momentum)

    def conv(self, in_channels: int, out_channels: int, kernel: int, *, role: Role, stride: int = 1) -> ConvSpec:
        """The facts of a convolution outside the blocks; a kernel of more than one position covers three frames."""
        return ConvSpec(
            in_channels=in_channels,
            out_channels=out_channels,
            kernel=kernel,
            stride=stride,
            role=role,
            same_padding=self.same_padding and stride == 2,
            kernel_time=3 if kernel > 1 else 1,
            norm_eps=self.norm_eps,
            norm_momentum=self.norm_momentum,
        )


@dataclass(frozen=True, kw_only=True)
class InvertedBlockSpec:
    """Number, width and stride of a block; makes the specs of its parts."""

    style: BlockStyle
    group: Group
    group_number: int
    first: bool
    unit: int
    block: int
    num_blocks: int
    in_channels: int
    stride: int
    halves_time: bool

    @property
    def name(self) -> str:
        """The block's name in the network."""
        return f"{self.style.prefix}{self.unit + self.style.first_number}"

    @property
    def residual(self) -> bool:
        """Whether the block's input is added to its output."""
        return self.stride == 1 and self.in_channels == self.group.channels

    def pointwise(self, in_channels: int, out_channels: int, role: Role, *, groups: int = 1) -> ConvSpec:
        """A 1 x 1 convolution."""
        spec = self.style.conv(in_channels, out_channels, 1, role=role)
        return replace(
            spec,
            groups=groups,
            block_in=self.in_channels,
            block_out=self.group.channels,
            stage=self.group.stage,
            block=self.block,
        )

    def depthwise(self, channels: int, *, stride_time: int) -> ConvSpec:
        """The k x k convolution."""
        return replace(
            self.pointwise(channels, channels, "spatial"),
            kernel=self.group.kernel,
            stride=self.stride,
            groups=channels,
            same_padding=self.style.same_padding and self.stride == 2,
            kernel_time=3,
            stride_time=stride_time,
        )

    def site(self, channels: int) -> Site:
        """A free place; the maps between blocks go through no activation."""
        return Site(
            name=self.name,
            channels=channels,
            stage=self.group.stage,
            block=self.block,
            num_blocks=self.num_blocks,
            rectified=False,
        )


def block_specs(
    groups: Sequence[Group], style: BlockStyle, *, in_channels: int, temporal_pooling: bool
) -> Iterator[InvertedBlockSpec]:
    """The blocks of a network from its input on; time is halved in those that stride space after the second group.

    Args:
        groups: The blocks.
        style: What they have in common.
        in_channels: Channels that the stem gives out.
        temporal_pooling: Whether time is halved.
    """
    channels, unit, counts = in_channels, 0, dict.fromkeys(range(5), 0)
    for number, group in enumerate(groups, start=1):
        for index in range(group.num_blocks):
            stride = group.stride if index == 0 else 1
            yield InvertedBlockSpec(
                style=style,
                group=group,
                group_number=number,
                first=index == 0,
                unit=unit,
                block=counts[group.stage],
                num_blocks=sum(each.num_blocks for each in groups),
                in_channels=channels,
                stride=stride,
                halves_time=temporal_pooling and stride == 2 and group.stage > 1,
            )
            channels, unit = group.channels, unit + 1
            counts[group.stage] += 1


class InvertedBottleneck(nn.Module):
    """1 x 1 that widens, depth-wise k x k, 1 x 1 that narrows without an activation; a sum where the shape stays.

    Frames meet at the head of residual branches only, so not in blocks without a sum (as TSM does on MobileNet).
    With fibers, both 1 x 1 convolutions stay within them, save the narrowing one of a group's first block, and a
    multiplexer in front, a quarter as wide as the block's inside, lets the fibers meet, as in MF-Net.

    Args:
        block_spec: Where the block is.
        placed: The temporal module.
        names: Names of the parts of each step; two steps where the block does not widen.
    """

    def __init__(self, block_spec: InvertedBlockSpec, placed: PlacedModule, names: Sequence[PartNames]) -> None:
        super().__init__()
        group, unit, fibers = block_spec.group, block_spec.unit, block_spec.style.fibers
        conv_strides = block_spec.halves_time and placed.strides_time(unit)
        self.time_pool = TemporalMaxPool() if block_spec.halves_time and not conv_strides else nn.Identity()
        self.residual = block_spec.residual
        self.mix = placed.mix(block_spec.site(block_spec.in_channels), unit) if block_spec.residual else nn.Identity()
        wide = block_spec.in_channels * group.expansion
        self.multiplexes = block_spec.style.multiplexer
        if self.multiplexes:
            narrow = wide // 4
            self.conv_i1 = NormConv(block_spec.pointwise(block_spec.in_channels, narrow, "reduce"), placed, unit)
            self.conv_i2 = NormConv(block_spec.pointwise(narrow, block_spec.in_channels, "reduce"), placed, unit)
        expand = block_spec.pointwise(block_spec.in_channels, wide, "reduce", groups=fibers)
        depthwise = block_spec.depthwise(wide, stride_time=2 if conv_strides else 1)
        project = block_spec.pointwise(wide, group.channels, "branch_out", groups=1 if block_spec.first else fibers)
        specs = [expand, depthwise, project] if group.expansion > 1 else [depthwise, project]
        self._steps = tuple(names)
        for spec, step in zip(specs, self._steps, strict=True):
            attach(self, step.conv, placed.conv(spec, unit))
            attach(self, step.norm, block_spec.style.norm(spec.out_channels))
            attach(self, step.activated, placed.activated(spec, unit))
        self.branch_end = placed.branch_end(block_spec.site(group.channels), unit)
        self.after = placed.after(block_spec.site(group.channels), unit)
        self.relu = nn.ReLU6(inplace=True)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t' h' w'``."""
        clip = self.time_pool(clip)
        branch = self.mix(clip)
        if self.multiplexes:
            branch = branch + self.conv_i2(self.conv_i1(branch))
        for number, step in enumerate(self._steps, start=1):
            branch = self.get_submodule(step.norm)(self.get_submodule(step.conv)(branch))
            if number < len(self._steps):
                branch = self.relu(branch)
            branch = self.get_submodule(step.activated)(branch)
        branch = self.branch_end(branch)
        return self.after(branch + clip if self.residual else branch)


def attach(parent: nn.Module, path: str, part: nn.Module) -> None:
    """Put a part under a dotted path, through empty sequences where the path leads over names that are not there."""
    *above, last = path.split(".")
    for name in above:
        if not hasattr(parent, name):
            parent.add_module(name, nn.Sequential())
        parent = parent.get_submodule(name)
    parent.add_module(last, part)
