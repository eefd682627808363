"""The ResNets of the R(2+1)D paper: made for clips, with time strided where the temporal module can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from kinema.errors import UserError
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.backbones.resnet import BasicBlock, ResidualBlockSpec
from kinema.models.head import AveragedHead
from kinema.models.layers import ClipBatchNorm
from kinema.models.sites import ConvSpec
from kinema.models.temporal.base import PlacedModule

_WIDTHS = (64, 128, 256, 512)
_GROUPS = 5


@dataclass(frozen=True, kw_only=True)
class VResNetPlan(BackbonePlan):
    """A ResNet of basic blocks without a max-pool behind the stem, as numbers.

    Source: "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (arXiv 1711.11248), Table 1.

    Attributes:
        layers: Blocks of each stage.
        norm_eps: Epsilon of the batch norms: 1e-3 in the authors' networks, 1e-5 in torchvision's.
    """

    option_names: ClassVar[tuple[str, ...]] = ("norm_eps",)

    layers: tuple[int, int, int, int]
    norm_eps: float = 1e-3

    @property
    def num_units(self) -> int:
        """The paper's five groups of convolutions: conv1, the stem, and conv2 to conv5, the stages."""
        return _GROUPS

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``.

        Raises:
            UserError: ``norm_eps`` is not positive, or temporal pooling is asked for.
        """
        if not self.norm_eps > 0:
            raise UserError(f"norm_eps must be greater than 0, got {self.norm_eps}")
        if temporal_pooling:
            raise UserError("this ResNet has no form with temporal pooling: its temporal convolutions stride time")
        return VResNet(self, placed, in_channels=in_channels)


class VResNet(Backbone):
    """Stem and four stages under the ResNets' names, at twice their resolution: 56, 28, 14 and 7 pixels for 112.

    Time is halved in the first block of the last three stages, each where the module sits there and strides time;
    nowhere else, so that a network without temporal convolutions keeps every frame.
    """

    def __init__(self, plan: VResNetPlan, placed: PlacedModule, *, in_channels: int) -> None:
        super().__init__()
        width = _WIDTHS[0]
        stem = ConvSpec(
            in_channels=in_channels,
            out_channels=width,
            kernel=7,
            stride=2,
            role="stem",
            kernel_time=3,
            norm_eps=plan.norm_eps,
        )
        self.conv1 = placed.conv(stem, 0)
        self.bn1 = ClipBatchNorm(width, eps=plan.norm_eps)
        self.relu = nn.ReLU(inplace=True)
        self.activated1 = placed.activated(stem, 0)
        self.temporal_stride, channels = 1, width
        for stage, (num_blocks, planes) in enumerate(zip(plan.layers, _WIDTHS, strict=True), start=1):
            halves_time = stage > 1 and placed.strides_time(stage)
            self.temporal_stride *= 2 if halves_time else 1
            blocks: list[nn.Module] = []
            for block in range(num_blocks):
                first = block == 0 and stage > 1
                spec = ResidualBlockSpec(
                    stage=stage,
                    block=block,
                    unit=stage,
                    num_blocks=sum(plan.layers),
                    in_channels=channels,
                    planes=planes,
                    out_channels=planes,
                    stride=2 if first else 1,
                    halves_time=halves_time and first,
                    norm_eps=plan.norm_eps,
                )
                blocks.append(BasicBlock(spec, placed))
                channels = planes
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.num_features = channels
        self.stages = {
            "stem": ("conv1", "bn1", "relu", "activated1"),
            **{f"layer{stage}": (f"layer{stage}",) for stage in range(1, _GROUPS)},
        }

    def build_head(self, num_classes: int, *, dropout: float) -> AveragedHead:
        """Dropout behind the average over time and space, where the authors' code has it as an option."""
        return AveragedHead(self.num_features, num_classes, dropout=dropout)


VRESNETS = {
    "vresnet18": VResNetPlan(layers=(2, 2, 2, 2)),
    "vresnet34": VResNetPlan(layers=(3, 4, 6, 3)),
}
"""The paper's ResNets by name."""
