"""Multi-fiber networks: MF-Net, its wider form without multiplexer, and ResNet-18 with multi-fiber units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.backbones.multi_fiber import MultiFiberUnit, UnitSpec
from kinema.models.head import AveragedHead
from kinema.models.layers import ClipBatchNorm
from kinema.models.sites import ConvSpec, PoolSpec
from kinema.models.temporal.base import PlacedModule


@dataclass(frozen=True, kw_only=True)
class MultiFiberPlan(BackbonePlan):
    """A multi-fiber network as numbers.

    Source: "Multi-Fiber Networks for Video Recognition" (arXiv 1807.11195), Table 2. With ``i3d`` it is the paper's
    3-D network, which halves time once, in the first unit; with ``tsn`` its 2-D network, trainable on images.

    Attributes:
        fibers: Groups of channels that meet only in the multiplexer (the paper's N). The paper does not print the
            widths of its networks of 12 and 24 fibers; here the widths stay, and the stem is as near to 16 channels as
            whole fibers allow.
        multiplexer: Whether every unit has one.
        layers: Units of each stage.
        widths: Channels of each stage.
        middle: Channels between a unit's two convolutions, for each one that it gives out.
        stem_width: Channels of the stem; 0 for the nearest to 16.
        stem_kernel: Height and width of the first kernel.
        full_first: Whether the first unit of a stage has a 1 x 1 convolution over all fibers as its second.
        halves_time_early: Whether time is halved in the first unit, and so cannot be by temporal pooling.
    """

    option_names: ClassVar[tuple[str, ...]] = ("fibers", "multiplexer")

    fibers: int = 16
    multiplexer: bool = True
    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    widths: tuple[int, int, int, int] = (96, 192, 384, 768)
    middle: int = 1
    stem_width: int = 0
    stem_kernel: int = 5
    full_first: bool = True
    halves_time_early: bool = True

    @property
    def num_units(self) -> int:
        """Multi-fiber units; the stem goes with the first."""
        return sum(self.layers)

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``.

        Raises:
            UserError: The fibers do not divide the widths, or the network has no temporal pooling.
        """
        width = self.widths[0]
        if self.fibers < 1 or width % self.fibers:
            whole = ", ".join(str(number) for number in range(1, width + 1) if width % number == 0)
            raise UserError(f"fibers must divide the {width} channels of the first stage, got {self.fibers}; {whole}")
        if temporal_pooling and self.halves_time_early:
            raise UserError("MF-Net halves time in its first unit and has no other temporal pooling")
        return MultiFiberNet(self, placed, temporal_pooling=temporal_pooling, in_channels=in_channels)


class MultiFiberNet(Backbone):
    """Stem, max-pool, four stages of multi-fiber units, a last norm; keys are those of the authors' PyTorch code."""

    head_name = "classifier"

    def __init__(self, plan: MultiFiberPlan, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> None:
        super().__init__()
        width = plan.stem_width or max(round(16 / plan.fibers), 1) * plan.fibers
        stem = ConvSpec(
            in_channels=in_channels,
            out_channels=width,
            kernel=plan.stem_kernel,
            stride=2,
            role="stem",
            kernel_time=3,
        )
        self.conv1 = Stem(stem, placed)
        self.maxpool = placed.pool(PoolSpec(kernel=3, stride=2, padding=1), 0)
        unit, channels = 0, width
        for stage, (num_units, out_channels) in enumerate(zip(plan.layers, plan.widths, strict=True), start=1):
            units = nn.Sequential()
            for block in range(num_units):
                unit_spec = UnitSpec(
                    name=f"conv{stage + 1}.B{block + 1:02d}",
                    stage=stage,
                    block=block,
                    unit=unit,
                    num_units=plan.num_units,
                    in_channels=channels,
                    middle=out_channels * plan.middle,
                    out_channels=out_channels,
                    fibers=plan.fibers,
                    multiplexer=plan.multiplexer,
                    full=plan.full_first and block == 0,
                    rectified=unit == 0,
                    stride=2 if block == 0 and stage > 1 else 1,
                    halves_time=temporal_pooling and block == 0 and stage > 1,
                    strides_time=plan.halves_time_early and unit == 0,
                )
                units.add_module(f"B{block + 1:02d}", MultiFiberUnit(unit_spec, placed))
                channels, unit = out_channels, unit + 1
            self.add_module(f"conv{stage + 1}", units)
        self.tail = Tail(channels)
        self.num_features = channels
        halved_early = plan.halves_time_early and placed.strides_time(0)
        self.temporal_stride = 8 if temporal_pooling else 2 if halved_early else 1
        self.stages = {
            "stem": ("conv1", "maxpool"),
            **{f"conv{stage}": (f"conv{stage}",) for stage in range(2, 6)},
            "tail": ("tail",),
        }

    def build_head(self, num_classes: int, *, dropout: float) -> AveragedHead:
        """Dropout behind the average over time and space, where the authors' code has it for fine-tuning."""
        return AveragedHead(self.num_features, num_classes, dropout=dropout)


class Stem(nn.Module):
    """Convolution, norm, ReLU."""

    def __init__(self, spec: ConvSpec, placed: PlacedModule) -> None:
        super().__init__()
        self.conv = placed.conv(spec, 0)
        self.bn = ClipBatchNorm(spec.out_channels)
        self.activated = placed.activated(spec, 0)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b d t h' w'``."""
        return self.activated(torch.relu_(self.bn(self.conv(clip))))


class Tail(nn.Module):
    """The norm and ReLU that pre-activation units leave to do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = ClipBatchNorm(channels)

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to the same shape."""
        return torch.relu_(self.bn(clip))


MULTI_FIBER_NETS: Final[Mapping[str, MultiFiberPlan]] = {
    "mfnet": MultiFiberPlan(),
    "mfnetwide": MultiFiberPlan(multiplexer=False, layers=(3, 4, 8, 3), widths=(112, 224, 448, 896)),
    "mfresnet18": MultiFiberPlan(
        layers=(2, 2, 2, 2),
        middle=4,
        stem_width=32,
        stem_kernel=7,
        full_first=False,
        halves_time_early=False,
    ),
}
"""Multi-fiber networks by name.

``mfnetwide`` is the paper's "w/o multiplexer, deeper & wider", whose widths and layers it does not print: 6.41 M
parameters and 0.894 G multiply-adds where it prints 6.4 M and 897 M. ``mfresnet18`` is our plan for its "ResNet-18 (MF
embedded)", for which it prints 9.6 M and 1.6 G alone: plain substitution at ResNet-18's widths stays far below."""
