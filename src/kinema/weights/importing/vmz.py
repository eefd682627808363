"""VMZ's networks and their keys: its PyTorch files, ig65m's among them, and the older Caffe2 ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from torch import Tensor

from kinema.models.action_model import ActionModel
from kinema.weights.importing import torchvision_models
from kinema.weights.importing.family import Family, Network
from kinema.weights.importing.inputs import IG65M, KINETICS_112

NETWORKS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "r2plus1d_34": ("r2plus1d-vresnet34", {}),
}
"""VMZ's and ig65m's networks in PyTorch, each with our name for it and the options that make it the same."""

CAFFE2_NETWORKS: Final[Mapping[str, str]] = {
    "r2plus1d": "r2plus1d-vresnet{depth}",
    "r3d": "r3d-vresnet{depth}",
    "r2d": "r2d-vresnet{depth}",
    "r2df": "tsn-vresnet{depth}",
    **{f"{kind}{group}": f"{kind}{group}-vresnet{{depth}}" for kind in ("mc", "rmc") for group in (2, 3, 4, 5)},
}
"""VMZ's names of the paper's networks, each with our name for it; the depth is 18 or 34."""

_RENAMED: Final = (
    (r"conv1\.spatial\.", "conv1_middle."),
    (r"conv1\.norm\.", "conv1_middle_spatbn_relu."),
    (r"conv1\.(temporal\.)?", "conv1."),
    (r"bn1\.", "conv1_spatbn_relu."),
    (r"(\d+)\.conv(\d)\.spatial\.", r"comp_\1_conv_\2_middle."),
    (r"(\d+)\.conv(\d)\.norm\.", r"comp_\1_spatbn_\2_middle."),
    (r"(\d+)\.conv(\d)\.(temporal\.)?", r"comp_\1_conv_\2."),
    (r"(\d+)\.bn(\d)\.", r"comp_\1_spatbn_\2."),
    (r"(\d+)\.downsample\.0\.", r"shortcut_projection_\1."),
    (r"(\d+)\.downsample\.1\.", r"shortcut_projection_\1_spatbn."),
)
_NORM_ENDINGS: Final = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}
_OTHER_ENDINGS: Final = {"weight": "w", "bias": "b"}


def foreign_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in the PyTorch files, which name them as torchvision does.

    Raises:
        CheckpointError: The model has parts that these networks do not have.
    """
    return torchvision_models.video_keys(model)


def caffe2_keys(model: ActionModel) -> dict[str, str]:
    """The blob of every tensor of the model in the Caffe2 files, which number the blocks through the whole network.

    Caffe2 does not count batches, so ``num_batches_tracked`` has no blob; ``riv`` holds the running variance, in spite
    of its name.

    Args:
        model: A network of ``CAFFE2_NETWORKS``.

    Raises:
        CheckpointError: The model has parts that these networks do not have.
    """
    rules = (*_RENAMED, (r"fc\.", f"last_out_L{model.num_classes}."))
    keys = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    blocks = list(dict.fromkeys(block[0] for key in keys if (block := re.match(r"layer\d\.\d+(?=\.)", key))))
    blobs: dict[str, str] = {}
    for key in keys:
        block = re.match(r"layer\d\.\d+(?=\.)", key)
        numbered = key if block is None else f"{blocks.index(block[0])}{key[block.end() :]}"
        stem, _, last = torchvision_models.rename(numbered, rules, f"{key} of {model.name}").rpartition(".")
        endings = _NORM_ENDINGS if "_spatbn" in stem else _OTHER_ENDINGS
        blobs[key] = f"{stem}_{endings[last]}"
    return blobs


def _frames_of_r2d(blobs: Mapping[str, Tensor]) -> dict[str, Any]:
    """R2D's stem covers all frames of a clip; one that covers a single frame belongs to f-R2D."""
    frames = blobs["conv1_w"].shape[2]
    if frames < 4:
        raise KeyError("conv1_w")
    return {"frames": frames}


CAFFE2_STATE: Final = {
    r".*_momentum": "state of the optimizer",
    r"lr|model_iter|.*_iter|.*_lr": "state of the training",
}
"""Blobs of Caffe2 files that are no weights, each with the reason."""

VMZ: Final = Family(
    name="vmz",
    source="facebookresearch/VMZ and moabitcoin/ig65m-pytorch",
    citation="arXiv 1711.11248 and arXiv 1905.00561; VMZ, Apache-2.0; ig65m-pytorch, MIT",
    networks=(
        *(
            Network(
                model=model,
                options=options,
                keys=foreign_keys,
                preprocessing=IG65M,
            )
            for model, options in NETWORKS.values()
        ),
        *(
            Network(
                model=model.format(depth=depth),
                options=_frames_of_r2d if model.startswith("r2d") else {},
                keys=caffe2_keys,
                preprocessing=replace(KINETICS_112, frames=8, stride=1),
                classifier=r"last_out_L\d+_w",
            )
            for model in CAFFE2_NETWORKS.values()
            for depth in (18, 34)
        ),
    ),
    ignored=CAFFE2_STATE,
    refused={
        r"layer1\.0\.conv3\.0.*": "its blocks are bottlenecks (R(2+1)D-152 and CSN-152), ours have basic blocks",
        r"comp_0_conv_3.*": "its blocks are bottlenecks (R(2+1)D-152 and CSN-152), ours have basic blocks",
    },
)
