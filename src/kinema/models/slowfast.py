"""SlowFast, the network of two pathways: few frames in many channels, all frames in few, joined after each stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import UserError, one_of
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.backbones.resnet import ResNet, ResNetPlan
from kinema.models.head import LinearHead
from kinema.models.layers import ClipBatchNorm, ClipConv3d
from kinema.models.sites import ConvSpec
from kinema.models.temporal.base import PlacedModule, TemporalModule, init_conv
from kinema.models.temporal.slow import StageKernels
from kinema.shapes import Clip, Features

Pair: TypeAlias = tuple[Tensor, Tensor]
"""The slow and the fast pathway's map, ``b c t h w`` each with its own channels and time steps."""


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
_LATERAL_RATIO = 2  # channels that a lateral connection hands over, for each of the fast pathway's


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

    def network(self, backbone: BackbonePlan) -> BackbonePlan:
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
        joined = _four(_LATERAL_RATIO * channels for channels in handed)
        slow = _pathway(replace(resnet, joined=joined), _SLOW_KERNELS, setting, in_channels)
        self.split = SlowFrames(setting.alpha)
        for stage, channels in zip(slow.stages, (*handed, None), strict=True):
            lateral = None if channels is None else Lateral(channels, setting)
            self.add_module(stage, Pathways(_stage(slow, stage), _stage(fast, stage), lateral))
        self.num_features = slow.num_features + fast.num_features
        self.temporal_stride = setting.alpha
        self.stages = {"stem": ("split", "stem"), **{f"layer{stage}": (f"layer{stage}",) for stage in range(1, 5)}}

    def build_head(self, num_classes: int, *, dropout: float) -> LinearHead:
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


def slow_frames(num_frames: int, alpha: int) -> list[int]:
    """Which frames of a clip the slow pathway sees, 0-based: evenly spread from the first to the last, truncated.

    One frame for every ``alpha``, rounded up; where ``alpha`` divides the number of frames, these are the frames of
    the published code (``linspace(0, num_frames - 1, num_frames // alpha)`` cut to integers), but for its rounding
    errors: with 160, 400 and 512 frames it takes one frame earlier here and there.
    Differs from the paper: there, every alpha-th frame from the first.
    """
    count = -(-num_frames // alpha)
    return [0] if count == 1 else [step * (num_frames - 1) // (count - 1) for step in range(count)]


class SlowFrames(nn.Module):
    """From a clip to the slow pathway's frames and the clip itself."""

    def __init__(self, alpha: int) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, clip: Clip) -> Pair:
        """``b c t h w`` to a pair of ``b c ceil(t/alpha) h w`` and the clip."""
        indices = torch.tensor(slow_frames(clip.shape[2], self.alpha), device=clip.device)
        # picked in the physical order b t h w c, so that the result is laid out as the clip is
        return clip.permute(0, 2, 3, 4, 1).index_select(1, indices).permute(0, 4, 1, 2, 3), clip


class Lateral(nn.Module):
    """What the fast pathway tells the slow one: a convolution over time with stride alpha, batch norm, ReLU."""

    def __init__(self, channels: int, setting: Setting) -> None:
        super().__init__()
        spec = ConvSpec(
            in_channels=channels,
            out_channels=_LATERAL_RATIO * channels,
            kernel=1,
            role="reduce",
            stride_time=setting.alpha,
        )
        self.conv = ClipConv3d(spec, kernel_time=setting.lateral_kernel)
        init_conv(self.conv)
        self.bn = ClipBatchNorm(spec.out_channels)

    def forward(self, fast: Features) -> Features:
        """``b c t h w`` to ``b 2c ceil(t/alpha) h w``."""
        return torch.relu_(self.bn(self.conv(fast)))


class Pathways(nn.Module):
    """One stage of both pathways, and the lateral connection behind it where there is one."""

    def __init__(self, slow: nn.Module, fast: nn.Module, lateral: Lateral | None) -> None:
        super().__init__()
        self.slow = slow
        self.fast = fast
        self.lateral = lateral

    def forward(self, passed: Pair) -> Pair:
        """A pair of maps to the next pair; the slow one has its own channels first, then what it was told."""
        slow, fast = self.slow(passed[0]), self.fast(passed[1])
        return slow if self.lateral is None else torch.cat([slow, self.lateral(fast)], 1), fast


def average_over_spans(clip: Features, num_spans: int) -> Features:
    """Average time over spans of equal length: ``b c t h w`` to ``b c num_spans h w``.

    A frame that two spans share counts in each with the part that lies there, so the average stays what it was.
    """
    num_frames = clip.shape[2]
    # in units of 1 / (t num_spans) of the clip: frames are num_spans long, spans are t long
    frames = torch.arange(num_frames, device=clip.device)[:, None] * num_spans
    spans = torch.arange(num_spans, device=clip.device) * num_frames
    shared = torch.minimum(frames + num_spans, spans + num_frames) - torch.maximum(frames, spans)
    return torch.einsum("bcthw,ts->bcshw", clip, shared.clamp(min=0).to(clip.dtype) / num_frames)


class AveragedHead(LinearHead):
    """Average over the whole map, dropout, one linear layer: a feature is dropped for all time steps at once."""

    def forward(self, input: Tensor) -> Tensor:
        """Score ``b d t h w``; the result has axes ``b classes``."""
        return F.linear(F.dropout(input.mean((2, 3, 4)), self.dropout, self.training), self.weight, self.bias)
