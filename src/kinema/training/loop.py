"""The training loop, from top to bottom: a run is epochs, an epoch is steps and a validation."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.errors import CheckpointError, UserError, VideoError
from kinema.training.batches import clips_of_step
from kinema.training.directory import standing
from kinema.training.memory import explain_out_of_memory
from kinema.training.parameters import set_rate, training_mode
from kinema.training.schedule import rate_scale
from kinema.training.state import Run, save_best, save_last
from kinema.training.step_watch import StepWatch, any_process_wants
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.training.task import TaskBatch


def fit(run: Run) -> int:
    """Train from the run's position to the end of its schedule.

    Returns:
        Number of the signal that stopped the run, its state saved; 0 when it came to its end.

    Raises:
        UserError: When the loss is no longer a number, memory runs out, or a worker process hangs or dies.
        VideoError: When a video cannot be decoded.
    """
    batches = run.task.batches(run.recipe, run.position)
    if run.position.num_steps == 0:
        save_last(run)  # so that the run can be resumed whatever happens, and a full disk shows itself early
    while not run.position.is_over(run.recipe):
        if train_epoch(run, batches) or finish_epoch(run):
            save_last(run)
            return run.stop.signal or signal.SIGTERM  # another process may be the one that was told to stop
    if run.position.epoch < run.recipe.schedule.epochs:
        train = run.recipe.train
        run.display.note(f"stopped early: {counted(train.patience, 'validation')} without a better {train.monitor}")
    return 0


def train_epoch(run: Run, batches: Iterator[TaskBatch]) -> bool:
    """Do the steps that are left of the running epoch; say whether a stop was asked for."""
    position = run.position
    training_mode(run.model, run.recipe)
    watch = StepWatch(run)
    run.display.start_epoch(position)
    while position.step_in_epoch < run.steps_per_epoch:
        with run.display.waiting():
            batch = _next_batch(run, batches, watch)
        with explain_out_of_memory(run, batch):
            sums = train_step(run, batch)
        run.display.step(clips_of_step(run, position.step_in_epoch))
        position.step_in_epoch += 1
        position.num_steps += 1
        decision = watch.after_step(batch, sums)
        if decision.stop:
            return True
        if decision.save:
            save_last(run)
    return False


def _next_batch(run: Run, batches: Iterator[TaskBatch], watch: StepWatch) -> TaskBatch:
    """Wait for a batch; where none comes, save what there is and say how to go on."""
    try:
        return next(batches)
    except UserError as error:
        fault = error
    # Several processes cannot save: the others wait for this one in the exchange of gradients.
    if run.engine.world == 1 and watch.is_worth_saving():
        with suppress(CheckpointError):
            save_last(run)
    raise _with_way_on(fault, run)


def _with_way_on(fault: UserError, run: Run) -> UserError:
    """Add to the error of a run that cannot read its videos the command that resumes it."""
    reason = fault.reason if isinstance(fault, VideoError) else str(fault)
    reason += "\n" if "\n" in reason else "; "
    reason += f"once it is repaired, continue with: kinema train --resume {run.folder}"
    error = VideoError(fault.path, reason) if isinstance(fault, VideoError) else UserError(reason)
    error.by_all = fault.by_all
    return error


def train_step(run: Run, batch: TaskBatch) -> torch.Tensor:
    """Make one optimiser step over a batch, in as many parts as the recipe accumulates.

    Every sample of the step counts the same, however unevenly the samples fall on processes and parts. A process for
    which the last step of an epoch has no sample computes with another's, so that it takes part in the exchange of
    gradients, and counts it as nothing.

    Returns:
        What this process adds to ``Position.sums``.
    """
    recipe, position, engine, task = run.recipe, run.position, run.engine, run.task
    seed = [recipe.seed, position.num_steps, engine.rank]
    rng = np.random.default_rng(seed)
    torch.manual_seed(int(rng.integers(2**62)))  # dropout; a resumed run draws the same numbers
    epoch = position.epoch + position.step_in_epoch / run.steps_per_epoch
    set_rate(run.optimizer, rate_scale(recipe.schedule, epoch))
    num_clips = clips_of_step(run, position.step_in_epoch)
    weight = engine.world / num_clips if engine.rank < num_clips else 0.0  # gradients are averaged over the processes
    sums = torch.zeros(len(position.sums), dtype=engine.sum_dtype, device=engine.device)
    num_parts = max(1, min(recipe.train.accumulate, num_clips // engine.world))  # the same on all processes
    drawn = task.draw(batch, rng)
    for part, rows in enumerate(torch.arange(len(batch.indices)).tensor_split(num_parts)):
        with engine.without_exchange(run.network, part + 1 < num_parts):
            loss, scores = task.part_loss(run.network, batch, rows, drawn)
            engine.backward(loss * weight)
        sums += torch.stack([*(value.detach().to(sums) for value in (loss, *scores)), sums.new_tensor(len(rows))])
    if recipe.optim.clip_norm:
        engine.clip_gradients(run.optimizer, recipe.optim.clip_norm)
    engine.step(run.optimizer)
    run.optimizer.zero_grad()
    if run.average:
        run.average.update(run.model)
    return sums if weight else torch.zeros_like(sums)


def finish_epoch(run: Run) -> bool:
    """Validate, note the epoch's row and save; say whether a stop was asked for, in which case nothing is noted."""
    recipe, position = run.recipe, run.position
    epoch = position.epoch + 1
    last = epoch == recipe.schedule.epochs
    scores: dict[str, float] = {}
    if run.task.num_validation and (last or epoch % recipe.train.validate_every == 0):
        save_last(run)  # a stop during validation loses nothing: a resumed run comes straight back here
        try:
            scores = _validated(run)
        except UserError as fault:
            raise _with_way_on(fault, run) from fault
        if not scores:
            return True
    *totals, clips = run.engine.total(torch.tensor(position.sums, dtype=torch.float64)).tolist()
    names = ("loss", *run.task.train_scores)
    row = {"epoch": epoch, **{f"train_{name}": total / clips for name, total in zip(names, totals, strict=True)}}
    row |= {f"val_{name}": value for name, value in scores.items()}
    row |= {"lr": max(group["lr"] for group in run.optimizer.param_groups), **run.display.epoch_times()}
    position.history.append(row)
    position.seconds += row["seconds"]
    position.epoch, position.step_in_epoch, position.sums = epoch, 0, [0.0] * len(position.sums)
    position.spent = [0.0] * 4
    best = _is_best(run, row)
    if best:
        position.best, position.num_stale = row, 0
    elif scores:
        position.num_stale += 1
    run.display.write_numbers(position)  # before saving: a run that dies in between comes by here again
    if best:
        save_best(run)
    save_last(run)
    run.display.finish_epoch(position)
    return any_process_wants(run, bool(run.stop.signal))[0]


def _is_best(run: Run, row: dict[str, float]) -> bool:
    """Whether this epoch beats all before; without validation the newest is the best."""
    monitor, best = run.recipe.train.monitor, run.position.best
    if f"val_{monitor}" not in row:
        return not run.task.num_validation
    return not best or standing(row, monitor) > standing(best, monitor)


def _validated(run: Run) -> dict[str, float]:
    """Score the validation data; the averaged weights where the run keeps an average.

    A process that runs alone drops the validation when a stop is asked for, and gives back nothing; several finish it
    together.
    """
    scores: dict[str, float] = {}
    averaged = run.average.applied_to(run.model) if run.average else nullcontext()
    with averaged, run.stop.dropping() if run.engine.world == 1 else nullcontext():
        run.engine.broadcast_buffers(run.model)  # so that all score the network that is saved
        scores = run.task.validate(run.model, monitor=run.recipe.train.monitor)
    return scores
