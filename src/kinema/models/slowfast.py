"""SlowFast, the network of two pathways: few frames in many channels, all frames in few, joined after each stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final, NamedTuple

import torch
from torch import nn

from kinema.errors import UserError, one_of
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.backbones.resnet import ResNet, ResNetPlan
from kinema.models.head import AveragedHead
from kinema.models.pathways import LATERAL_RATIO, Lateral, Pair, Pathways, SlowFrames, average_over_spans
from kinema.models.temporal.base import NetworkPlan, PlacedModule, TemporalModule
from kinema.models.temporal.slow import StageKernels
from kinema.shapes import Features


class Setting(NamedTuple):
    """What differs between the published SlowFast networks; see ``SlowFast`` for the meaning."""

    alpha: int
    lateral_kernel: int
    num_layer3_blocks: int | None = None


SETTINGS: Final[Mapping[str, Setting]] = {
    "4x16": Setting(alpha=8, lateral_kernel=5),
    "8x8": Setting(alpha=4, lateral_kernel=7),
    "16x8": Setting(alpha=2, lateral_kernel=7),
}
"""Settings of networks up to 50 layers, for clips of 32 frames; a name is slow frames x their stride in the video."""

DEEP_SETTINGS: Final[Mapping[str, Setting]] = {
    "4x16": Setting(alpha=8, lateral_kernel=5),
    "8x8": Setting(alpha=4, lateral_kernel=5),
    "16x8": Setting(alpha=4, lateral_kernel=5, num_layer3_blocks=6),
}
"""Settings of deeper networks; 16x8 takes clips of 64 frames. No 4x16 was published with 101 layers: it is 8x8's with
the alpha of 50 layers."""

_FAST_KERNELS, _SLOW_KERNELS = (5, 3, 3, 3, 3), (1, 1, 1, 3, 3)


class SlowFast(TemporalModule):
    """Two ResNets on one clip: every frame through a narrow one, every alpha-th through a wide one that is told more.

    Source: "SlowFast Networks for Video Recognition" (arXiv 1812.03982); kernels of the lateral connections, which the
    paper gives as 5, and the choice of frames are those of the published networks (facebookresearch/SlowFast).
    Takes one clip of all frames; the slow pathway picks its own, see ``slow_frames``.
    The map (``ActionModel.features``) has the slow pathway's time: its channels, then the fast pathway's averaged over
    equal spans of time, so that the average over the map is the average over each pathway.

    Args:
        setting: A published network that the other arguments default to: ``"8x8"``, ``"4x16"`` or ``"16x8"``.
        alpha: Frames of the fast pathway for each of the slow one.
        beta_inverse: Channels of the slow pathway for each of the fast one.
        lateral_kernel: Frames that a lateral connection covers; odd.
        num_layer3_blocks: Blocks of the third stage that cover three frames in either pathway, from its first.
    """

    sees_order = True
    option_names: ClassVar[tuple[str, ...]] = (
        "setting",
        "alpha",
        "beta_inverse",
        "lateral_kernel",
        "num_layer3_blocks",
    )

    def __init__(
        self,
        *,
        setting: str = "8x8",
        alpha: int | None = None,
        beta_inverse: int = 8,
        lateral_kernel: int | None = None,
        num_layer3_blocks: int | None = None,
    ) -> None:
        one_of("setting", setting, SETTINGS)
        given = {"alpha": alpha, "lateral_kernel": lateral_kernel, "num_layer3_blocks": num_layer3_blocks}
        if min([beta_inverse, *(value for value in given.values() if value is not None)]) < 1:
            raise UserError(f"beta_inverse and {', '.join(given)} must be 1 or more, got {beta_inverse} and {given}")
        if lateral_kernel is not None and lateral_kernel % 2 == 0:
            raise UserError(f"lateral_kernel must be odd, got {lateral_kernel}")
        self.setting = setting
        self.beta_inverse = beta_inverse
        self.own = {key: value for key, value in given.items() if value is not None}

    def network(self, backbone: NetworkPlan) -> NetworkPlan:
        """Two of the backbone.

        Raises:
            UserError: It is no ResNet, or its widths do not divide by ``beta_inverse``.
        """
        if not isinstance(backbone, ResNetPlan):
            raise UserError(f"slowfast is two ResNets; {type(backbone).__name__} cannot be its pathways")
        if any(width % self.beta_inverse for width in backbone.widths):
            raise UserError(f"beta_inverse must divide the widths {backbone.widths}, got {self.beta_inverse}")
        settings = DEEP_SETTINGS if backbone.num_units > 16 else SETTINGS
        return SlowFastPlan(
            resnet=backbone,
            module=self,
            setting=settings[self.setting]._replace(**self.own),
            beta_inverse=self.beta_inverse,
        )


@dataclass(frozen=True, kw_only=True)
class SlowFastPlan(BackbonePlan):
    """Two pathways of one ResNet, before they are built.

    Attributes:
        resnet: The slow pathway without what it is told.
        module: The module that asked for it; no other can be placed on it.
        setting: The settings in force.
        beta_inverse: Channels of the slow pathway for each of the fast one.
    """

    resnet: ResNetPlan
    module: SlowFast
    setting: Setting
    beta_inverse: int

    @property
    def num_units(self) -> int:
        """Residual blocks of one pathway."""
        return self.resnet.num_units

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build both pathways.

        Raises:
            UserError: With temporal pooling, a placement or another module: its kernels are set for each stage.
        """
        if temporal_pooling or not all(placed.allowed) or placed.module is not self.module:
            raise UserError(
                "slowfast takes no -tp, no placement and no other module: its kernels are set stage by stage"
            )
        return SlowFastNetwork(self, in_channels=in_channels)


class SlowFastNetwork(Backbone):
    """Stages that run both pathways; what runs from one to the next is a pair of maps."""

    def __init__(self, plan: SlowFastPlan, *, in_channels: int) -> None:
        super().__init__()
        setting, resnet = plan.setting, plan.resnet
        narrow = _four(width // plan.beta_inverse for width in resnet.widths)
        fast = _pathway(replace(resnet, widths=narrow), _FAST_KERNELS, setting, in_channels)
        handed = _four((narrow[0], *(_channels_out(resnet, width) for width in narrow[:3])))
        joined = _four(LATERAL_RATIO * channels for channels in handed)
        slow = _pathway(replace(resnet, joined=joined), _SLOW_KERNELS, setting, in_channels)
        self.split = SlowFrames(setting.alpha)
        for stage, channels in zip(slow.stages, (*handed, None), strict=True):
            lateral = None if channels is None else _lateral(channels, setting)
            self.add_module(stage, Pathways(_stage(slow, stage), _stage(fast, stage), lateral))
        self.num_features = slow.num_features + fast.num_features
        self.temporal_stride = setting.alpha
        self.input_parts = ("stem.slow.conv1", "stem.fast.conv1")
        self.stages = {"stem": ("split", "stem"), **{f"layer{stage}": (f"layer{stage}",) for stage in range(1, 5)}}

    def build_head(self, num_classes: int, *, dropout: float) -> AveragedHead:
        """Average, dropout, one linear layer."""
        return AveragedHead(self.num_features, num_classes, dropout=dropout)

    @staticmethod
    def as_map(passed: Pair) -> Features:
        """Both maps as one in the slow pathway's time: its channels, then the fast pathway's, ``b c t/alpha h w``."""
        slow, fast = passed
        return torch.cat([slow, average_over_spans(fast, slow.shape[2])], 1)


def _pathway(plan: ResNetPlan, kernels: tuple[int, int, int, int, int], setting: Setting, in_channels: int) -> ResNet:
    module = StageKernels(kernels, num_layer3_blocks=setting.num_layer3_blocks)
    placed = PlacedModule(module, (True,) * plan.num_units)
    return ResNet(plan, placed, temporal_pooling=False, in_channels=in_channels)


def _lateral(channels: int, setting: Setting) -> Lateral:
    return Lateral(channels, alpha=setting.alpha, kernel_time=setting.lateral_kernel)


def _four(values: Iterable[int]) -> tuple[int, int, int, int]:
    first, second, third, fourth = values
    return first, second, third, fourth


def _channels_out(plan: ResNetPlan, width: int) -> int:
    return width if plan.block == "basic" else 4 * width


def _stage(net: ResNet, stage: str) -> nn.Module:
    parts = {name: net.get_submodule(name) for name in net.stages[stage]}
    if len(parts) == 1:
        return parts[stage]
    in_a_row = nn.Sequential()
    for name, part in parts.items():
        in_a_row.add_module(name, part)
    return in_a_row
