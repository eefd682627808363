"""IBM's action recognition zoo, the code of the deep analysis (arXiv 2010.11757): its networks and their keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kinema.models.action_model import ActionModel
from kinema.weights.importing.family import Description, Family, Network
from kinema.weights.importing.inputs import IMAGENET_8, MINUS_ONE_TO_ONE

_RENAMED: Final = (
    (r"\.activated(\d)\.conv\.", r".conv\1_t."),
    (r"\.activated(\d)\.norm\.", r".bn\1_t."),
    (r"\.activated\.conv\.", ".conv_t."),
    (r"\.activated\.norm\.", ".bn_t."),
)
_TAPS: Final = ("prev", "curr", "next")
_ARCHITECTURE: Final = re.compile(r".+-(?:rgb|flow)-(?P<network>.+)-f(?P<frames>\d+)(?:-.*)?")
"""How the code names a run: data set, modality, network and frames; ``-ts`` in the network is temporal pooling."""


def describe(words: Mapping[str, str]) -> Description | None:
    """Read the name of the run, such as ``kinetics400-rgb-resnet-18-ts-max-f8-cosine-bs72-e75``."""
    match = _ARCHITECTURE.fullmatch(words.get("arch", ""))
    if match is None:
        return None
    pools = re.search(r"-ts(-|$)", match["network"]) is not None
    return Description(text=match[0], temporal_pooling=pools, frames=int(match["frames"]))


def foreign_keys(model: ActionModel) -> dict[str, str | tuple[str, ...]]:
    """The key of every tensor of the model in IBM's files; the three taps of a TAM are three convolutions there.

    Args:
        model: tsn, tam, i3d or s3d on a ResNet or inceptionv1.
    """
    return {key: _foreign(key) for key in model.state_dict()}


def _foreign(key: str) -> str | tuple[str, ...]:
    if key.endswith("taps"):
        stem = re.sub(r"^mix(\d)\.taps$", r"tam\1.", key)
        stem = re.sub(r"^inception(\d[a-e])\.mix\.taps$", r"tam\1.", stem)
        stem = re.sub(r"\.mix\.taps$", ".tam.", stem)
        return tuple(f"{stem}{tap}_se.fc1.weight" for tap in _TAPS)
    for pattern, replacement in _RENAMED:
        key = re.sub(pattern, replacement, key)
    return key


IBM: Final = Family(
    name="ibm",
    source="IBM/action-recognition-pytorch",
    citation="arXiv 2010.11757",
    networks=(
        *(
            Network(model=f"{module}-resnet{depth}{pooling}", keys=foreign_keys, preprocessing=IMAGENET_8)
            for module in ("tsn", "tam", "i3d", "s3d")
            for depth in (18, 50, 101)
            for pooling in ("", "-tp")
        ),
        *(
            Network(model=f"{module}-inceptionv1{pooling}", keys=foreign_keys, preprocessing=MINUS_ONE_TO_ONE)
            for module in ("tsn", "tam")
            for pooling in ("", "-tp")
        ),
        *(
            Network(
                model=f"{module}-inceptionv1{pooling}",
                options={"pools": f"ibm-{module}"},
                keys=foreign_keys,
                preprocessing=MINUS_ONE_TO_ONE,
            )
            for module in ("i3d", "s3d")
            for pooling in ("", "-tp")
        ),
        *(
            Network(model=f"{module}-resnet*", keys=foreign_keys, preprocessing=IMAGENET_8)
            for module in ("tsn", "tam", "i3d", "s3d")
        ),
    ),
    describe=describe,
)
