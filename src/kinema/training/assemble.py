"""Putting a run together: from a recipe and videos to the object that the loop works on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from kinema.errors import UserError
from kinema.training.average import WeightAverage
from kinema.training.batch_size import batch_note
from kinema.training.batches import steps_per_epoch, with_enough_steps
from kinema.training.classification import Classification
from kinema.training.frozen_temporal import with_choice
from kinema.training.memory import automatic_batch, clip_shape, fits_in_memory
from kinema.training.parameters import build_optimizer, freeze
from kinema.training.position import Position
from kinema.training.precision import with_faster_precision
from kinema.training.state import Run
from kinema.training.stopping import StopRequest
from kinema.training.task import Task
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.compute.engine import Engine
    from kinema.data.manifest import Manifest
    from kinema.models.action_model import ActionModel
    from kinema.specs.recipe import Recipe
    from kinema.training.display import Display


def assemble(
    engine: Engine,
    recipe: Recipe,
    *,
    folder: Path,
    training: Manifest,
    validation: Manifest | None,
    display: Display,
    is_new: bool = True,
    auto_batch: bool = False,
    keep_lr: bool = False,
    own: ActionModel | None = None,
    task_type: type[Task] = Classification,
) -> Run:
    """Build model, optimiser and task for one process of a run.

    Args:
        engine: The process.
        recipe: With the model filled in.
        folder: Run directory.
        training: Videos to train on.
        validation: Videos to validate on, or None.
        display: Where notes go.
        is_new: Whether the run begins; one that goes on keeps its choices.
        auto_batch: Replace the recipe's batch by the largest that fits.
        keep_lr: Do not adjust the learning rate to that batch.
        own: The user's own network, instead of the one that the recipe names; it is trained itself, not a copy.
        task_type: What is learnt.

    Raises:
        UserError: When parts of the recipe do not go together with the model, the data or the device.
    """
    model, task = task_type.start(
        engine, recipe, training=training, validation=validation, note=display.note, network=own
    )
    recipe = with_choice(model, recipe, is_new=is_new, note=display.note)
    freeze(model, recipe)
    model = with_synchronised_norms(model, recipe, engine)
    clips = recipe.schedule.epoch_clips or task.num_samples
    if auto_batch:
        recipe = _with_automatic_batch(engine, task, model, recipe, clips, keep_lr, display.note)
    recipe = with_faster_precision(engine, task, model, recipe, clip_shape(model, recipe), display.note)
    _require_work_for_all(engine, recipe, clips)
    recipe = _with_enough_steps(task.num_samples, recipe, engine.world, display.note)
    optimizer = build_optimizer(model, recipe.optim)
    network = engine.prepare(model, compile=recipe.train.compile)
    return Run(
        engine=engine,
        recipe=recipe,
        folder=folder,
        model=model,
        network=network,
        optimizer=optimizer,
        task=task,
        average=WeightAverage(model, decay=recipe.train.ema_decay) if recipe.train.ema_decay else None,
        position=Position(sums=[0.0] * (2 + len(task.train_scores))),
        stop=StopRequest(),
        display=display,
        steps_per_epoch=steps_per_epoch(task.num_samples, recipe, engine.world),
    )


def _with_enough_steps(num_videos: int, recipe: Recipe, world: int, note: Callable[[str], None]) -> Recipe:
    longer = with_enough_steps(num_videos, recipe, world)
    if longer != recipe:
        clips, steps = longer.schedule.epoch_clips, longer.schedule.min_steps
        note(
            f"{num_videos} videos are few: each of the {recipe.schedule.epochs} epochs takes {clips} clips of them, "
            f"so that the run has {steps} steps (--schedule.min-steps 0: an epoch is a pass over the videos)"
        )
    return longer


def _require_work_for_all(engine: Engine, recipe: Recipe, epoch_clips: int) -> None:
    if epoch_clips < engine.world or recipe.train.batch_size < engine.world * recipe.train.accumulate:
        raise UserError(
            f"{counted(epoch_clips, 'clip')} in batches of {recipe.train.batch_size} cannot keep {engine.world} "
            f"processes with {recipe.train.accumulate} parts each busy; use a larger batch or fewer devices"
        )


def with_synchronised_norms(model: ActionModel, recipe: Recipe, engine: Engine) -> ActionModel:
    """Let the batch norms of several devices share their statistics where the recipe wants it.

    Raises:
        UserError: The devices cannot.
    """
    if not recipe.train.sync_bn or engine.world == 1:
        return model
    if engine.device.type != "cuda":
        raise UserError(
            f"train.sync_bn needs CUDA devices; this run computes on {engine.device} in {engine.world} processes: "
            "take one process, or --train.sync_bn False for batch norm over each process's own clips"
        )
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert converted is model, "only the norms inside are exchanged"
    return model


def _with_automatic_batch(
    engine: Engine,
    task: Task,
    model: ActionModel,
    recipe: Recipe,
    epoch_clips: int,
    keep_lr: bool,
    note: Callable[[str], None],
) -> Recipe:
    model.to(engine.device, engine.dtype)
    fits = partial(fits_in_memory, engine, task, model, clip_shape(model, recipe))
    chosen = automatic_batch(engine, recipe, fits, epoch_clips=epoch_clips, keep_lr=keep_lr)
    note(batch_note(recipe, chosen) or f"batch {chosen.train.batch_size}, as the recipe has it")
    return chosen
