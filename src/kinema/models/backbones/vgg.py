"""VGG with torchvision's keys: convolutions 3 x 3 throughout, in five groups, and no norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kinema.models.backbones.plain import PlainConv, PlainPlan

_WIDTHS = (64, 128, 256, 512, 512)


def _plan(*depths: int) -> PlainPlan:
    groups = tuple((PlainConv(width),) * depth for width, depth in zip(_WIDTHS, depths, strict=True))
    return PlainPlan(groups=groups, pool=2, map_size=7)


VGGS: Final[Mapping[str, PlainPlan]] = {
    "vgg11": _plan(1, 1, 2, 2, 2),
    "vgg16": _plan(2, 2, 3, 3, 3),
    "vgg19": _plan(2, 2, 4, 4, 4),
}
"""The VGGs by name; the number counts the layers that have weights.

Source: "Very Deep Convolutional Networks for Large-Scale Image Recognition" (arXiv 1409.1556), configurations A, D and
E, as "Towards Good Practices for Very Deep Two-Stream ConvNets" (arXiv 1507.02159) uses them: ``tsn-vgg16`` with three
channels is its spatial net, with ``in_channels=20`` (x and y of ten flows) its temporal net.
Weights start as torchvision's: Kaiming normal, fan out, in convolutions, a deviation of 0.01 in the linear layers.
"""
