"""The head of networks from before global pooling: two wide layers, then the classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.head import Head
from kinema.models.layers import fold, unfold


class FullyConnectedHead(Head):
    """fc6, fc7 and the classifier on every time step, each wide layer with ReLU and dropout; scores averaged over time.

    The map is averaged onto a grid of fixed size, as torchvision does, so that clips of any size fit. The average is
    one of scores before the softmax, the consensus of the two-stream networks.

    Args:
        num_features: Channels of the last map.
        num_classes: Classes.
        map_size: Height and width of the grid that fc6 sees.
        widths: Units of fc6 and fc7.
        dropout: Chances in [0, 1) that a unit of fc6 and of fc7 is dropped in training.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        map_size: int,
        widths: Sequence[int],
        dropout: Sequence[float],
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise UserError(f"num_classes must be 1 or more, got {num_classes}")
        if not all(0.0 <= chance < 1.0 for chance in dropout):
            raise UserError(f"dropout must lie in [0, 1), got {', '.join(map(str, dropout))}")
        self.map_size = map_size
        self.dropout = tuple(dropout)
        inputs = num_features * map_size**2
        # torchvision's names and initial weights; between the layers it counts a ReLU and a dropout
        for key, outputs in zip(("0", "3", "6"), (*widths, num_classes), strict=True):
            layer = nn.Linear(inputs, outputs)
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
            self.add_module(key, layer)
            inputs = outputs

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes."""
        layer = self.get_submodule("6")
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, features: Tensor) -> Tensor:
        """Score ``b d t h w``; the result has axes ``b classes``."""
        return self.consensus(self.score_steps(self.steps_of(features)), features.shape[2])

    def steps_of(self, features: Tensor) -> Tensor:
        """What fc6 sees of every time step: ``b d t h w`` to ``(b t) n``."""
        return F.adaptive_avg_pool2d(fold(features), self.map_size).flatten(1)

    def score_steps(self, steps: Tensor) -> Tensor:
        """Score time steps, each for itself: ``n inputs`` to ``n classes``."""
        for key, chance in zip(("0", "3"), self.dropout, strict=True):
            steps = F.dropout(torch.relu_(self.get_submodule(key)(steps)), chance, self.training)
        return self.classifier(steps)

    @staticmethod
    def consensus(scores: Tensor, num_steps: int) -> Tensor:
        """Average the scores of the time steps of every clip: ``(b t) classes`` to ``b classes``."""
        return unfold(scores[:, :, None, None], num_steps).mean((2, 3, 4))
