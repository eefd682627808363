"""An exponential moving average of a network's weights, which usually generalises better than the last step's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """Keeps ``average = decay * average + (1 - decay) * weights``, one update per optimiser step.

    The first steps use the smaller decay ``(1 + n) / (10 + n)`` after n updates, so that the random start is forgotten
    in a short run too (as in TensorFlow's ExponentialMovingAverage). Buffers such as running statistics are copied.

    Args:
        model: The network to follow.
        decay: Weight of the past, in [0, 1).
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self._parameters = {name for name, _ in model.named_parameters()}
        self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the network's present weights into the average."""
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        for name, tensor in model.state_dict().items():
            if name in self._parameters:
                self.weights[name].lerp_(tensor, 1 - decay)
            else:
                self.weights[name].copy_(tensor)

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """Give the network the averaged weights inside the block, and its own back afterwards."""
        own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(self.weights)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def restore(self, weights: dict[str, torch.Tensor], num_updates: int) -> None:
        """Continue from a saved average."""
        for name, tensor in weights.items():
            self.weights[name].copy_(tensor)
        self.num_updates = num_updates
