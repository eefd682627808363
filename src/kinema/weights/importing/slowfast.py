"""PySlowFast's and pytorchvideo's slow- and slowfast- networks and their keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from kinema.errors import CheckpointError
from kinema.models.action_model import ActionModel
from kinema.weights.importing.family import Family, Network
from kinema.weights.importing.inputs import FACEBOOK
from kinema.weights.importing.vmz import CAFFE2_STATE

NETWORKS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "slow_8x8_r50": ("slow-resnet50", {}),
    "slowfast_4x16_r50": ("slowfast-resnet50", {"setting": "4x16"}),
    "slowfast_8x8_r50": ("slowfast-resnet50", {"setting": "8x8"}),
    "slowfast_8x8_r101": ("slowfast-resnet101", {"setting": "8x8"}),
    "slowfast_16x8_r101": ("slowfast-resnet101", {"setting": "16x8"}),
}
"""The published networks, each with our name for it and the options that make it the same."""

_STAGE: Final = re.compile(r"(stem|layer(?P<layer>[1-4]))\.(?P<pathway>slow|fast|lateral)\.(?P<rest>.*)")
_ALONE: Final = re.compile(r"layer(?P<layer>[1-4])\.(?P<rest>.*)")
_PARTS: Final = {
    "conv1": ("branch2.a", "branch2.conv_a", "branch2a"),
    "bn1": ("branch2.a_bn", "branch2.norm_a", "branch2a_bn"),
    "conv2": ("branch2.b", "branch2.conv_b", "branch2b"),
    "bn2": ("branch2.b_bn", "branch2.norm_b", "branch2b_bn"),
    "conv3": ("branch2.c", "branch2.conv_c", "branch2c"),
    "bn3": ("branch2.c_bn", "branch2.norm_c", "branch2c_bn"),
    "downsample.0": ("branch1", "branch1_conv", "branch1"),
    "downsample.1": ("branch1_bn", "branch1_norm", "branch1_bn"),
}
"""Parts of a bottleneck: ours, then PySlowFast's, pytorchvideo's and Caffe2's."""
_BLOBS: Final = {"bias": "b", "running_mean": "rm", "running_var": "riv"}


class _KeyMeaning(NamedTuple):
    """What a key of ours means: stage 0 is the stem, pathway 1 the fast one; ``part`` without ``tensor`` behind it."""

    stage: int
    pathway: int
    lateral: bool
    block: int
    part: str
    tensor: str

    @property
    def is_norm(self) -> bool:
        return self.part.startswith("bn") or self.part.endswith(".1")


def pyslowfast_keys(model: ActionModel) -> dict[str, str]:
    """Our key for every tensor of a ``slow-`` or ``slowfast-`` network of bottlenecks, with PySlowFast's.

    Those are the keys of its own training (``model_state`` of a ``.pyth`` file).

    Raises:
        CheckpointError: The model is another.
    """

    def write(meaning: _KeyMeaning) -> str:
        if meaning.lateral:
            return f"s{meaning.stage + 1}_fuse.{'bn' if meaning.is_norm else 'conv_f2s'}.{meaning.tensor}"
        prefix = f"s{meaning.stage + 1}.pathway{meaning.pathway}"
        if meaning.stage == 0:
            return f"{prefix}_stem.{'bn' if meaning.is_norm else 'conv'}.{meaning.tensor}"
        return f"{prefix}_res{meaning.block}.{_PARTS[meaning.part][0]}.{meaning.tensor}"

    return {
        key: f"head.projection.{key.removeprefix('fc.')}" if meaning is None else write(meaning)
        for key, meaning in _meanings(model).items()
    }


def pytorchvideo_keys(model: ActionModel) -> dict[str, str]:
    """Our key for every tensor of a ``slow-`` or ``slowfast-`` network of bottlenecks, with pytorchvideo's.

    Raises:
        CheckpointError: The model is another.
    """
    two = "stem.fast.conv1.weight" in model.state_dict()

    def write(meaning: _KeyMeaning) -> str:
        prefix = f"blocks.{meaning.stage}"
        if meaning.lateral:
            return f"{prefix}.multipathway_fusion.{'norm' if meaning.is_norm else 'conv_fast_to_slow'}.{meaning.tensor}"
        prefix += f".multipathway_blocks.{meaning.pathway}" if two else ""
        if meaning.stage == 0:
            return f"{prefix}.{'norm' if meaning.is_norm else 'conv'}.{meaning.tensor}"
        return f"{prefix}.res_blocks.{meaning.block}.{_PARTS[meaning.part][1]}.{meaning.tensor}"

    # two pathways are pooled and joined by a block of their own, which has no tensors
    head = f"blocks.{6 if two else 5}.proj"
    return {
        key: f"{head}.{key.removeprefix('fc.')}" if meaning is None else write(meaning)
        for key, meaning in _meanings(model).items()
    }


def caffe2_keys(model: ActionModel) -> dict[str, str]:
    """Our key for every tensor of a ``slow-`` or ``slowfast-`` network of bottlenecks, with its blob of the model zoo.

    ``num_batches_tracked`` has none and is left out.

    Raises:
        CheckpointError: The model is another.
    """
    meanings = _meanings(model)
    last = {
        meaning.stage: meaning.block for meaning in meanings.values() if meaning is not None and not meaning.lateral
    }

    def write(meaning: _KeyMeaning) -> str:
        fast = "t_" if meaning.pathway else ""
        tensor = _BLOBS.get(meaning.tensor, "s" if meaning.is_norm else "w")
        if meaning.lateral:
            behind = "pool1" if meaning.stage == 0 else f"res{meaning.stage + 1}_{last[meaning.stage]}_branch2c_bn"
            return f"t_{behind}_subsample{'_bn' if meaning.is_norm else ''}_{tensor}"
        if meaning.stage == 0:
            return f"{fast}{'res_conv1_bn' if meaning.is_norm else 'conv1'}_{tensor}"
        return f"{fast}res{meaning.stage + 1}_{meaning.block}_{_PARTS[meaning.part][2]}_{tensor}"

    return {
        key: f"pred_{'w' if key.endswith('weight') else 'b'}" if meaning is None else write(meaning)
        for key, meaning in meanings.items()
        if not key.endswith("num_batches_tracked")
    }


def _meanings(model: ActionModel) -> dict[str, _KeyMeaning | None]:
    """What every key means; None for the classifier's."""
    keys = model.state_dict()
    if not model.name.startswith(("slow-", "slowfast-")) or "conv3" not in " ".join(keys):
        raise CheckpointError(f"these files hold slow- and slowfast- networks of bottlenecks, not {model.name}")
    return {key: None if key.startswith("fc.") else _meaning(key) for key in keys}


def _meaning(key: str) -> _KeyMeaning:
    found = _STAGE.fullmatch(key)
    if found:
        stage, rest, pathway = int(found["layer"] or 0), found["rest"], found["pathway"]
    else:
        alone = _ALONE.fullmatch(key)
        stage, rest, pathway = (int(alone["layer"]), alone["rest"], "slow") if alone else (0, key, "slow")
    part, _, tensor = rest.rpartition(".")
    block = 0
    if stage and pathway != "lateral":
        number, _, part = part.partition(".")
        block = int(number)
    return _KeyMeaning(stage, int(pathway != "slow"), pathway == "lateral", block, part, tensor)


_SETTING: Final = {"setting": "8x8; the 16x8 network of 50 layers has the same tensors"}

_SLOW: Final = replace(FACEBOOK, frames=8, stride=8)

PYSLOWFAST: Final = Family(
    name="pyslowfast",
    source="facebookresearch/SlowFast",
    citation="arXiv 1812.03982, Apache-2.0",
    networks=tuple(
        Network(
            model=model,
            options=options,
            keys=keys,
            preprocessing=_SLOW if model.startswith("slow-") else FACEBOOK,
            classifier=classifier,
            assumed=_SETTING if (model, options.get("setting")) == ("slowfast-resnet50", "8x8") else {},
        )
        for model, options in NETWORKS.values()
        for keys, classifier in (
            (pyslowfast_keys, r"head\.projection\.weight"),
            (caffe2_keys, "pred_w"),
        )
    ),
    ignored=CAFFE2_STATE,
    kinetics_names=True,
)

PYTORCHVIDEO: Final = Family(
    name="pytorchvideo",
    source="facebookresearch/pytorchvideo",
    citation="arXiv 2111.09887, Apache-2.0",
    networks=tuple(
        Network(
            model=model,
            options=options,
            keys=pytorchvideo_keys,
            preprocessing=_SLOW if model.startswith("slow-") else FACEBOOK,
            assumed=_SETTING if (model, options.get("setting")) == ("slowfast-resnet50", "8x8") else {},
        )
        for model, options in NETWORKS.values()
    ),
    kinetics_names=True,
    refused={
        r"blocks\.\d\.res_blocks\.\d\.branch2\.conv_b\.conv_t\..*": "its R(2+1)D-50 has bottlenecks whose temporal "
        "convolution comes first; ours has basic blocks",
    },
)
