"""EfficientNet-Lite0, asking a temporal module for every convolution and free place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from torch import nn

from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.backbones.inverted import BlockStyle, Group, InvertedBottleneck, PartNames, block_specs
from kinema.models.temporal.base import PlacedModule

_STYLE: Final = BlockStyle(prefix="blocks.", norm_eps=1e-3, norm_momentum=0.01, same_padding=True)
"""As the published weights were trained; the momentum is 1 minus TensorFlow's 0.99."""

_STEPS: Final = (
    PartNames("expand_conv", "bn0", "activated0"),
    PartNames("depthwise_conv", "bn1", "activated1"),
    PartNames("project_conv", "bn2", "activated2"),
)

_LITE0: Final = (
    Group(1, 16, 3, 1, 1, 0),
    Group(2, 24, 3, 2, 6, 1),
    Group(2, 40, 5, 2, 6, 2),
    Group(3, 80, 3, 2, 6, 3),
    Group(3, 112, 5, 1, 6, 3),
    Group(4, 192, 5, 2, 6, 4),
    Group(1, 320, 3, 1, 6, 4),
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
        stem = _STYLE.conv(in_channels, _STEM_WIDTH, 3, role="stem", stride=2)
        self.conv_stem = placed.conv(stem, 0)
        self.bn0 = _STYLE.norm(_STEM_WIDTH)
        self.relu = nn.ReLU6(inplace=True)
        self.activated_stem = placed.activated(stem, 0)
        stages: dict[str, list[str]] = {"stem": ["conv_stem", "bn0", "relu", "activated_stem"]}
        self.blocks = nn.ModuleList()
        specs = block_specs(_LITE0, _STYLE, in_channels=_STEM_WIDTH, temporal_pooling=temporal_pooling)
        for block_spec in specs:
            names = _STEPS if block_spec.group.expansion > 1 else _STEPS[1:]
            self.blocks.append(InvertedBottleneck(block_spec, placed, names))
            stages.setdefault(f"group{block_spec.group_number}", []).append(block_spec.name)
        head = replace(_STYLE.conv(_LITE0[-1].channels, _HEAD_WIDTH, 1, role="reduce"), stage=4)
        self.conv_head = placed.conv(head, last)
        self.bn1 = _STYLE.norm(_HEAD_WIDTH)
        self.activated_head = placed.activated(head, last)
        stages["head_conv"] = ["conv_head", "bn1", "relu", "activated_head"]
        self.stages = {stage: tuple(parts) for stage, parts in stages.items()}
        self.num_features = _HEAD_WIDTH
        self.temporal_stride = 8 if temporal_pooling else 1
