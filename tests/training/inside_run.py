"""What tests do to a run from inside. The only file of the tests that knows where the loop keeps its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from kinema.training import classification, loop
from kinema.training.classification import Classification
from kinema.training.display import Display
from kinema.training.position import Position
from kinema.training.state import Run
from kinema.training.step_watch import StepWatch


def act_in_steps(
    patch: pytest.MonkeyPatch,
    *,
    before: Callable[[Run, Any], None] = lambda run, batch: None,
    after: Callable[[Run, Any, torch.Tensor], None] = lambda run, batch, sums: None,
) -> None:
    """Call ``before`` with run and batch ahead of each step, ``after`` with the step's sums too; then both no more."""
    original = loop.train_step

    def step(run: Run, batch: Any) -> torch.Tensor:
        before(run, batch)
        sums = original(run, batch)
        after(run, batch, sums)
        return sums

    patch.setattr(loop, "train_step", step)


def act_in_validation(patch: pytest.MonkeyPatch, score: Callable[[Callable[[], dict[str, float]]], Any]) -> None:
    """Call ``score`` in place of each validation; it is given the validation itself."""
    original = Classification.validate

    def validate(task: Classification, model: Any, *, monitor: str) -> Any:
        return score(lambda: original(task, model, monitor=monitor))

    patch.setattr(Classification, "validate", validate)


def act_when_saving(
    patch: pytest.MonkeyPatch, which: str, save: Callable[[Position, Callable[[], None]], None]
) -> None:
    """Call ``save`` in place of writing a file; it is given the position of the run, and the writing.

    Args:
        patch: Undoes it.
        which: The checkpoint ``last`` or ``best``, or the ``numbers`` of an epoch.
        save: What to do.
    """
    owner, name = (Display, "write_numbers") if which == "numbers" else (loop, f"save_{which}")
    original = getattr(owner, name)

    def write(*args: Any) -> None:
        position = args[-1].position if isinstance(args[-1], Run) else args[-1]
        save(position, lambda: original(*args))

    patch.setattr(owner, name, write)


@contextmanager
def running(run: Run) -> Iterator[None]:
    """Show a run as ``kinema.train`` does."""
    with run.display.running(
        run.recipe, run.position, steps_per_epoch=run.steps_per_epoch, score_names=run.task.train_scores
    ):
        yield


def change_input(patch: pytest.MonkeyPatch, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change what the network is given in training."""
    original = classification.network_input
    patch.setattr(classification, "network_input", lambda *args, **kwargs: change(original(*args, **kwargs)))


def look_like_an_accelerator(patch: pytest.MonkeyPatch) -> None:
    """Look at losses only at the end of an epoch, as if each look had to wait for an accelerator."""
    patch.setattr(StepWatch, "_is_look_due", lambda watch, is_last, wanted: is_last)
