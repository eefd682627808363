"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.specs.recipe import Recipe
    from kinema.training.position import Position


@dataclass(frozen=True)
class TrainResult:
    """The result of a run.

    Attributes:
        path: Run directory, with ``best.ckpt``, ``last.ckpt``, ``recipe.json``, ``metrics.csv``, ``log.txt`` and
            TensorBoard events.
        best: Row of ``history`` with the best monitored score.
        history: One row per epoch, as in ``metrics.csv``.
        recipe: What was trained, with model, weights and batch filled in.
    """

    path: Path
    best: dict[str, Any]
    history: list[dict[str, Any]]
    recipe: Recipe

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {self.best[name]:.4f}" for name in ("val_top1", "train_top1") if name in self.best)
        best = f"best epoch {self.best.get('epoch')}: {scores}"
        return f"TrainResult({str(self.path)!r}, {counted(len(self.history), 'epoch')}, {best})"

    @classmethod
    def of(cls, folder: Path, recipe: Recipe, position: Position) -> TrainResult:
        """What a run has reached where it stands."""
        return cls(folder, position.best, position.history, recipe)
