"""EfficientNet-Lite0, asking a temporal module for every convolution and free place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from torch import Tensor, nn

from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.layers import ClipBatchNorm
from kinema.models.sites import ConvSpec, Role, Site
from kinema.models.temporal.base import PlacedModule
from kinema.models.temporal_pooling import TemporalMaxPool

_EPS, _MOMENTUM = 1e-3, 0.01
"""Of the published weights' batch norms; the momentum is 1 minus TensorFlow's 0.99."""


class _Group(NamedTuple):
    """Inverted bottlenecks of one width; ``stage`` counts resolutions as ``Site.stage`` does."""

    num_blocks: int
    channels: int
    kernel: int
    stride: int
    expansion: int
    stage: int


_LITE0: Final = (
    _Group(1, 16, 3, 1, 1, 0),
    _Group(2, 24, 3, 2, 6, 1),
    _Group(2, 40, 5, 2, 6, 2),
    _Group(3, 80, 3, 2, 6, 3),
    _Group(3, 112, 5, 1, 6, 3),
    _Group(4, 192, 5, 2, 6, 4),
    _Group(1, 320, 3, 1, 6, 4),
)
_STEM_WIDTH = 32
_HEAD_WIDTH = 1280


@dataclass(frozen=True, kw_only=True)
class EfficientNetLitePlan(BackbonePlan):
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6 for swish.

    Source: "EfficientNet" (arXiv 1905.11946); the Lite form is that of the TensorFlow repository tpu
    (models/official/efficientnet/lite), whose uneven SAME padding the published weights need.
    """

    @property
    def num_units(self) -> int:
        """Inverted bottlenecks."""
        return sum(group.num_blocks for group in _LITE0)

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``."""
        return EfficientNetLite(self, placed, temporal_pooling=temporal_pooling, in_channels=in_channels)


class EfficientNetLite(Backbone):
    """Stem, 16 inverted bottlenecks in seven groups, and a last 1 x 1 convolution."""

    def __init__(
        self, plan: EfficientNetLitePlan, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int
    ) -> None:
        super().__init__()
        last = plan.num_units - 1
        stem = ConvSpec(
            in_channels=in_channels,
            out_channels=_STEM_WIDTH,
            kernel=3,
            stride=2,
            same_padding=True,
            role="stem",
            kernel_time=3,
            norm_eps=_EPS,
            norm_momentum=_MOMENTUM,
        )
        self.conv_stem = placed.conv(stem, 0)
        self.bn0 = _norm(_STEM_WIDTH)
        self.relu = nn.ReLU6(inplace=True)
        self.activated_stem = placed.activated(stem, 0)
        self.stages = {"stem": ("conv_stem", "bn0", "relu", "activated_stem")}
        channels, unit, counts = _STEM_WIDTH, 0, dict.fromkeys(range(5), 0)
        blocks = nn.ModuleList()
        for number, group in enumerate(_LITE0, start=1):
            names = []
            for index in range(group.num_blocks):
                stride = group.stride if index == 0 else 1
                place = _BlockPlace(
                    unit=unit,
                    block=counts[group.stage],
                    num_blocks=plan.num_units,
                    in_channels=channels,
                    stride=stride,
                    halves_time=temporal_pooling and stride == 2 and group.stage > 1,
                    group=group,
                )
                blocks.append(InvertedBottleneck(place, placed))
                names.append(f"blocks.{unit}")
                channels, unit = group.channels, unit + 1
                counts[group.stage] += 1
            self.stages[f"group{number}"] = tuple(names)
        self.blocks = blocks
        head = ConvSpec(in_channels=channels, out_channels=_HEAD_WIDTH, kernel=1, role="reduce", stage=4)
        self.conv_head = placed.conv(head, last)
        self.bn1 = _norm(_HEAD_WIDTH)
        self.activated_head = placed.activated(head, last)
        self.stages["head_conv"] = ("conv_head", "bn1", "relu", "activated_head")
        self.num_features = _HEAD_WIDTH
        self.temporal_stride = 8 if temporal_pooling else 1


class _BlockPlace(NamedTuple):
    """Where a block is and how wide."""

    unit: int
    block: int
    num_blocks: int
    in_channels: int
    stride: int
    halves_time: bool
    group: _Group

    @property
    def residual(self) -> bool:
        return self.stride == 1 and self.in_channels == self.group.channels

    def pointwise(self, in_channels: int, out_channels: int, role: Role) -> ConvSpec:
        return ConvSpec(
            in_channels=in_channels,
            out_channels=out_channels,
            kernel=1,
            role=role,
            norm_eps=_EPS,
            norm_momentum=_MOMENTUM,
            block_in=self.in_channels,
            block_out=self.group.channels,
            stage=self.group.stage,
            block=self.block,
        )

    def depthwise(self, channels: int, *, stride_time: int) -> ConvSpec:
        return replace(
            self.pointwise(channels, channels, "spatial"),
            kernel=self.group.kernel,
            stride=self.stride,
            groups=channels,
            same_padding=self.stride == 2,
            kernel_time=3,
            stride_time=stride_time,
        )

    def site(self, channels: int) -> Site:
        return Site(
            name=f"blocks.{self.unit}",
            channels=channels,
            stage=self.group.stage,
            block=self.block,
            num_blocks=self.num_blocks,
            rectified=False,
        )


class InvertedBottleneck(nn.Module):
    """1 x 1 that widens, depth-wise k x k, 1 x 1 that narrows without an activation; a sum where the shape stays.

    Frames meet at the head of residual branches only, so not in blocks without a sum (as TSM does on MobileNet).
    """

    def __init__(self, place: _BlockPlace, placed: PlacedModule) -> None:
        super().__init__()
        group, unit = place.group, place.unit
        conv_strides = place.halves_time and placed.strides_time(unit)
        self.time_pool = TemporalMaxPool() if place.halves_time and not conv_strides else nn.Identity()
        self.residual = place.residual
        self.mix = placed.mix(place.site(place.in_channels), unit) if place.residual else nn.Identity()
        wide = place.in_channels * group.expansion
        if group.expansion > 1:
            expand = place.pointwise(place.in_channels, wide, "reduce")
            self.expand_conv = placed.conv(expand, unit)
            self.bn0 = _norm(wide)
            self.activated0 = placed.activated(expand, unit)
        self.expands = group.expansion > 1
        depthwise = place.depthwise(wide, stride_time=2 if conv_strides else 1)
        self.depthwise_conv = placed.conv(depthwise, unit)
        self.bn1 = _norm(wide)
        self.activated1 = placed.activated(depthwise, unit)
        project = place.pointwise(wide, group.channels, "branch_out")
        self.project_conv = placed.conv(project, unit)
        self.bn2 = _norm(group.channels)
        self.activated2 = placed.activated(project, unit)
        self.branch_end = placed.branch_end(place.site(group.channels), unit)
        self.after = placed.after(place.site(group.channels), unit)
        self.relu = nn.ReLU6(inplace=True)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t' h' w'``."""
        clip = self.time_pool(clip)
        wide = self.mix(clip)
        if self.expands:
            wide = self.activated0(self.relu(self.bn0(self.expand_conv(wide))))
        wide = self.activated1(self.relu(self.bn1(self.depthwise_conv(wide))))
        narrow = self.branch_end(self.activated2(self.bn2(self.project_conv(wide))))
        return self.after(narrow + clip if self.residual else narrow)


def _norm(channels: int) -> ClipBatchNorm:
    return ClipBatchNorm(channels, eps=_EPS, momentum=_MOMENTUM)
