"""Inception-v1 with batch norm and torchvision's GoogLeNet keys, asking a temporal module for every part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, NamedTuple

import torch
from torch import Tensor, nn

from kinema.errors import one_of
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.layers import ClipBatchNorm, rectified
from kinema.models.sites import ConvSpec, PoolSpec, Site
from kinema.models.temporal.base import PlacedModule

_EPS = 1e-3
"""Epsilon of every batch norm, as in torchvision's GoogLeNet and the deep analysis."""


class ModuleWidths(NamedTuple):
    """Channels of a module's branches: 1 x 1; 1 x 1 then 3 x 3; 1 x 1 then 3 x 3 or as said; pool then 1 x 1."""

    point: int
    reduce2: int
    spatial2: int
    reduce3: int
    spatial3: int
    pooled: int
    kernel3: int = 3

    @property
    def out_channels(self) -> int:
        """Channels of the branches joined."""
        return self.point + self.spatial2 + self.spatial3 + self.pooled


INCEPTION_MODULES: Final[Mapping[str, ModuleWidths]] = {
    "3a": ModuleWidths(64, 96, 128, 16, 32, 32),
    "3b": ModuleWidths(128, 128, 192, 32, 96, 64),
    "4a": ModuleWidths(192, 96, 208, 16, 48, 64),
    "4b": ModuleWidths(160, 112, 224, 24, 64, 64),
    "4c": ModuleWidths(128, 128, 256, 24, 64, 64),
    "4d": ModuleWidths(112, 144, 288, 32, 64, 64),
    "4e": ModuleWidths(256, 160, 320, 32, 128, 128),
    "5a": ModuleWidths(256, 160, 320, 32, 128, 128),
    "5b": ModuleWidths(384, 192, 384, 48, 128, 128),
}
"""Widths of the modules by name, torchvision's names."""


@dataclass(frozen=True, kw_only=True)
class InceptionV1Plan(BackbonePlan):
    """GoogLeNet with batch norm, 3 x 3 kernels in the third branch and no auxiliary heads, as torchvision's.

    Source: "Going Deeper with Convolutions" (arXiv 1409.4842), with "Batch Normalization" (arXiv 1502.03167).

    Attributes:
        pools: How max-pools treat the border: ``"torchvision"``, or as the deep analysis' code has it in its I3D
            (``"ibm-i3d"``) or its S3D (``"ibm-s3d"``), for weights that were trained with it.
    """

    option_names: ClassVar[tuple[str, ...]] = ("pools",)

    pools: str = "torchvision"

    @property
    def num_units(self) -> int:
        """Inception modules; the stem goes with the first."""
        return len(INCEPTION_MODULES)

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``.

        Raises:
            UserError: ``pools`` is unknown.
        """
        pool, last = _POOLS[one_of("pools", self.pools, _POOLS)]
        return InceptionV1(pool, last, placed, temporal_pooling=temporal_pooling, in_channels=in_channels)


class InceptionStages(Backbone):
    """What networks of Inception modules share: a stem of three convolutions, nine modules, and torchvision's names."""

    def add_stem(
        self, specs: Sequence[ConvSpec], units: Sequence[int], placed: PlacedModule, first: nn.Module | None = None
    ) -> None:
        """Add ``conv1`` to ``conv3``, each with the place behind it where frames may meet.

        Args:
            specs: The convolutions.
            units: The unit that each goes with when a module is placed.
            placed: The temporal module.
            first: What takes the place of the first convolution, for a stem that is not the module's to choose.
        """
        for index, (spec, unit) in enumerate(zip(specs, units, strict=True)):
            name = f"conv{index + 1}"
            self.add_module(name, ConvNormRelu(spec, placed, unit, conv=None if index else first))
            channels, num_blocks = spec.out_channels, len(placed.allowed)
            site = Site(name=name, channels=channels, stage=0, block=index, num_blocks=num_blocks)
            self.add_module(f"mix{index + 1}", placed.mix(site, unit))

    def add_modules(
        self,
        channels: int,
        widths: Mapping[str, ModuleWidths],
        placed: PlacedModule,
        *,
        like: ConvSpec,
        first_unit: int = 0,
        points_time: int = 1,
    ) -> None:
        """Add the modules, and say how the whole network runs.

        Args:
            channels: Channels that enter the first.
            widths: Widths of each module.
            placed: The temporal module.
            like: What all convolutions have in common.
            first_unit: The unit of the first module; the others follow.
            points_time: Frames of the temporal convolution that a factorising module may put behind the 1 x 1
                convolutions which end a branch.
        """
        blocks: dict[str, int] = {"3": 0, "4": 0, "5": 0}
        for unit, (name, own) in enumerate(widths.items(), start=first_unit):
            stage, block, num_blocks = int(name[0]) - 1, blocks[name[0]], len(placed.allowed)
            site = Site(
                name=f"inception{name}", channels=own.out_channels, stage=stage, block=block, num_blocks=num_blocks
            )
            module = InceptionModule(channels, own, site, placed, unit, like=like, points_time=points_time)
            self.add_module(site.name, module)
            blocks[name[0]] += 1
            channels = own.out_channels
        self.num_features = channels
        self.stages = {
            "stem": ("conv1", "mix1", "maxpool1", "conv2", "mix2", "conv3", "mix3"),
            "inception3": ("maxpool2", "inception3a", "inception3b"),
            "inception4": ("maxpool3", *(f"inception4{letter}" for letter in "abcde")),
            "inception5": ("maxpool4", "inception5a", "inception5b"),
        }


class InceptionV1(InceptionStages):
    """Three stem convolutions and nine modules; time is halved in the max-pools before 3a, 4a and 5a.

    Differs from the deep analysis: max-pools reach over the border as torchvision's do (the authors' pad evenly), and
    the last one is 2 x 2 in space also with temporal pooling, so that a still clip gives the image network's answer.

    Args:
        pool: The first three max-pools between stages.
        last: The fourth.
        placed: The temporal module.
        temporal_pooling: Whether time is halved.
        in_channels: Channels of a frame.
    """

    def __init__(
        self, pool: PoolSpec, last: PoolSpec, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int
    ) -> None:
        super().__init__()
        stride_time = 2 if temporal_pooling else 1
        like = ConvSpec(in_channels=64, out_channels=64, kernel=1, role="reduce", bias_time=True, norm_eps=_EPS)
        stem = replace(like, in_channels=in_channels, kernel=7, stride=2, role="stem", kernel_time=7)
        conv3 = replace(like, out_channels=192, kernel=3, role="spatial", kernel_time=3)
        self.add_stem([stem, like, conv3], (0, 0, 0), placed)
        self.maxpool1 = placed.pool(replace(pool, kernel_time=1), 0)  # flat in I3D as well
        pool, last = replace(pool, stride_time=stride_time), replace(last, stride_time=stride_time)
        self.maxpool2 = placed.pool(pool, 0)
        self.add_modules(192, INCEPTION_MODULES, placed, like=like)
        self.maxpool3 = placed.pool(pool, 2)
        self.maxpool4 = placed.pool(last, 7)
        self.temporal_stride = stride_time**3


class ConvNormRelu(nn.Module):
    """Convolution, norm unless it has a bias, ReLU, and what the module lets the activation pass through."""

    def __init__(self, spec: ConvSpec, placed: PlacedModule, unit: int, *, conv: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = conv or placed.conv(spec, unit)
        norm = ClipBatchNorm(spec.out_channels, eps=spec.norm_eps, momentum=spec.norm_momentum)
        self.bn = nn.Identity() if spec.bias else norm
        self.activated = placed.activated(spec, unit)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t h' w'``."""
        clip = self.bn(self.conv(clip))
        return self.activated(rectified(clip) if isinstance(self.bn, nn.Identity) else torch.relu_(clip))


class InceptionModule(nn.Module):
    """Four branches side by side, joined along the channels."""

    def __init__(
        self,
        channels: int,
        widths: ModuleWidths,
        site: Site,
        placed: PlacedModule,
        unit: int,
        *,
        like: ConvSpec,
        points_time: int,
    ) -> None:
        super().__init__()
        own = replace(like, block_in=channels, block_out=site.channels, stage=site.stage, block=site.block)

        def point(in_channels: int, out_channels: int, *, ends: bool) -> ConvNormRelu:
            spec = replace(own, in_channels=in_channels, out_channels=out_channels, kernel=1, role="reduce")
            return ConvNormRelu(replace(spec, ends_branch=ends, split_time=points_time if ends else None), placed, unit)

        def wide(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Sequential:
            spec = replace(own, in_channels=in_channels, out_channels=out_channels, kernel=kernel, role="spatial")
            last = ConvNormRelu(replace(spec, kernel_time=3, ends_branch=True), placed, unit)
            return nn.Sequential(point(channels, in_channels, ends=False), last)

        pool = PoolSpec(kernel=3, stride=1, padding=1, ceil_mode=True, kernel_time=3)
        self.branch1 = point(channels, widths.point, ends=True)
        self.branch2 = wide(widths.reduce2, widths.spatial2)
        self.branch3 = wide(widths.reduce3, widths.spatial3, widths.kernel3)
        self.branch4 = nn.Sequential(placed.pool(pool, unit), point(channels, widths.pooled, ends=True))
        self.branch_end = placed.branch_end(site, unit)
        self.mix = placed.mix(site, unit)
        self.after = placed.after(site, unit)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t h w``."""
        branches = (self.branch1(clip), self.branch2(clip), self.branch3(clip), self.branch4(clip))
        return self.after(self.mix(self.branch_end(torch.cat(branches, dim=1))))


_OVER_BORDER: Final = PoolSpec(kernel=3, stride=2, ceil_mode=True, kernel_time=3)
_EVEN: Final = PoolSpec(kernel=3, stride=2, padding=1, kernel_time=3)
_POOLS: Final = {
    "torchvision": (_OVER_BORDER, replace(_OVER_BORDER, kernel=2)),
    "ibm-i3d": (_EVEN, _EVEN),
    "ibm-s3d": (_EVEN, PoolSpec(kernel=2, stride=2, kernel_time=2)),  # joins pairs of frames: one step is lost
}
"""The max-pools between stages and the last of them, by the code that has them."""
