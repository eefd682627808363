"""The state of a run: what a checkpoint must hold so that a resumed run continues bit for bit."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kinema.errors import CheckpointError
from kinema.files import remove_unfinished
from kinema.training.average import WeightAverage
from kinema.training.directory import BEST, LAST, METRICS
from kinema.training.position import Position
from kinema.training.status import STATUS, write_status
from kinema.weights.checkpoint import Checkpoint, TrainingState
from kinema.weights.state_dicts import load_exact
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.compute.engine import Engine
    from kinema.models.action_model import ActionModel
    from kinema.specs.recipe import Recipe
    from kinema.training.display import Display
    from kinema.training.stopping import StopRequest
    from kinema.training.task import Task


@dataclass
class Run:
    """Everything that the loop works on; built once by ``training.assemble``.

    Attributes:
        engine: This process and its device.
        recipe: What to do, with model, options and weights filled in.
        folder: Run directory.
        model: The bare network.
        network: The same, wrapped for precision, compilation and gradient exchange.
        optimizer: Of its parameters.
        task: What is learnt, with its data and its loss.
        average: Moving average of the weights, or None.
        position: How far the run has come.
        stop: Whether somebody asked to stop.
        display: Where progress is shown.
        steps_per_epoch: Optimiser steps of one epoch.
    """

    engine: Engine
    recipe: Recipe
    folder: Path
    model: ActionModel
    network: torch.nn.Module
    optimizer: torch.optim.Optimizer
    task: Task
    average: WeightAverage | None
    position: Position
    stop: StopRequest
    display: Display
    steps_per_epoch: int


def save_last(run: Run) -> None:
    """Write ``last.ckpt``, which a resumed run starts from. All processes call it, the main one writes.

    Random numbers need no entry: samples depend on (seed, epoch, index) and every step seeds torch from
    (seed, step, rank), so the position says it all.
    """
    sums = run.engine.total(torch.tensor(run.position.sums, dtype=torch.float64)).tolist()
    if not run.engine.is_main:
        return
    position = run.position
    position.spent = run.display.spent() if position.step_in_epoch else [0.0] * 4
    training = TrainingState(
        optimizer=run.optimizer.state_dict(),
        scaler=run.engine.scaler.state_dict() if run.engine.scaler else None,
        average_updates=run.average.num_updates if run.average else 0,
        position={**dataclasses.asdict(position), "sums": sums},
        data=run.task.digest(),
        world=run.engine.world,
        fc_gather=run.engine.gathers,
    )
    _checkpoint(run, training).write(run.folder / LAST)
    write_status(run.folder, "running", seconds=position.seconds + position.spent[0])


def save_best(run: Run) -> None:
    """Write ``best.ckpt``: the weights in use, without what only training needs. Only the main process writes."""
    if run.engine.is_main:
        _checkpoint(run, None).write(run.folder / BEST)


def _checkpoint(run: Run, training: TrainingState | None) -> Checkpoint:
    average = run.average.weights if run.average else None
    return Checkpoint.of(
        run.model,
        classes=run.task.classes,
        preprocessing=run.task.preprocessing,
        state_dict=None if training is not None else average,
        ema=average if training is not None else None,
        recipe=run.recipe.to_dict(),
        scores=dict(run.position.history[-1]) if run.position.history else {},
        training=training,
    )


def restore(run: Run, checkpoint: Checkpoint) -> None:
    """Continue from what ``save_last`` wrote.

    Raises:
        CheckpointError: When the file holds no training state, or was made with other data, or on as many processes
            with fc gathering where this run has none (or the reverse).
    """
    training, path = checkpoint.training, run.folder / LAST
    if training is None:
        raise CheckpointError(f"{path} holds weights without training state; it cannot be resumed")
    if training.data != run.task.digest():
        raise CheckpointError(
            f"{path} was trained on other videos than {run.task.data_name} holds now; restore the list"
        )
    if training.world != run.engine.world:
        run.display.note(
            f"resuming with {run.engine.world} instead of {counted(training.world, 'process', 'processes')}: "
            "the clips of every step stay the same; dropout and mixup draw other numbers, and batch norm sees other "
            "parts of a batch"
        )
    elif training.fc_gather != run.engine.gathers:
        how, do = ("without", "leave out") if run.engine.gathers else ("with", "add")
        raise CheckpointError(f"{path} was trained {how} fc gathering; {do} --fc-gather to continue bit for bit")
    load_exact(run.model, checkpoint.state_dict, source=str(path))
    run.optimizer.load_state_dict(training.optimizer)
    if run.engine.scaler and training.scaler:
        run.engine.scaler.load_state_dict(training.scaler)
    if run.average and checkpoint.ema:
        run.average.restore(checkpoint.ema, training.average_updates)
    run.position = Position(**training.position)
    if not run.engine.is_main:
        run.position.sums = [0.0] * len(run.position.sums)  # the saved sums are those of all processes
        return
    for name in (LAST, BEST, METRICS, STATUS):
        remove_unfinished(run.folder / name)
