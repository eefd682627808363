"""PyTorch-MFNet, the public code of the Multi-Fiber paper (arXiv 1807.11195): its networks and their keys."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from kinema.errors import CheckpointError
from kinema.models.action_model import ActionModel
from kinema.models.backbones.multi_fiber import MultiFiberUnit
from kinema.weights.importing.family import Family, Network
from kinema.weights.importing.inputs import MFNET

_KEY: Final = re.compile(
    r"(conv1|tail|conv[2-5]\.B\d\d\.conv_(i1|i2|m1|m2|w1))\.(bn|conv)\.[a-z_]+|classifier\.(weight|bias)"
)
"""Keys of the public networks."""


def foreign_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in the public files, ``module.`` taken off: its own.

    Args:
        model: ``i3d-mfnet`` for the Kinetics, UCF101 and HMDB51 files, ``tsn-mfnet`` for the ImageNet file, whose
            weights have no time axis.

    Raises:
        CheckpointError: The model is another network, or has parts that the public ones do not have.
    """
    if not any(isinstance(part, MultiFiberUnit) for part in model.modules()):
        raise CheckpointError(f"files of this family hold multi-fiber networks, {model.name} is none")
    for key in model.state_dict():
        if not _KEY.fullmatch(key):
            raise CheckpointError(f"files of this family have no tensor for {key} of {model.name}")
    return {key: key for key in model.state_dict()}


MFNET_FAMILY: Final = Family(
    name="mfnet",
    source="cypw/PyTorch-MFNet",
    citation="arXiv 1807.11195",
    networks=(
        Network(model="i3d-mfnet", keys=foreign_keys, preprocessing=MFNET),
        Network(model="tsn-mfnet", keys=foreign_keys, preprocessing=replace(MFNET, frames=1)),
    ),
)
