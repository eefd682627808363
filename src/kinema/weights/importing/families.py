"""The table of foreign families: whose checkpoints can be read, and whose cannot and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kinema.errors import UserError, unknown_name
from kinema.weights.importing import (
    ibm,
    kinetics_i3d,
    mfnet,
    mmaction2,
    s3d_ports,
    slowfast,
    torchvision_models,
    tsm,
    vmz,
)
from kinema.weights.importing.family import Family

FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in (
        torchvision_models.TORCHVISION,
        vmz.VMZ,
        ibm.IBM,
        tsm.TSM,
        mfnet.MFNET_FAMILY,
        kinetics_i3d.KINETICS_I3D,
        kinetics_i3d.PIERGIAJ,
        kinetics_i3d.HASSONY2,
        s3d_ports.KYLEMIN,
        s3d_ports.HOWTO100M_FAMILY,
        slowfast.PYSLOWFAST,
        slowfast.PYTORCHVIDEO,
        mmaction2.MMACTION2,
    )
}
"""Families by name."""

REFUSED_FAMILIES: Final[Mapping[str, str]] = {
    "3d-resnets": "kenshohara/3D-ResNets-PyTorch has a stem that covers 7 frames and a max-pool over space and time, "
    "which no network of the papers has; r3d-vresnet18 and r2plus1d-vresnet18 are others",
    "gluoncv": "its I3D inflates other convolutions than i3d-resnet50, and its R(2+1)D was made from VMZ's files: "
    "import those with --from vmz",
}
"""Code bases whose networks kinema does not have, each with the reason."""


def find_family(name: str) -> Family:
    """Look up a family.

    Raises:
        UserError: It is unknown, or kinema does not have its networks.
    """
    if name in REFUSED_FAMILIES:
        raise UserError(f"checkpoints of {name} cannot be imported: {REFUSED_FAMILIES[name]}")
    if name not in FAMILIES:
        raise unknown_name("family of checkpoints", name, FAMILIES, f"Known: {', '.join(FAMILIES)}.")
    return FAMILIES[name]
