"""The keys of torchvision's image networks, which our two-dimensional backbones carry themselves."""

from __future__ import annotations

from typing import Final

from kinema.models.action_model import ActionModel

BACKBONES: Final = (
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


def foreign_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in torchvision's files: its own.

    Args:
        model: tsn or tsm on a backbone with torchvision's keys.
    """
    return {key: key for key in model.state_dict()}
