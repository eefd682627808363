"""The keys of torchvision's video ResNets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kinema.errors import CheckpointError
from kinema.models.action_model import ActionModel

NETWORKS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "r3d_18": ("r3d-vresnet18", {"norm_eps": 1e-5}),
    "mc3_18": ("mc3-vresnet18", {"norm_eps": 1e-5}),
    "r2plus1d_18": ("r2plus1d-vresnet18", {"norm_eps": 1e-5, "width_rule": "block"}),
}
"""torchvision's networks, each with our name for it and the options that make it the same."""

_RENAMED: Final = (
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


def foreign_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in torchvision's files.

    Args:
        model: R3D, MC, rMC, f-R2D, R2D or R(2+1)D on a vresnet; torchvision publishes the first two and the last.

    Raises:
        CheckpointError: The model has parts that torchvision's video ResNets do not have.
    """
    state = model.state_dict()
    stem_norm = "stem.4." if "conv1.temporal.weight" in state else "stem.1."
    return {key: rename(key, ((r"bn1\.", stem_norm), *_RENAMED), f"{key} of {model.name}") for key in state}


def rename(key: str, rules: tuple[tuple[str, str], ...], told: str) -> str:
    """Replace the beginning of a key by the first rule whose pattern it matches.

    Args:
        key: The key.
        rules: Patterns with their replacements.
        told: What the error calls the tensor.

    Raises:
        CheckpointError: None does.
    """
    for pattern, replacement in rules:
        if re.match(pattern, key):
            return re.sub(f"^{pattern}", replacement, key)
    raise CheckpointError(f"files of this family have no tensor for {told}")
