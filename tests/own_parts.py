"""Networks and parts that a user might write, and a block that forgets what was registered in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from kinema.models import catalogue
from kinema.models.action_model import ActionModel
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.resnet import RESNETS
from kinema.models.head import LinearHead
from kinema.models.sites import Site
from kinema.models.temporal.base import TemporalModule


class Difference(TemporalModule):
    """Adds, at the head of every block, a learnt share of each frame's difference from the one before.

    Args:
        start: Where the shares start.
    """

    sees_order = True
    option_names: ClassVar[tuple[str, ...]] = ("start",)

    def __init__(self, *, start: float = 0.5) -> None:
        self.start = start

    def mix(self, site: Site) -> nn.Module:
        return AddedDifference(site.channels, self.start)


class AddedDifference(nn.Module):
    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.full((channels, 1, 1, 1), start))

    def forward(self, clip: Tensor) -> Tensor:
        before = torch.cat([clip[:, :, :1], clip[:, :, :-1]], dim=2)
        return clip + self.share * (clip - before)


@contextmanager
def forgotten_afterwards() -> Iterator[None]:
    """Undo, at the end of the block, what it registered."""
    tables = (catalogue.MODULES, catalogue.BACKBONES)
    before = [dict(table) for table in tables]
    try:
        yield
    finally:
        for table, kept in zip(tables, before, strict=True):
            table.clear()
            table.update(kept)


class OneConvolution(Backbone):
    """A whole network of one's own: a convolution over five frames and a pool, which nobody asks about its parts."""

    stages: ClassVar = {"body": ("conv", "act")}
    num_features = 8
    temporal_stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, (5, 7, 7), stride=(1, 4, 4), padding=(2, 3, 3))
        self.act = nn.ReLU()


def difference_model(num_classes: int) -> ActionModel:
    return ActionModel.compose(RESNETS["resnettiny"], Difference(), num_classes=num_classes)


def whole_model(num_classes: int) -> ActionModel:
    return ActionModel(OneConvolution(), LinearHead(8, num_classes), name="one-convolution")
