"""How far a run has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinema.specs.recipe import Recipe


@dataclass
class Position:
    """How far a run has come.

    Attributes:
        epoch: Epochs completed, validation included.
        step_in_epoch: Steps done in the running epoch.
        num_steps: Optimiser steps since the start of the run.
        sums: Sums over the running epoch so far, of this process: the loss, each of the task's training scores, and
            last the samples; for classification loss, right answers and clips.
        best: Row of ``history`` with the best monitored score; empty before the first validation.
        num_stale: Validations since then.
        history: One row per finished epoch, as in ``metrics.csv``.
        seconds: Time spent on finished epochs, earlier parts of a resumed run included.
        spent: Of the running epoch up to its last save: seconds, those of training, those of waiting for data, clips.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    num_steps: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    best: dict[str, Any] = field(default_factory=dict)
    num_stale: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    spent: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])

    def is_over(self, recipe: Recipe) -> bool:
        """Whether nothing is left to do: all epochs are done, or patience has run out."""
        return self.epoch >= recipe.schedule.epochs or 0 < recipe.train.patience <= self.num_stale
