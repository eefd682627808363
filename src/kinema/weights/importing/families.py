"""The table of foreign families: whose checkpoints can be read, and whose cannot and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kinema.errors import UserError, unknown_name
from kinema.weights.importing import inception_families, resnet_families
from kinema.weights.importing.family import Family

FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in (
        resnet_families.TORCHVISION,
        resnet_families.VMZ,
        resnet_families.IBM,
        resnet_families.TSM,
        resnet_families.MFNET_FAMILY,
        inception_families.KINETICS_I3D,
        inception_families.PIERGIAJ,
        inception_families.HASSONY2,
        inception_families.KYLEMIN,
        inception_families.HOWTO100M_FAMILY,
        resnet_families.PYSLOWFAST,
        resnet_families.PYTORCHVIDEO,
        resnet_families.MMACTION2,
    )
}
"""Families by name."""

REFUSED_FAMILIES: Final[Mapping[str, str]] = {
    "3d-resnets": "kenshohara/3D-ResNets-PyTorch has a stem that covers 7 frames and a max-pool over space and time, "
    "which no network of the papers has; r3d-vresnet18 and r2plus1d-vresnet18 are others",
    "gluoncv": "its I3D inflates other convolutions than i3d-resnet50, and its R(2+1)D was made from VMZ's files: "
    "import those with --from vmz",
}
"""Code bases whose networks are none of ours, each with the reason."""


def find_family(name: str) -> Family:
    """Look up a family.

    Raises:
        UserError: It is unknown, or its networks are none of ours.
    """
    if name in REFUSED_FAMILIES:
        raise UserError(f"checkpoints of {name} cannot be imported: {REFUSED_FAMILIES[name]}")
    if name not in FAMILIES:
        raise unknown_name("family of checkpoints", name, FAMILIES, f"Known: {', '.join(FAMILIES)}.")
    return FAMILIES[name]
