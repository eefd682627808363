"""The training loop, from top to bottom: a run is epochs, an epoch is steps and a validation."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.data.loader import to_device
from kinema.data.network_input import network_input
from kinema.errors import CheckpointError, UserError, VideoError
from kinema.models.action_model import TrainingScores
from kinema.training.batches import clips_of_step, epoch_batches
from kinema.training.directory import standing
from kinema.training.loss_watch import LossWatch, weights_are_finite, weights_error
from kinema.training.memory import explained
from kinema.training.objective import Blend, Mixture, draw_blend
from kinema.training.parameters import set_rate, training_mode
from kinema.training.schedule import rate_scale
from kinema.training.state import Run, save_best, save_last
from kinema.training.validate import validate
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.data.loader import Batch
    from kinema.shapes import Clip

LOOK_EVERY = 10
"""Steps between two looks at the losses on an accelerator, since each look waits for it; a CPU is looked at always."""


def fit(run: Run) -> int:
    """Train from the run's position to the end of its schedule.

    Returns:
        Number of the signal that stopped the run, its state saved; 0 when it came to its end.

    Raises:
        UserError: When the loss is no longer a number, memory runs out, or a worker process hangs or dies.
        VideoError: When a video cannot be decoded.
    """
    batches = epoch_batches(run)
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


def train_epoch(run: Run, batches: Iterator[Batch]) -> bool:
    """Do the steps that are left of the running epoch; say whether a stop was asked for."""
    position, num_steps = run.position, run.steps_per_epoch
    training_mode(run.model, run.recipe)
    sums = torch.tensor(position.sums, dtype=run.engine.sum_dtype, device=run.engine.device)
    losses = LossWatch(run)
    saved_at = time.monotonic()
    run.display.start_epoch(position)
    while position.step_in_epoch < num_steps:
        with run.display.waiting():
            batch = _next_batch(run, batches, losses, sums)
        with explained(run, batch):
            of_step = train_step(run, batch)
        sums += of_step
        losses.add(batch, of_step)
        position.step_in_epoch += 1
        position.num_steps += 1
        run.display.step(clips_of_step(run, position.step_in_epoch - 1))
        last = position.step_in_epoch == num_steps
        stop, save = bool(run.stop.signal), 0 < run.recipe.train.save_minutes * 60 <= time.monotonic() - saved_at
        if not _looks(run, last, stop or save):
            continue
        bad, stop, save = _agreed(run, losses.went_bad(), stop, save)
        if bad:
            raise losses.error()
        position.sums = sums.tolist()
        if last or position.step_in_epoch % LOOK_EVERY == 0:
            run.display.show(position)
        if (last or stop or save) and _agreed(run, not weights_are_finite(run))[0]:
            raise weights_error(run)
        if stop:
            return True
        if save:
            saved_at = time.monotonic()
            save_last(run)
    return False


def _next_batch(run: Run, batches: Iterator[Batch], losses: LossWatch, sums: torch.Tensor) -> Batch:
    """Wait for a batch; where none comes, save what there is and say how to go on."""
    try:
        return next(batches)
    except UserError as error:
        fault = error
    position = run.position
    if run.engine.world == 1:  # several cannot: the others wait for this one in the exchange of gradients
        if losses.went_bad():
            raise losses.error()
        position.sums = sums.tolist()
        if weights_are_finite(run):
            with suppress(CheckpointError):
                save_last(run)
    raise _with_way_on(fault, run)


def _with_way_on(fault: UserError, run: Run) -> UserError:
    """The error of a run that cannot read its videos, with what to type once it can."""
    reason = fault.reason if isinstance(fault, VideoError) else str(fault)
    reason += "\n" if "\n" in reason else "; "
    reason += f"once it is repaired, continue with: kinema train --resume {run.folder}"
    error = VideoError(fault.path, reason) if isinstance(fault, VideoError) else UserError(reason)
    error.by_all = fault.by_all
    return error


def train_step(run: Run, batch: Batch) -> torch.Tensor:
    """Make one optimiser step over a batch, in as many parts as the recipe accumulates.

    Every clip of the step counts the same, however unevenly the clips fall on processes and parts. A process for which
    the last step of an epoch has no clip computes with another's, so that it takes part in the exchange of gradients,
    and counts it as nothing.

    Returns:
        Summed loss, right answers and clips of this process.
    """
    recipe, position, engine = run.recipe, run.position, run.engine
    seed = [recipe.seed, position.num_steps, engine.rank]
    rng = np.random.default_rng(seed)
    torch.manual_seed(int(rng.integers(2**62)))  # dropout; a resumed run draws the same numbers
    epoch = position.epoch + position.step_in_epoch / run.steps_per_epoch
    set_rate(run.optimizer, rate_scale(recipe.schedule, epoch))
    num_clips = clips_of_step(run, position.step_in_epoch)
    share = engine.world / num_clips if engine.rank < num_clips else 0.0  # gradients are averaged over the processes
    sums = torch.zeros(3, dtype=engine.sum_dtype, device=engine.device)
    num_parts = max(1, min(recipe.train.accumulate, num_clips // engine.world))  # the same on all processes
    blend = draw_blend(len(batch.labels), alpha=recipe.train.mixup, rng=rng)
    for part, rows in enumerate(torch.arange(len(batch.labels)).tensor_split(num_parts)):
        mixture = _mixture(run, batch, rows, blend)
        with engine.without_exchange(run.network, part + 1 < num_parts):
            scores = TrainingScores.of(run.network(mixture.clips))
            loss = run.objective(scores, mixture)
            engine.backward(loss * share)
        right = (scores.logits.detach().argmax(1) == mixture.labels).sum()
        sums += torch.stack([loss.detach().to(sums), right.to(sums), sums.new_tensor(len(rows))])
    if recipe.optim.clip_norm:
        engine.clip_gradients(run.network, run.optimizer, recipe.optim.clip_norm)
    run.optimizer.step()
    run.optimizer.zero_grad()
    if run.average:
        run.average.update(run.model)
    return sums if share else torch.zeros_like(sums)


def _mixture(run: Run, batch: Batch, rows: torch.Tensor, blend: Blend | None) -> Mixture:
    """What the network sees of some neighbouring rows of a batch; a clip's partner may be in another part of it."""

    def pixels_of(chosen: slice | torch.Tensor) -> Clip:
        return network_input(batch.clips[chosen], run.preprocessing, run.engine.device, dtype=run.engine.dtype)

    own = slice(int(rows[0]), int(rows[-1]) + 1)
    labels = to_device(batch.labels[own], run.engine.device)
    clips = pixels_of(own)
    if blend is None:
        return Mixture(clips, labels, labels, 1.0)
    partners = blend.partners[own]
    whole = len(rows) == len(batch.labels)  # then every partner is on the device already
    others = clips[partners.to(clips.device)] if whole else pixels_of(partners)
    of_others = to_device(batch.labels[partners], run.engine.device)
    return Mixture(clips.lerp(others, 1 - blend.share), labels, of_others, blend.share)


def finish_epoch(run: Run) -> bool:
    """Validate, note the epoch's row and save; say whether a stop was asked for, in which case nothing is noted."""
    recipe, position = run.recipe, run.position
    epoch = position.epoch + 1
    last = epoch == recipe.schedule.epochs
    scores: dict[str, float] = {}
    if run.validation is not None and (last or epoch % recipe.train.validate_every == 0):
        save_last(run)  # a stop during validation loses nothing: a resumed run comes straight back here
        try:
            scores = validate(run)
        except UserError as fault:
            raise _with_way_on(fault, run) from fault
        if not scores:
            return True
    loss, right, clips = run.engine.total(torch.tensor(position.sums, dtype=torch.float64)).tolist()
    row = {"epoch": epoch, "train_loss": loss / clips, "train_top1": right / clips}
    row |= {f"val_{name}": value for name, value in scores.items()}
    row |= {"lr": max(group["lr"] for group in run.optimizer.param_groups), **run.display.epoch_times()}
    position.history.append(row)
    position.seconds += row["seconds"]
    position.epoch, position.step_in_epoch, position.sums = epoch, 0, [0.0, 0.0, 0.0]
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
    return _agreed(run, bool(run.stop.signal))[0]


def _is_best(run: Run, row: dict[str, float]) -> bool:
    """Whether this epoch beats all before; without validation the newest is the best."""
    monitor, best = run.recipe.train.monitor, run.position.best
    if f"val_{monitor}" not in row:
        return run.validation is None
    return not best or standing(row, monitor) > standing(best, monitor)


def _looks(run: Run, last: bool, wanted: bool) -> bool:
    """Whether this step ends with a look at the losses and the wishes of all processes; all of them decide alike."""
    if last or run.engine.device.type == "cpu" or run.position.step_in_epoch % LOOK_EVERY == 0:
        return True
    return wanted and run.engine.world == 1


def _agreed(run: Run, *wishes: bool) -> list[bool]:
    """Let all processes grant a wish as soon as one has it."""
    if run.engine.world == 1:
        return list(wishes)
    return [total > 0 for total in run.engine.total(torch.tensor(wishes, dtype=torch.float32)).tolist()]
