"""A loss that is no longer a number: the step it came from, and the videos whose clips were in that step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from kinema.errors import UserError
from kinema.training.parameters import NORMS

if TYPE_CHECKING:
    from kinema.data.loader import Batch
    from kinema.training.state import Run

_ADVICE = "lower optim.lr, add schedule.warmup_epochs or clip with optim.clip_norm"
NUM_SHOWN = 24
"""Videos that the error names; ``log.txt`` gets all of them."""


class _Step(NamedTuple):
    """One step of this process: its number since the start of the run, rows of the manifest, and summed loss."""

    number: int
    rows: torch.Tensor
    sums: torch.Tensor


class _Bad(NamedTuple):
    """The first step of a process whose loss is no number; the mean losses of it and of the step before."""

    number: int
    loss: float
    loss_before: float
    rows: list[int]


class LossWatch:
    """Keeps the losses of the latest steps where they were computed, so that no step waits for an accelerator.

    All of them are looked at together, every few steps and before anything is saved; so the step is known exactly
    although it is noticed late.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._steps: list[_Step] = []
        self._mean_loss = math.nan
        self._bad: _Bad | None = None

    def add(self, batch: Batch, sums: torch.Tensor) -> None:
        """Note a step that has just been computed; ``sums`` are its summed loss, right answers and clips."""
        self._steps.append(_Step(self._run.position.num_steps, batch.indices, sums))

    def went_bad(self) -> bool:
        """Look at the steps since the last look; this waits for the device."""
        steps, self._steps = self._steps, []
        if not steps:
            return False
        all_sums = torch.stack([step.sums for step in steps]).tolist()
        for step, (loss, _, num_clips) in zip(steps, all_sums, strict=True):
            if not math.isfinite(loss):
                self._bad = _Bad(step.number, loss, self._mean_loss, step.rows.tolist())
                return True
            if num_clips:
                self._mean_loss = loss / num_clips
        return False

    def error(self) -> UserError:
        """The error for a run in which ``went_bad`` was true on some process; all processes call it together."""
        run = self._run
        found = [bad for bad in run.engine.gather(self._bad) if bad is not None]
        first = min(bad.number for bad in found)
        bads = [bad for bad in found if bad.number == first]
        ids = [run.training[row].video_id for bad in bads for row in bad.rows]
        epoch, step = divmod(first, run.steps_per_epoch)
        where = f"the loss is {bads[0].loss} in epoch {epoch + 1}, step {step + 1}"
        if not math.isnan(bads[0].loss_before):
            where += f" ({bads[0].loss_before:.4g} in the step before)"
        run.display.log(f"{where}, with the videos {', '.join(ids)}")
        more = f" and {len(ids) - NUM_SHOWN} more, see log.txt" if len(ids) > NUM_SHOWN else ""
        return _by_all(
            f"{where}; {_ADVICE}, or look at the videos of that step: {', '.join(ids[:NUM_SHOWN])}{more}; {_kept(run)}"
        )


def weights_are_finite(run: Run) -> bool:
    """Look at every weight and running statistic: a gradient can overflow in a step whose loss still was a number."""
    statistics = (buffer for norm in run.model.modules() if isinstance(norm, NORMS) for buffer in norm.buffers())
    tensors = [*run.model.parameters(), *statistics]
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())


def weights_error(run: Run) -> UserError:
    """The error for a run in which ``weights_are_finite`` was false on some process."""
    position = run.position
    where = f"epoch {position.epoch + 1}, step {position.step_in_epoch}"
    return _by_all(f"weights are no longer finite after {where}; {_ADVICE}; {_kept(run)}")


def _by_all(message: str) -> UserError:
    error = UserError(message)
    error.by_all = True
    return error


def _kept(run: Run) -> str:
    return f"{run.folder / 'last.ckpt'} keeps an earlier state"
