"""MobileNet-v2 with torchvision's keys, and with multi-fiber units, asking a temporal module for every part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.backbones.inverted import (
    BlockStyle,
    Group,
    InvertedBottleneck,
    PartNames,
    attach,
    block_specs,
)
from kinema.models.head import Head, LinearHead
from kinema.models.sites import ConvSpec
from kinema.models.temporal.base import PlacedModule

_STEPS: Final = (
    PartNames("conv.0.0", "conv.0.1", "conv.0.activated"),
    PartNames("conv.1.0", "conv.1.1", "conv.1.activated"),
    PartNames("conv.2", "conv.3", "conv.activated"),
)
_STEPS_UNWIDENED: Final = (
    PartNames("conv.0.0", "conv.0.1", "conv.0.activated"),
    PartNames("conv.1", "conv.2", "conv.activated"),
)

_GROUPS: Final = (
    Group(1, 16, 3, 1, 1, 0),
    Group(2, 24, 3, 2, 6, 1),
    Group(3, 32, 3, 2, 6, 2),
    Group(4, 64, 3, 2, 6, 3),
    Group(3, 96, 3, 1, 6, 3),
    Group(3, 160, 3, 2, 6, 4),
    Group(1, 320, 3, 1, 6, 4),
)
_STEM_WIDTH = 32
_LAST_WIDTH = 1280

_FIBERS: Final = (1, 2, 4, 8, 16, 32)
"""Numbers of fibers that divide the rounded widths."""


@dataclass(frozen=True, kw_only=True)
class MobileNetV2Plan(BackbonePlan):
    """MobileNet-v2 as numbers.

    Source: "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (arXiv 1801.04381); widths are rounded as
    torchvision rounds them, whose width 1.4 has 6.11 M parameters where the multi-fiber paper prints 6.9 M.
    torchvision trains it with a dropout of 0.2.

    Attributes:
        width_multiplier: What every width is multiplied by, then rounded to a multiple of 8 (or of the fibers); the
            last convolution's only where it is above 1.
        last_width: Channels of the last convolution; 0 for 1280 by the multiplier.
        fibers: Groups of channels that meet only in the multiplexers.
        multiplexer: Whether every block has one.
    """

    option_names: ClassVar[tuple[str, ...]] = ("width_multiplier",)

    width_multiplier: float = 1.0
    last_width: int = 0
    fibers: int = 1
    multiplexer: bool = False

    @property
    def num_units(self) -> int:
        """Inverted bottlenecks."""
        return sum(group.num_blocks for group in _GROUPS)

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``.

        Raises:
            UserError: An option is out of range.
        """
        if self.width_multiplier <= 0:
            raise UserError(f"width_multiplier must be above 0, got {self.width_multiplier}")
        if self.fibers not in _FIBERS:
            raise UserError(f"fibers must be one of {', '.join(map(str, _FIBERS))}, got {self.fibers}")
        return MobileNetV2(self, placed, temporal_pooling=temporal_pooling, in_channels=in_channels)

    def width(self, channels: int) -> int:
        """The width that stands for one of the plain network, never more than a tenth below the exact product."""
        step = max(self.fibers, 8)
        exact = channels * self.width_multiplier
        rounded = max(step, int(exact + step / 2) // step * step)
        return rounded + step if rounded < 0.9 * exact else rounded


@dataclass(frozen=True, kw_only=True)
class MultiFiberMobileNetPlan(MobileNetV2Plan):
    """MobileNet-v2 with multi-fiber units.

    Source: "Multi-Fiber Networks for Video Recognition" (arXiv 1807.11195), Table 1, "MobileNet-v2 (1.4) (MF
    embedded)", of which it prints 6.0 M parameters and 578 M multiply-adds alone. The plan is ours, found by search
    among units built as MF-Net's: every 1 x 1 convolution within 16 fibers but the last of a group's first block, a
    multiplexer a quarter as wide as the block's inside. At width 1.8, with the last convolution of width 1.4, it has
    6.00 M parameters and 0.580 G multiply-adds.
    """

    option_names: ClassVar[tuple[str, ...]] = ("fibers", "multiplexer")

    width_multiplier: float = 1.8
    last_width: int = 1792
    fibers: int = 16
    multiplexer: bool = True


MOBILE_NETS: Final[Mapping[str, MobileNetV2Plan]] = {
    "mobilenetv2": MobileNetV2Plan(),
    "mfmobilenetv2": MultiFiberMobileNetPlan(),
}
"""The MobileNets by name."""


class MobileNetV2(Backbone):
    """Stem, 17 inverted bottlenecks in seven groups, and a last 1 x 1 convolution.

    Frames meet in blocks that widen and have a sum, as in TSM's MobileNet; ``-tp`` halves time where space is strided
    for the third, fourth and fifth time, by a max-pool or in the depth-wise convolution.
    """

    head_name = "classifier"

    def __init__(
        self, plan: MobileNetV2Plan, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int
    ) -> None:
        super().__init__()
        style = BlockStyle(prefix="features.", first_number=1, fibers=plan.fibers, multiplexer=plan.multiplexer)
        groups = [group._replace(channels=plan.width(group.channels)) for group in _GROUPS]
        stem_width, last_width = plan.width(_STEM_WIDTH), plan.last_width
        if not last_width:
            last_width = plan.width(_LAST_WIDTH) if plan.width_multiplier > 1 else _LAST_WIDTH
        self.features = nn.Sequential()
        stem = style.conv(in_channels, stem_width, 3, role="stem", stride=2)
        self.features.add_module("0", _conv_norm_relu(stem, style, placed, 0))
        stages: dict[str, list[str]] = {"stem": ["features.0"]}
        for block_spec in block_specs(groups, style, in_channels=stem_width, temporal_pooling=temporal_pooling):
            names = _STEPS if block_spec.group.expansion > 1 else _STEPS_UNWIDENED
            attach(self, block_spec.name, InvertedBottleneck(block_spec, placed, names))
            stages.setdefault(f"group{block_spec.group_number}", []).append(block_spec.name)
        last = replace(style.conv(groups[-1].channels, last_width, 1, role="reduce"), stage=4)
        attach(self, f"features.{plan.num_units + 1}", _conv_norm_relu(last, style, placed, plan.num_units - 1))
        stages["last_conv"] = [f"features.{plan.num_units + 1}"]
        self.stages = {stage: tuple(parts) for stage, parts in stages.items()}
        self.num_features = last_width
        self.temporal_stride = 8 if temporal_pooling else 1

    def build_head(self, num_classes: int, *, dropout: float) -> Head:
        """The linear layer under torchvision's key ``classifier.1``."""
        return MobileNetHead(self.num_features, num_classes, dropout=dropout)


class MobileNetHead(Head):
    """``LinearHead`` in the place that torchvision gives it, behind the dropout."""

    def __init__(self, num_features: int, num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.add_module("1", LinearHead(num_features, num_classes, dropout=dropout))

    @property
    def classifier(self) -> LinearHead:
        """The layer whose rows are the classes."""
        linear = self.get_submodule("1")
        assert isinstance(linear, LinearHead)
        return linear

    def forward(self, features: Tensor) -> Tensor:
        """Score ``b d t h w``; the result has axes ``b classes``."""
        return self.classifier(features)


def _conv_norm_relu(spec: ConvSpec, style: BlockStyle, placed: PlacedModule, unit: int) -> nn.Sequential:
    parts = nn.Sequential(placed.conv(spec, unit), style.norm(spec.out_channels), nn.ReLU6(inplace=True))
    parts.add_module("activated", placed.activated(spec, unit))
    return parts
