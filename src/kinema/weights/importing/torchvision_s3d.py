"""The keys of torchvision's S3D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kinema.models.action_model import ActionModel
from kinema.weights.importing.inception_keys import InceptionTensor, mapped

NETWORKS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {"s3d": ("s3d2-inceptioni3d", {})}
"""torchvision's network with our name for it and the options that make it the same."""

LAYERS: Final = {
    **{"1a": 0, "2b": 2, "2c": 3, "3b": 5, "3c": 6},
    **{"4b": 8, "4c": 9, "4d": 10, "4e": 11, "4f": 12, "5b": 14, "5c": 15},
}
"""Positions of the layers in the row that torchvision's and kylemin's S3D run; the pools lie between."""

_SPLIT: Final = {"conv": "0.0", "norm": "0.1", "conv_time": "1.0", "norm_time": "1.1"}
_WHOLE: Final = {"conv": "0", "norm": "1"}


def foreign_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in torchvision's file.

    Args:
        model: ``s3d2-inceptioni3d``.

    Raises:
        CheckpointError: The model has tensors that torchvision's does not have.
    """
    return mapped(model, _name)


def _name(tensor: InceptionTensor) -> str | None:
    if tensor.part == "classifier":
        return f"classifier.1.{tensor.leaf}"
    part = (_SPLIT if tensor.is_wide else _WHOLE).get(tensor.part)
    if part is None:
        return None
    branch = {-1: "", 0: ".branch0"}.get(tensor.branch, f".branch{tensor.branch}.{tensor.index}")
    return f"features.{LAYERS[tensor.layer]}{branch}.{part}.{tensor.leaf}"
