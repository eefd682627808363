"""GoogLeNet as it was in 2014: Inception modules without batch norm, and auxiliary heads for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.backbones.inception import INCEPTION_MODULES, InceptionStages
from kinema.models.head import Head
from kinema.models.layers import fold, unfold
from kinema.models.response_norm import ClipResponseNorm
from kinema.models.sites import ConvSpec, PoolSpec
from kinema.models.temporal.base import PlacedModule, init_conv

_AUXILIARY_DROPOUT = 0.7
_AUXILIARY_MAP = 4
"""Height and width of the map that an auxiliary head sees."""


@dataclass(frozen=True, kw_only=True)
class GoogLeNetPlan(BackbonePlan):
    """The network of the ImageNet challenge of 2014, which the very deep two-stream paper trained.

    6,998,552 parameters with 1000 classes, 13,378,280 with the auxiliary heads; 1.58 G multiply-adds of convolutions
    for one frame of 224 x 224.
    Source: "Going Deeper with Convolutions" (arXiv 1409.4842), Table 1, with the normalisation of its Caffe form; used
    in "Towards Good Practices for Very Deep Two-Stream ConvNets" (arXiv 1507.02159).
    Random weights are drawn by fan-in, since there are no norms to keep the activations' scale.

    Attributes:
        aux: Whether two more heads score the maps of modules 4a and 4d in training; their losses count 0.3 each.
    """

    option_names: ClassVar[tuple[str, ...]] = ("aux",)

    aux: bool = False

    def __post_init__(self) -> None:
        """Check the option."""
        if not isinstance(self.aux, bool):
            raise UserError(f"aux must be true or false, got {self.aux!r}")

    @property
    def num_units(self) -> int:
        """Inception modules; the stem goes with the first."""
        return len(INCEPTION_MODULES)

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``. It has no temporal pooling."""
        assert not temporal_pooling  # the table of names refuses it
        return GoogLeNet(placed, in_channels=in_channels, aux=self.aux)


class GoogLeNet(InceptionStages):
    """The keys are those of ``inceptionv1`` with a bias for every norm, ``conv1.conv.bias``.

    Differs from that network: 5 x 5 kernels in the third branch, a fourth max-pool of 3 x 3, local response
    normalisation behind the first pool and behind conv3. Pools stay flat but for those of the modules.
    """

    def __init__(self, placed: PlacedModule, *, in_channels: int, aux: bool) -> None:
        super().__init__()
        like = ConvSpec(in_channels=64, out_channels=64, kernel=1, role="reduce", bias=True, init_fan="in")
        stem = replace(like, in_channels=in_channels, kernel=7, stride=2, role="stem", kernel_time=7)
        conv3 = replace(like, out_channels=192, kernel=3, role="spatial", kernel_time=3)
        self.add_stem([stem, like, conv3], (0, 0, 0), placed)
        self.norm1 = ClipResponseNorm()
        self.norm2 = ClipResponseNorm()
        self.add_modules(
            192, {name: own._replace(kernel3=5) for name, own in INCEPTION_MODULES.items()}, placed, like=like
        )
        pool = PoolSpec(kernel=3, stride=2, ceil_mode=True)
        for number, unit in enumerate((0, 0, 2, 7), start=1):
            self.add_module(f"maxpool{number}", placed.pool(pool, unit))
        stem_parts = ("conv1", "mix1", "maxpool1", "norm1", "conv2", "mix2", "conv3", "mix3", "norm2")
        self.stages = {**self.stages, "stem": stem_parts}
        self.temporal_stride = 1
        self.auxiliary = ("inception4a", "inception4d") if aux else ()

    def build_auxiliary(self, num_classes: int) -> Mapping[str, Head]:
        """The auxiliary heads, by the module whose map each scores."""
        widths = {part: INCEPTION_MODULES[part.removeprefix("inception")].out_channels for part in self.auxiliary}
        return {part: AuxiliaryHead(width, num_classes) for part, width in widths.items()}


class AuxiliaryHead(Head):
    """A small classifier of a middle map, frame by frame, averaged over time.

    Source: "Going Deeper with Convolutions" (arXiv 1409.4842), section 5.
    Differs from the paper: the map is averaged onto 4 x 4 whatever its size, where the paper pools 5 x 5 at stride 3
    (which makes 4 x 4 of the 14 x 14 that there are at 224 x 224).
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_features, 128, 1)
        self.fc1 = nn.Linear(128 * _AUXILIARY_MAP**2, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        init_conv(self.conv, fan="in")
        nn.init.kaiming_normal_(self.fc1.weight)
        nn.init.normal_(self.fc2.weight, std=0.01)
        nn.init.zeros_(self.fc1.bias)
        nn.init.zeros_(self.fc2.bias)

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes."""
        return self.fc2

    def forward(self, features: Tensor) -> Tensor:
        """Score ``b d t h w``; the result has axes ``b classes``."""
        steps = torch.relu_(self.conv(F.adaptive_avg_pool2d(fold(features), _AUXILIARY_MAP))).flatten(1)
        steps = F.dropout(torch.relu_(self.fc1(steps)), _AUXILIARY_DROPOUT, self.training)
        return unfold(self.fc2(steps)[:, :, None, None], features.shape[2]).mean((2, 3, 4))
