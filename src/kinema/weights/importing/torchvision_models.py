"""torchvision's image networks, video ResNets and S3D: which of ours they are, and their keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from kinema.errors import CheckpointError
from kinema.models.action_model import ActionModel
from kinema.weights.imagenet import IMAGENET
from kinema.weights.importing.family import Family, Network
from kinema.weights.importing.inception_keys import InceptionTensor, mapped
from kinema.weights.importing.inputs import IMAGENET_8, KINETICS_112, KINETICS_224

IMAGE_BACKBONES: Final = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "inceptionv1",
    "mobilenetv2",
    "vgg11",
    "vgg16",
    "vgg19",
)
"""Backbones whose image form is torchvision's network."""


def image_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in torchvision's files: its own.

    Args:
        model: tsn or tsm on a backbone with torchvision's keys.
    """
    return {key: key for key in model.state_dict()}


VIDEO_NETWORKS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "r3d_18": ("r3d-vresnet18", {"norm_eps": 1e-5}),
    "mc3_18": ("mc3-vresnet18", {"norm_eps": 1e-5}),
    "r2plus1d_18": ("r2plus1d-vresnet18", {"norm_eps": 1e-5, "width_rule": "block"}),
}
"""torchvision's networks, each with our name for it and the options that make it the same."""

_VIDEO_RULES: Final = (
    (r"conv1\.spatial\.", "stem.0."),
    (r"conv1\.norm\.", "stem.1."),
    (r"conv1\.temporal\.", "stem.3."),
    (r"conv1\.", "stem.0."),
    (r"(layer\d\.\d+\.conv\d)\.spatial\.", r"\1.0.0."),
    (r"(layer\d\.\d+\.conv\d)\.norm\.", r"\1.0.1."),
    (r"(layer\d\.\d+\.conv\d)\.temporal\.", r"\1.0.3."),
    (r"(layer\d\.\d+\.conv\d)\.", r"\1.0."),
    (r"(layer\d\.\d+)\.bn(\d)\.", r"\1.conv\2.1."),
    (r"(layer\d\.\d+\.downsample\.\d)\.", r"\1."),
    (r"fc\.", "fc."),
)


def video_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in torchvision's files.

    Args:
        model: R3D, MC, rMC, f-R2D, R2D or R(2+1)D on a vresnet; torchvision publishes the first two and the last.

    Raises:
        CheckpointError: The model has parts that torchvision's video ResNets do not have.
    """
    state = model.state_dict()
    stem_norm = "stem.4." if "conv1.temporal.weight" in state else "stem.1."
    return {key: rename(key, ((r"bn1\.", stem_norm), *_VIDEO_RULES), f"{key} of {model.name}") for key in state}


def rename(key: str, rules: tuple[tuple[str, str], ...], tensor: str) -> str:
    """Replace the beginning of a key by the first rule whose pattern it matches.

    Args:
        key: The key.
        rules: Patterns with their replacements.
        tensor: What the error calls the tensor.

    Raises:
        CheckpointError: None does.
    """
    for pattern, replacement in rules:
        if re.match(pattern, key):
            return re.sub(f"^{pattern}", replacement, key)
    raise CheckpointError(f"files of this family have no tensor for {tensor}")


S3D_NETWORKS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {"s3d": ("s3d2-inceptioni3d", {})}
"""torchvision's network with our name for it and the options that make it the same."""

S3D_LAYERS: Final = {
    **{"1a": 0, "2b": 2, "2c": 3, "3b": 5, "3c": 6},
    **{"4b": 8, "4c": 9, "4d": 10, "4e": 11, "4f": 12, "5b": 14, "5c": 15},
}
"""Positions of the layers in the row that torchvision's and kylemin's S3D run; the pools lie between."""

_SPLIT: Final = {"conv": "0.0", "norm": "0.1", "conv_time": "1.0", "norm_time": "1.1"}
_WHOLE: Final = {"conv": "0", "norm": "1"}


def s3d_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in torchvision's file.

    Args:
        model: ``s3d2-inceptioni3d``.

    Raises:
        CheckpointError: The model has tensors that torchvision's does not have.
    """
    return mapped(model, _s3d_key)


def _s3d_key(tensor: InceptionTensor) -> str | None:
    if tensor.part == "classifier":
        return f"classifier.1.{tensor.leaf}"
    part = (_SPLIT if tensor.is_wide else _WHOLE).get(tensor.part)
    if part is None:
        return None
    branch = {-1: "", 0: ".branch0"}.get(tensor.branch, f".branch{tensor.branch}.{tensor.index}")
    return f"features.{S3D_LAYERS[tensor.layer]}{branch}.{part}.{tensor.leaf}"


TORCHVISION: Final = Family(
    name="torchvision",
    source="pytorch/vision",
    citation="torchvision, BSD-3-Clause",
    networks=(
        *(
            Network(model=model, options=options, keys=video_keys, preprocessing=KINETICS_112)
            for model, options in VIDEO_NETWORKS.values()
        ),
        *(
            Network(model=model, options=options, keys=s3d_keys, preprocessing=KINETICS_224)
            for model, options in S3D_NETWORKS.values()
        ),
        *(
            Network(
                model=f"tsn-{backbone}",
                keys=image_keys,
                preprocessing=IMAGENET[backbone].preprocessing
                if backbone in IMAGENET
                else replace(IMAGENET_8, frames=1),
                of_images=True,
            )
            for backbone in IMAGE_BACKBONES
        ),
    ),
    ignored={r"aux\d\..*": "auxiliary heads, used in training only"},
    kinetics_names=True,
)
