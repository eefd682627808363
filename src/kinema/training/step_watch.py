"""What is looked at between steps: losses that are no longer numbers, wishes to stop, and the time to save."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

import torch

from kinema.errors import UserError
from kinema.training.parameters import NORMS

if TYPE_CHECKING:
    from kinema.training.state import Run
    from kinema.training.task import TaskBatch

_ADVICE = "lower optim.lr, add schedule.warmup_epochs or clip with optim.clip_norm"
LOOK_EVERY = 10
"""On an accelerator losses are read every so many steps, since reading waits for it; on a CPU after each step."""

NUM_SHOWN = 24
"""Videos that the error names; ``log.txt`` gets all of them."""


class _Step(NamedTuple):
    """One step of this process: its number since the start of the run, from 0, its samples and its sums."""

    number: int
    rows: torch.Tensor
    sums: torch.Tensor


class _Bad(NamedTuple):
    """The first step of a process whose loss is no number; the mean losses of it and of the step before."""

    number: int
    loss: float
    loss_before: float
    rows: list[int]


class Decision(NamedTuple):
    """What the processes of a run decide together after a step; each decides alike.

    Attributes:
        stop: Somebody asked for the run to stop.
        save: It is time to save.
    """

    stop: bool = False
    save: bool = False


class StepWatch:
    """Looks at the steps of an epoch, every few of them, and decides with all processes what follows.

    Args:
        run: The run, whose sums are kept on the device between two looks.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._sums = torch.tensor(run.position.sums, dtype=run.engine.sum_dtype, device=run.engine.device)
        self._losses = _LossWatch(run)
        self._saved_at = time.monotonic()

    def after_step(self, batch: TaskBatch, sums: torch.Tensor) -> Decision:
        """Count a step that has just been computed, and decide whether to stop or save.

        Args:
            batch: Of the step.
            sums: Of this process, as ``Position.sums``, on the device.

        Raises:
            UserError: A loss or a weight of any process is no longer a number.
        """
        run, position = self._run, self._run.position
        self._sums += sums
        self._losses.add(batch, sums)
        is_last = position.step_in_epoch == run.steps_per_epoch
        save_every = run.recipe.train.save_minutes * 60
        stop, save = bool(run.stop.signal), 0 < save_every <= time.monotonic() - self._saved_at
        if not self._is_look_due(is_last, wanted=stop or save):
            return Decision()
        bad, stop, save = any_process_wants(run, self._losses.went_bad(), stop, save)
        if bad:
            raise self._losses.error()
        position.sums = self._sums.tolist()
        if is_last or position.step_in_epoch % LOOK_EVERY == 0:
            run.display.show(position)
        if (is_last or stop or save) and any_process_wants(run, not weights_are_finite(run))[0]:
            raise weights_error(run)
        if save:
            self._saved_at = time.monotonic()
        return Decision(stop, save)

    def is_worth_saving(self) -> bool:
        """Bring the position of a run of one process up to date where no batch comes; whether its weights are finite.

        Raises:
            UserError: A loss is no longer a number.
        """
        if self._losses.went_bad():
            raise self._losses.error()
        self._run.position.sums = self._sums.tolist()
        return weights_are_finite(self._run)

    def _is_look_due(self, is_last: bool, *, wanted: bool) -> bool:
        """Whether this step ends with a look at losses and wishes of all processes; all of them decide alike."""
        run = self._run
        if is_last or run.engine.device.type == "cpu" or run.position.step_in_epoch % LOOK_EVERY == 0:
            return True
        return wanted and run.engine.world == 1


def any_process_wants(run: Run, *requests: bool) -> list[bool]:
    """Let all processes grant a wish as soon as one has it."""
    if run.engine.world == 1:
        return list(requests)
    return [total > 0 for total in run.engine.total(torch.tensor(requests, dtype=torch.float32)).tolist()]


class _LossWatch:
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

    def add(self, batch: TaskBatch, sums: torch.Tensor) -> None:
        """Note a step that has just been computed; ``sums`` begin with its loss and end with its samples."""
        self._steps.append(_Step(self._run.position.num_steps - 1, batch.indices, sums))

    def went_bad(self) -> bool:
        """Look at the steps since the last look; this waits for the device."""
        steps, self._steps = self._steps, []
        if not steps:
            return False
        all_sums = torch.stack([step.sums for step in steps]).tolist()
        for step, (loss, *_, num_clips) in zip(steps, all_sums, strict=True):
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
        ids = run.task.sample_ids([row for bad in bads for row in bad.rows])
        epoch, step = divmod(first, run.steps_per_epoch)
        when = f"the loss is {bads[0].loss} in epoch {epoch + 1}, step {step + 1}"
        if not math.isnan(bads[0].loss_before):
            when += f" ({bads[0].loss_before:.4g} in the step before)"
        run.display.log(f"{when}, with the videos {', '.join(ids)}")
        more = f" and {len(ids) - NUM_SHOWN} more, see log.txt" if len(ids) > NUM_SHOWN else ""
        return _by_all(
            f"{when}; {_ADVICE}, or look at the videos of that step: {', '.join(ids[:NUM_SHOWN])}{more}; {_kept(run)}"
        )


def weights_are_finite(run: Run) -> bool:
    """Look at every weight and running statistic: a gradient can overflow in a step whose loss still was a number."""
    statistics = (buffer for norm in run.model.modules() if isinstance(norm, NORMS) for buffer in norm.buffers())
    tensors = [*run.model.parameters(), *statistics]
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())


def weights_error(run: Run) -> UserError:
    """The error for a run in which ``weights_are_finite`` was false on some process."""
    position = run.position
    when = f"epoch {position.epoch + 1}, step {position.step_in_epoch}"
    return _by_all(f"weights are no longer finite after {when}; {_ADVICE}; {_kept(run)}")


def _by_all(message: str) -> UserError:
    error = UserError(message)
    error.by_all = True
    return error


def _kept(run: Run) -> str:
    return f"{run.folder / 'last.ckpt'} keeps an earlier state"
