"""The keys of PyTorch-MFNet, the public code of the Multi-Fiber paper (arXiv 1807.11195)."""

from __future__ import annotations

from kinema.errors import CheckpointError
from kinema.models.action_model import ActionModel
from kinema.models.backbones.multi_fiber import MultiFiberUnit

_PARTS = ("bn", "conv", "conv_i1", "conv_i2", "conv_m1", "conv_m2", "conv_w1", "classifier")
"""Parts of the public networks that hold tensors."""


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
        if key.split(".")[-2] not in _PARTS:
            raise CheckpointError(f"files of this family have no tensor for {key} of {model.name}")
    return {key: key for key in model.state_dict()}
