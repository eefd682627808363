"""Big-Little ResNet: a stage runs its blocks at half the resolution beside a few narrow ones at the full."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.backbones.resnet import Bottleneck, ResidualBlockSpec
from kinema.models.layers import ClipBatchNorm, fold, unfold
from kinema.models.sites import ConvSpec, Role, Site
from kinema.models.temporal.base import PlacedModule

_STEM_WIDTH, _WIDTHS, _EXPANSION = 64, (64, 128, 256, 512), 4
_FUSION_STRIDES = (2, 2, 1)  # of the three big-little stages; the fourth stage is a plain one and strides at its head


@dataclass(frozen=True, kw_only=True)
class BLResNetPlan(BackbonePlan):
    """A Big-Little ResNet of bottlenecks as numbers.

    Source: "Big-Little Net: An Efficient Multi-Scale Feature Representation for Visual and Speech Recognition"
    (arXiv 1807.03848), two branches. What the paper leaves open is read from its authors' code (IBM/BigLittleNet):
    a big-little stage of n blocks has n - 1 in the big branch, whose first one strides, max(1, n // beta - 1) in the
    little branch, nearest-neighbour upsampling of the big branch, and one block behind the sum, which strides where
    ResNet's next stage would; a shortcut that strides averages 3 x 3 pixels; the last stage is a plain one.

    Attributes:
        layers: Blocks of each stage, the one behind the sum counted in.
        bl_alpha: Channels of the big branch for each of the little one.
        bl_beta: Blocks of a stage for each of the little branch.
    """

    option_names: ClassVar[tuple[str, ...]] = ("bl_alpha", "bl_beta")

    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    bl_alpha: int = 2
    bl_beta: int = 4

    def __post_init__(self) -> None:
        """Check the options."""
        if self.bl_beta < 1 or self.bl_alpha < 1 or _STEM_WIDTH % self.bl_alpha:
            raise UserError(
                f"bl_alpha must divide {_STEM_WIDTH} and bl_beta must be 1 or more, got {self.bl_alpha}, {self.bl_beta}"
            )

    def num_little(self, blocks: int) -> int:
        """Blocks of the little branch of a stage."""
        return max(1, blocks // self.bl_beta - 1)

    @property
    def num_units(self) -> int:
        """Residual blocks, those of the little branches included."""
        return sum(self.layers) + sum(self.num_little(blocks) for blocks in self.layers[:3])

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``."""
        return BLResNet(self, placed, temporal_pooling=temporal_pooling, in_channels=in_channels)


class BLResNet(Backbone):
    """Stem, three big-little stages, a plain one; the stem goes with the first block when a module is placed.

    Units are counted stage by stage: big branch, little branch, the block behind their sum. Time is halved, with
    temporal pooling, where the trunk's resolution is: behind the sums of the first two stages and at the last stage.
    """

    def __init__(self, plan: BLResNetPlan, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> None:
        super().__init__()
        self.stem = BigLittleStem(placed, in_channels=in_channels, little=_STEM_WIDTH // plan.bl_alpha)
        unit, channels = 0, _STEM_WIDTH
        for stage, (blocks, width) in enumerate(zip(plan.layers, _WIDTHS, strict=True), start=1):
            spec = _BranchBlockSpec(
                stage=stage,
                block=0,
                unit=unit,
                num_blocks=plan.num_units,
                in_channels=channels,
                planes=width,
                out_channels=width * _EXPANSION,
                stride=2,
                halves_time=False,
            )
            if stage < 4:
                stride = _FUSION_STRIDES[stage - 1]
                made = BigLittleStage(
                    spec,
                    placed,
                    num_big=blocks - 1,
                    num_little=plan.num_little(blocks),
                    alpha=plan.bl_alpha,
                    fusion_stride=stride,
                    halves_time=temporal_pooling and stride == 2,
                )
                unit += blocks + plan.num_little(blocks)
            else:
                made = _in_a_row(replace(spec, halves_time=temporal_pooling), placed, blocks)
            self.add_module(f"layer{stage}", made)
            channels = width * _EXPANSION
        self.num_features = channels
        self.temporal_stride = 8 if temporal_pooling else 1
        self.stages = {name: (name,) for name in ("stem", "layer1", "layer2", "layer3", "layer4")}


@dataclass(frozen=True, kw_only=True)
class _BranchBlockSpec(ResidualBlockSpec):
    """A block of one branch.

    Attributes:
        branch: Name of the branch and a dot, empty in the last stage.
        position: Position in the branch.
    """

    branch: str = ""
    position: int = 0

    def site(self, channels: int) -> Site:
        return replace(super().site(channels), name=f"layer{self.stage}.{self.branch}{self.position}")


class AveragedBottleneck(Bottleneck):
    """A bottleneck whose shortcut strides by averaging, and which may leave the last ReLU to what follows."""

    def __init__(self, spec: ResidualBlockSpec, placed: PlacedModule, *, rectifies: bool = True) -> None:
        super().__init__(spec, placed)
        self.rectifies = rectifies

    def end(self, spec: ResidualBlockSpec, placed: PlacedModule) -> None:
        """Add what follows the convolutions; the shortcut has a convolution only where the width changes."""
        super().end(replace(spec, stride=1), placed)
        if spec.stride > 1:
            widen = self.downsample
            pool = AveragePool(stride_time=self.stride_time if widen is None else 1)
            self.downsample = pool if widen is None else nn.Sequential(pool, widen)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t' h' w'``."""
        clip = self.time_pool(clip)
        residual = self.branch_end(self.branch(self.mix(clip)))
        total = residual + (clip if self.downsample is None else self.downsample(clip))
        return self.after(torch.relu_(total) if self.rectifies else total)


class AveragePool(nn.Module):
    """Average over 3 x 3 pixels at every second one; frames are skipped where the convolutions beside it skip them."""

    def __init__(self, *, stride_time: int) -> None:
        super().__init__()
        self.stride_time = stride_time

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b c t' h/2 w/2``."""
        clip = clip[:, :, :: self.stride_time]
        return unfold(F.avg_pool2d(fold(clip), 3, 2, 1), clip.shape[2])


class ConvNorm(nn.Module):
    """A convolution, its norm and its activation: none where the spec says ``branch_out``."""

    def __init__(self, spec: ConvSpec, placed: PlacedModule, unit: int) -> None:
        super().__init__()
        self.conv = placed.conv(spec, unit)
        self.bn = ClipBatchNorm(spec.out_channels)
        self.activated = placed.activated(spec, unit)
        self.rectifies = spec.role != "branch_out"

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t' h' w'``."""
        clip = self.bn(self.conv(clip))
        return self.activated(torch.relu_(clip) if self.rectifies else clip)


class BigLittleStem(nn.Module):
    """7 x 7 with stride 2, then one strided 3 x 3 beside three narrow convolutions, their sum, and 1 x 1."""

    def __init__(self, placed: PlacedModule, *, in_channels: int, little: int) -> None:
        super().__init__()
        width = _STEM_WIDTH

        def conv(channels: int, out: int, kernel: int, stride: int, role: Role) -> ConvNorm:
            spec = ConvSpec(
                in_channels=channels,
                out_channels=out,
                kernel=kernel,
                stride=stride,
                role=role,
                kernel_time=3 if kernel > 1 else 1,
                block_in=width,
                block_out=width,
            )
            return ConvNorm(spec, placed, 0)

        self.first = conv(in_channels, width, 7, 2, "stem")
        self.big = conv(width, width, 3, 2, "branch_out")
        self.little = nn.Sequential(
            conv(width, little, 3, 1, "spatial"),
            conv(little, little, 3, 2, "spatial"),
            conv(little, width, 1, 1, "branch_out"),
        )
        self.last = conv(width, width, 1, 1, "reduce")

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b 64 t h/4 w/4``."""
        clip = self.first(clip)
        return self.last(torch.relu_(self.big(clip) + self.little(clip)))


class BigLittleStage(nn.Module):
    """Blocks at half the resolution, fewer and narrower ones at the full, their sum, and one more block."""

    def __init__(
        self,
        spec: _BranchBlockSpec,
        placed: PlacedModule,
        *,
        num_big: int,
        num_little: int,
        alpha: int,
        fusion_stride: int,
        halves_time: bool,
    ) -> None:
        super().__init__()
        unit, out = spec.unit, spec.out_channels
        self.big = _in_a_row(replace(spec, branch="big."), placed, num_big, last_rectifies=False)
        narrow = replace(spec, branch="little.", unit=unit + num_big, stride=1)
        narrow = replace(narrow, planes=spec.planes // alpha, out_channels=out // alpha)
        self.little = _in_a_row(narrow, placed, num_little)
        behind = unit + num_big + num_little
        widen = spec.conv(out // alpha, out, 1, role="branch_out")
        self.widen = ConvNorm(widen, placed, behind - 1)
        behind_sum = replace(spec, branch="fusion.", unit=behind, block=num_big, in_channels=out)
        self.fusion = _in_a_row(replace(behind_sum, stride=fusion_stride, halves_time=halves_time), placed, 1)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t' h' w'``."""
        little = self.widen(self.little(clip))
        big = self.big(clip)
        enlarged = F.interpolate(fold(big), size=little.shape[3:], mode="nearest")
        return self.fusion(torch.relu_(little + unfold(enlarged, big.shape[2])))


def _in_a_row(
    spec: _BranchBlockSpec, placed: PlacedModule, num_blocks: int, *, last_rectifies: bool = True
) -> nn.Sequential:
    """Blocks of which the first changes width, size and time; ``spec`` is the first one's."""
    blocks = [AveragedBottleneck(spec, placed, rectifies=last_rectifies or num_blocks > 1)]
    for position in range(1, num_blocks):
        following = replace(
            spec,
            position=position,
            block=spec.block + position,
            unit=spec.unit + position,
            in_channels=spec.out_channels,
            stride=1,
            halves_time=False,
        )
        blocks.append(AveragedBottleneck(following, placed, rectifies=last_rectifies or position < num_blocks - 1))
    return nn.Sequential(*blocks)
