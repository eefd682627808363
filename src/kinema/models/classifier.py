"""The layer of a network whose rows are the classes: looked past, or exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel


@contextmanager
def classifier_passed_over(model: ActionModel) -> Iterator[None]:
    """Let a network answer, inside the block, with what its classifier is given instead of with class scores.

    The classifier becomes the identity, so that whatever the head does around it stays: the layers of VGG before it,
    the windows of I3D, the average over time. A linear layer on these answers gives the scores that the same layer in
    the classifier's place gives.
    """
    layer = model.head.classifier
    own = dict(layer.named_parameters(recurse=False))
    num_features = layer.weight.shape[1]
    identity = torch.eye(num_features).to(layer.weight.detach()).reshape(num_features, *layer.weight.shape[1:])
    layer.register_parameter("weight", nn.Parameter(identity, requires_grad=False))
    layer.register_parameter("bias", nn.Parameter(identity.new_zeros(num_features), requires_grad=False))
    try:
        yield
    finally:
        for name, parameter in own.items():
            layer.register_parameter(name, parameter)


def weights_with_classifier(model: ActionModel, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """The network's weights with another classifier; auxiliary classifiers, of use in training only, become zero.

    Args:
        model: The network; it stays as it is.
        weight: Axes ``classes d``.
        bias: Axes ``classes``.
    """
    layer = model.head.classifier
    own = {id(layer.weight): weight, id(layer.bias): bias}
    state = dict(model.state_dict())
    for key, old in model.named_parameters():
        if key in model.classifier_keys():
            shape = (len(bias), *old.shape[1:])
            new = own[id(old)].reshape(shape) if id(old) in own else torch.zeros(shape)
            state[key] = new.to(old.detach())
    return state
