"""Networks of plain convolutions in a row, as they were before residual blocks and norms; VGG is one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

from torch import nn

from kinema.errors import UserError
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.fully_connected import FullyConnectedHead
from kinema.models.layers import Rectifier
from kinema.models.response_norm import ClipResponseNorm
from kinema.models.sites import ConvSpec, PoolSpec, Site
from kinema.models.temporal.base import PlacedModule

_PARTS = ("activated", "branch_end", "mix", "after")
"""What a temporal module may put behind a convolution's ReLU, in this order."""

_TEMPORAL_POOLS = 3
"""Pools that ``-tp`` lets halve time, counted from the last."""

_ALPHA, _K = 5e-4, 2.0
"""Of CNN-M's local response normalisation."""


class PlainConv(NamedTuple):
    """A convolution with a bias and a ReLU.

    Attributes:
        channels: Channels out.
        kernel: Height and width of the kernel.
        stride: Spatial stride.
        padding: Zeros on each side; None for half a kernel.
        normalised: Whether local response normalisation follows.
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int | None = None
    normalised: bool = False


@dataclass(frozen=True, kw_only=True)
class PlainPlan(BackbonePlan):
    """Groups of convolutions with a max-pool behind each, then fc6, fc7 and the classifier.

    Attributes:
        groups: The convolutions of each group.
        pool: Height and width of the pools' window; their stride is 2.
        ceil_mode: Whether a pool's last window may reach over the border, as Caffe's do.
        map_size: Height and width of the map that fc6 sees; maps of other sizes are averaged onto it.
        init_fan: How random convolutions are drawn, see ``ConvSpec``.
        fc_widths: Units of fc6 and fc7.
        fc_dropout: Chances in [0, 1) that a unit of fc6 and of fc7 is dropped in training; empty for the model's
            ``dropout`` twice. The very deep two-stream paper has (0.9, 0.9) on frames and (0.9, 0.8) on flow.
    """

    option_names: ClassVar[tuple[str, ...]] = ("fc_widths", "fc_dropout")

    groups: tuple[tuple[PlainConv, ...], ...]
    pool: int
    ceil_mode: bool = False
    map_size: int
    init_fan: Literal["in", "out"] = "out"
    fc_widths: Sequence[int] = (4096, 4096)
    fc_dropout: Sequence[float] = ()

    def __post_init__(self) -> None:
        """Check the options, which are pairs."""
        if not _is_pair_of(int, self.fc_widths) or min(self.fc_widths) < 1:
            raise UserError(f"fc_widths must be two numbers from 1, units of fc6 and fc7; got {self.fc_widths!r}")
        if self.fc_dropout != () and not _is_pair_of((int, float), self.fc_dropout):
            raise UserError(
                f"fc_dropout must be two numbers, chances for fc6 and fc7 such as [0.9, 0.8]; got {self.fc_dropout!r}"
            )

    @property
    def num_units(self) -> int:
        """Convolutions."""
        return sum(len(group) for group in self.groups)

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``."""
        return PlainNet(self, placed, temporal_pooling=temporal_pooling, in_channels=in_channels)


class PlainNet(Backbone):
    """Convolutions, ReLUs and pools under torchvision's keys ``features.N``, where every layer counts.

    Temporal parts sit behind each convolution's ReLU, under its number: ``mix.3`` is what TAM puts behind
    ``features.3``. Pools stay flat but for temporal pooling, which halves time in the last three.
    """

    head_name = "classifier"

    def __init__(self, plan: PlainPlan, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> None:
        super().__init__()
        self.plan = plan
        self.features = nn.Sequential()
        for part in _PARTS:
            self.add_module(part, nn.ModuleDict())
        self.stages = {}
        blocks = dict.fromkeys(range(5), 0)
        unit, stride, channels = 0, 1, in_channels
        for number, group in enumerate(plan.groups, start=1):
            names: list[str] = []
            for row in group:
                stride *= row.stride
                stage = max(int(math.log2(stride)) - 1, 0)
                spec = _spec(row, channels, plan, stage=stage, block=blocks[stage])
                names += self._add_conv(spec if unit else replace(spec, role="stem"), placed, unit)
                if row.normalised:
                    names.append(self._add_layer(ClipResponseNorm(alpha=_ALPHA, k=_K)))
                blocks[stage] += 1
                unit, channels = unit + 1, row.channels
            pool = PoolSpec(kernel=plan.pool, stride=2, ceil_mode=plan.ceil_mode)
            if temporal_pooling and number > len(plan.groups) - _TEMPORAL_POOLS:
                pool = replace(pool, kernel_time=3, stride_time=2)
            stride *= 2
            self.stages[f"conv{number}"] = (*names, self._add_layer(placed.pool(pool, unit - 1)))
        self.num_features = channels
        self.temporal_stride = 2**_TEMPORAL_POOLS if temporal_pooling else 1

    def _add_conv(self, spec: ConvSpec, placed: PlacedModule, unit: int) -> list[str]:
        """Add a convolution, its ReLU and what the module puts behind; the names of the parts in their order."""
        index = str(len(self.features))
        names = [self._add_layer(placed.conv(spec, unit)), self._add_layer(Rectifier())]
        site = Site(
            name=names[0],
            channels=spec.out_channels,
            stage=spec.stage,
            block=spec.block,
            num_blocks=self.plan.num_units,
        )
        answers = (
            placed.activated(spec, unit),
            placed.branch_end(site, unit),
            placed.mix(site, unit),
            placed.after(site, unit),
        )
        for part, answer in zip(_PARTS, answers, strict=True):
            if not isinstance(answer, nn.Identity):
                self.get_submodule(part).add_module(index, answer)
                names.append(f"{part}.{index}")
        return names

    def _add_layer(self, layer: nn.Module) -> str:
        self.features.append(layer)
        return f"features.{len(self.features) - 1}"

    def build_head(self, num_classes: int, *, dropout: float) -> FullyConnectedHead:
        """Fc6, fc7 and the classifier."""
        return FullyConnectedHead(
            self.num_features,
            num_classes,
            map_size=self.plan.map_size,
            widths=self.plan.fc_widths,
            dropout=self.plan.fc_dropout or (dropout, dropout),
        )


def _is_pair_of(kind: type | tuple[type, ...], given: object) -> bool:
    return isinstance(given, list | tuple) and len(given) == 2 and all(isinstance(value, kind) for value in given)


def _spec(row: PlainConv, in_channels: int, plan: PlainPlan, *, stage: int, block: int) -> ConvSpec:
    return ConvSpec(
        in_channels=in_channels,
        out_channels=row.channels,
        kernel=row.kernel,
        stride=row.stride,
        padding=row.padding,
        bias=True,
        init_fan=plan.init_fan,
        role="spatial",
        kernel_time=3,
        block_in=in_channels,
        block_out=row.channels,
        stage=stage,
        block=block,
    )
