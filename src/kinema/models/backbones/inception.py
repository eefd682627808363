"""Inception-v1 with batch norm and torchvision's GoogLeNet keys, asking a temporal module for every part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.layers import ClipBatchNorm
from kinema.models.sites import ConvSpec, PoolSpec, Role, Site
from kinema.models.temporal.base import PlacedModule

_EPS = 1e-3
"""Epsilon of every batch norm, as in torchvision's GoogLeNet and the deep analysis."""


class _Widths(NamedTuple):
    """Channels of a module's branches: 1 x 1; 1 x 1 then 3 x 3; 1 x 1 then 3 x 3; pool then 1 x 1."""

    point: int
    reduce2: int
    spatial2: int
    reduce3: int
    spatial3: int
    pooled: int

    @property
    def out_channels(self) -> int:
        return self.point + self.spatial2 + self.spatial3 + self.pooled


_MODULES: Final = {
    "3a": _Widths(64, 96, 128, 16, 32, 32),
    "3b": _Widths(128, 128, 192, 32, 96, 64),
    "4a": _Widths(192, 96, 208, 16, 48, 64),
    "4b": _Widths(160, 112, 224, 24, 64, 64),
    "4c": _Widths(128, 128, 256, 24, 64, 64),
    "4d": _Widths(112, 144, 288, 32, 64, 64),
    "4e": _Widths(256, 160, 320, 32, 128, 128),
    "5a": _Widths(256, 160, 320, 32, 128, 128),
    "5b": _Widths(384, 192, 384, 48, 128, 128),
}


@dataclass(frozen=True, kw_only=True)
class InceptionV1Plan(BackbonePlan):
    """GoogLeNet with batch norm, 3 x 3 kernels in the third branch and no auxiliary heads, as torchvision's.

    Source: "Going Deeper with Convolutions" (arXiv 1409.4842), with "Batch Normalization" (arXiv 1502.03167).
    """

    @property
    def num_units(self) -> int:
        """Inception modules; the stem goes with the first."""
        return len(_MODULES)

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``."""
        return InceptionV1(placed, temporal_pooling=temporal_pooling, in_channels=in_channels)


class InceptionV1(Backbone):
    """Three stem convolutions and nine modules; time is halved in the max-pools before 3a, 4a and 5a.

    Differs from the deep analysis: max-pools reach over the border as torchvision's do (the authors' pad evenly), and
    the last one is 2 x 2 in space also with temporal pooling, so that a still clip gives the image network's answer.
    """

    def __init__(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> None:
        super().__init__()
        stride_time = 2 if temporal_pooling else 1
        specs = {
            "conv1": _spec(in_channels, 64, 7, role="stem", stride=2),
            "conv2": _spec(64, 64, 1, role="reduce"),
            "conv3": _spec(64, 192, 3, role="spatial"),
        }
        for index, (name, spec) in enumerate(specs.items()):
            self.add_module(name, ConvNormRelu(spec, placed, 0))
            stem_site = Site(name=name, channels=spec.out_channels, stage=0, block=index, num_blocks=len(_MODULES))
            self.add_module(f"mix{index + 1}", placed.mix(stem_site, 0))
        self.maxpool1 = placed.pool(replace(_pool(3), kernel_time=1), 0)  # flat in I3D as well
        self.maxpool2 = placed.pool(_pool(3, stride_time), 0)
        channels = 192
        blocks: dict[str, int] = {"3": 0, "4": 0, "5": 0}
        for unit, (name, widths) in enumerate(_MODULES.items()):
            site = Site(
                name=f"inception{name}",
                channels=widths.out_channels,
                stage=int(name[0]) - 1,
                block=blocks[name[0]],
                num_blocks=len(_MODULES),
            )
            self.add_module(site.name, InceptionModule(channels, widths, site, placed, unit))
            blocks[name[0]] += 1
            channels = widths.out_channels
        self.maxpool3 = placed.pool(_pool(3, stride_time), 2)
        self.maxpool4 = placed.pool(_pool(2, stride_time), 7)
        self.num_features = channels
        self.temporal_stride = stride_time**3
        self.stages = {
            "stem": ("conv1", "mix1", "maxpool1", "conv2", "mix2", "conv3", "mix3"),
            "inception3": ("maxpool2", "inception3a", "inception3b"),
            "inception4": ("maxpool3", *(f"inception4{letter}" for letter in "abcde")),
            "inception5": ("maxpool4", "inception5a", "inception5b"),
        }


class ConvNormRelu(nn.Module):
    """Convolution, norm, ReLU, and what the module lets the activation pass through."""

    def __init__(self, spec: ConvSpec, placed: PlacedModule, unit: int) -> None:
        super().__init__()
        self.conv = placed.conv(spec, unit)
        self.bn = ClipBatchNorm(spec.out_channels, eps=_EPS)
        self.activated = placed.activated(spec, unit)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t h' w'``."""
        return self.activated(torch.relu_(self.bn(self.conv(clip))))


class InceptionModule(nn.Module):
    """Four branches side by side, joined along the channels."""

    def __init__(self, channels: int, widths: _Widths, site: Site, placed: PlacedModule, unit: int) -> None:
        super().__init__()

        def conv(in_channels: int, out_channels: int, kernel: int) -> ConvNormRelu:
            spec = _spec(in_channels, out_channels, kernel, role="spatial" if kernel > 1 else "reduce")
            spec = replace(spec, block_in=channels, block_out=site.channels, stage=site.stage, block=site.block)
            return ConvNormRelu(spec, placed, unit)

        pool = PoolSpec(kernel=3, stride=1, padding=1, ceil_mode=True, kernel_time=3)
        self.branch1 = conv(channels, widths.point, 1)
        self.branch2 = nn.Sequential(conv(channels, widths.reduce2, 1), conv(widths.reduce2, widths.spatial2, 3))
        self.branch3 = nn.Sequential(conv(channels, widths.reduce3, 1), conv(widths.reduce3, widths.spatial3, 3))
        self.branch4 = nn.Sequential(placed.pool(pool, unit), conv(channels, widths.pooled, 1))
        self.branch_end = placed.branch_end(site, unit)
        self.mix = placed.mix(site, unit)
        self.after = placed.after(site, unit)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t h w``."""
        branches = (self.branch1(clip), self.branch2(clip), self.branch3(clip), self.branch4(clip))
        return self.after(self.mix(self.branch_end(torch.cat(branches, dim=1))))


def _spec(in_channels: int, out_channels: int, kernel: int, *, role: Role, stride: int = 1) -> ConvSpec:
    return ConvSpec(
        in_channels=in_channels,
        out_channels=out_channels,
        kernel=kernel,
        stride=stride,
        role=role,
        kernel_time=kernel,  # I3D's kernels are cubes: 7, 3 and 1
        bias_time=True,
        norm_eps=_EPS,
    )


def _pool(kernel: int, stride_time: int = 1) -> PoolSpec:
    return PoolSpec(kernel=kernel, stride=2, ceil_mode=True, kernel_time=3, stride_time=stride_time)
