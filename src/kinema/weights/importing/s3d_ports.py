"""Two public S3D networks and their keys: kylemin's S3D, converted from the authors', and HowTo100M's S3D-G."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kinema.models.action_model import ActionModel
from kinema.weights.importing.family import Family, Network
from kinema.weights.importing.inception_keys import InceptionTensor, mapped
from kinema.weights.importing.inputs import HOWTO100M, S3D
from kinema.weights.importing.torchvision_models import S3D_LAYERS

NETWORKS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "kylemin": ("s3d2-inceptioni3d", {}),
    "howto100m": (
        "s3d2+gate-inceptioni3d",
        {"stem": "space_to_depth", "padding": "same", "head": "mean", "norm_eps": 1e-5, "norm_momentum": 0.1},
    ),
}
"""The public networks with our name for each and the options that make it the same. HowTo100M's has no classes: its 512
outputs are the embedding that it shares with text."""

HOWTO100M_IGNORED: Final = {r"text_module\..*": "the text half of the embedding"}
"""Patterns of keys of HowTo100M's file that no video network has, with the reason."""

_KYLEMIN_SPLIT: Final = {"conv": "conv_s", "norm": "bn_s", "conv_time": "conv_t", "norm_time": "bn_t"}
_KYLEMIN_WHOLE: Final = {"conv": "conv", "norm": "bn"}
_HOWTO100M: Final = {"conv": "conv1", "norm": "bn1", "conv_time": "conv2", "norm_time": "bn2"}


def kylemin_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in ``S3D_kinetics400.pt``, ``module.`` taken off.

    Args:
        model: ``s3d2-inceptioni3d``.

    Raises:
        CheckpointError: The model has tensors that this network does not have.
    """
    return mapped(model, _kylemin)


def howto100m_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in ``s3d_howto100m.pth``.

    Args:
        model: ``s3d2+gate-inceptioni3d`` with the options of ``NETWORKS`` and 512 outputs.

    Raises:
        CheckpointError: The model has tensors that this network does not have.
    """
    return mapped(model, _howto100m)


def _kylemin(tensor: InceptionTensor) -> str | None:
    if tensor.part == "classifier":
        return f"fc.0.{tensor.leaf}"
    part = (_KYLEMIN_SPLIT if tensor.is_wide else _KYLEMIN_WHOLE).get(tensor.part)
    if part is None:
        return None
    branch = f".branch{tensor.branch}.{tensor.index}" if tensor.branch >= 0 else ""
    return f"base.{S3D_LAYERS[tensor.layer]}{branch}.{part}.{tensor.leaf}"


def _howto100m(tensor: InceptionTensor) -> str | None:
    if tensor.part == "classifier":
        return f"fc.{tensor.leaf}"
    in_stem = tensor.branch < 0
    if tensor.part == "gate":
        return (
            f"gating.fc.{tensor.leaf}" if in_stem else f"mixed_{tensor.layer}.gating_b{tensor.branch}.fc.{tensor.leaf}"
        )
    part = _HOWTO100M[tensor.part]
    if tensor.part in ("conv_time", "norm_time") and (not tensor.is_wide or tensor.layer == "1a"):
        return None
    if in_stem:
        return f"{'conv1' if tensor.layer == '1a' else f'conv_{tensor.layer}'}.{part}.{tensor.leaf}"
    convolution = f"conv_b{tensor.branch}{'' if tensor.branch == 0 else '_' + 'ab'[tensor.index]}"
    return f"mixed_{tensor.layer}.{convolution}.{part}.{tensor.leaf}"


_KYLEMIN_MODEL, _KYLEMIN_OPTIONS = NETWORKS["kylemin"]
_HOWTO100M_MODEL, _HOWTO100M_OPTIONS = NETWORKS["howto100m"]

KYLEMIN: Final = Family(
    name="kylemin",
    source="kylemin/S3D",
    citation="arXiv 1712.04851; kylemin/S3D, MIT",
    networks=(Network(model=_KYLEMIN_MODEL, options=_KYLEMIN_OPTIONS, keys=kylemin_keys, preprocessing=S3D),),
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
            keys=howto100m_keys,
            preprocessing=HOWTO100M,
        ),
    ),
    ignored=HOWTO100M_IGNORED,
)
