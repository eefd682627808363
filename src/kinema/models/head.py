"""From a feature map to class scores."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import UserError


class Head(nn.Module, ABC):
    """What turns the last map into scores, where it is more than ``LinearHead``."""

    @property
    @abstractmethod
    def classifier(self) -> nn.Linear | nn.Conv3d:
        """The layer whose rows are the classes."""


class LinearHead(nn.Linear):
    """Average over height and width, dropout on every time step, average over time, one linear layer.

    The average of linear scores over frames is the score of the average, so this is at once the consensus of a
    per-frame network (TSN, TSM, TAM) and the global pooling of a three-dimensional one.

    Args:
        num_features: Channels of the last map.
        num_classes: Classes.
        dropout: Chance in [0, 1) that a feature is dropped in training.
    """

    def __init__(self, num_features: int, num_classes: int, *, dropout: float = 0.5) -> None:
        if num_classes < 1:
            raise UserError(f"num_classes must be 1 or more, got {num_classes}")
        if not 0.0 <= dropout < 1.0:
            raise UserError(f"dropout must lie in [0, 1), got {dropout}")
        super().__init__(num_features, num_classes)
        self.dropout = dropout
        # as TSN and TSM: small, so that training starts from nearly equal scores
        nn.init.normal_(self.weight, std=0.01)
        nn.init.zeros_(self.bias)

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes; here the head itself."""
        return self

    def forward(self, input: Tensor) -> Tensor:
        """Score ``b d t h w``; the result has axes ``b classes``."""
        steps = F.dropout(input.mean((3, 4)), self.dropout, self.training)
        return super().forward(steps.mean(2))
