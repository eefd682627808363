"""From a feature map to class scores.

Dropout in front of an average over n places is n times weaker (in the variance of the scores) than behind it, so each
network has it where its authors have it:

- ``LinearHead``: on every time step, after the average over space. TSN, TSM and the unified framework (arXiv
  2010.11757), in 2-D and in 3-D; with one frame, the GoogLeNet of the very deep two-stream networks.
- ``AveragedHead``: after the average over time and space. Multi-Fiber networks, R(2+1)D and its relatives (whose
  recipes drop nothing), SlowFast.
- ``WindowHead``: on every window of two time steps. I3D and S3D-G.
- ``kinema.models.fully_connected``: on fc6 and fc7 of every frame. VGG and CNN-M.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
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


class AveragedHead(LinearHead):
    """Average over the whole map, dropout, one linear layer: a feature is dropped for all time steps at once.

    Args:
        num_features: Channels of the last map.
        num_classes: Classes.
        dropout: Chance in [0, 1) that a feature of the clip is dropped in training.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Score ``b d t h w``; the result has axes ``b classes``."""
        return F.linear(F.dropout(input.mean((2, 3, 4)), self.dropout, self.training), self.weight, self.bias)


class WindowHead(LinearHead):
    """Average over windows that move by one position, dropout on each, average over the windows, one linear layer.

    Where windows overlap, positions at the border of the map count less than under a plain average. A map smaller than
    the window is one window.

    Args:
        num_features: Channels of the last map.
        num_classes: Classes.
        dropout: Chance in [0, 1) that a feature of a window is dropped in training.
        window: Time steps, rows and columns of a window; None for the whole map.
        context_gate: Whether each window's average x becomes sigmoid(W x + b) x first ("Learnable pooling with Context
            Gating for video classification", arXiv 1706.06905).
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        dropout: float,
        window: tuple[int, int, int] | None,
        context_gate: bool = False,
    ) -> None:
        super().__init__(num_features, num_classes, dropout=dropout)
        self.window = window
        self.context_gate = nn.Linear(num_features, num_features) if context_gate else None
        if self.context_gate is not None:  # near zero, so that the gates start half open
            nn.init.trunc_normal_(self.context_gate.weight, std=0.01)
            nn.init.zeros_(self.context_gate.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Score ``b d t h w``; the result has axes ``b classes``."""
        sizes = input.shape[2:]
        window = sizes if self.window is None else [min(pair) for pair in zip(self.window, sizes, strict=True)]
        embedded = F.avg_pool3d(input, window, stride=1).flatten(2).transpose(1, 2)
        if self.context_gate is not None:
            embedded = embedded * torch.sigmoid(self.context_gate(embedded))
        embedded = F.dropout(embedded, self.dropout, self.training).mean(1)
        return F.linear(embedded, self.weight, self.bias)
