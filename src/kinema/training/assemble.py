"""Putting a run together: from a recipe and videos to the object that the loop works on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from kinema.errors import UserError
from kinema.training.average import WeightAverage
from kinema.training.batch_size import batch_note
from kinema.training.batches import class_weights, steps_per_epoch, with_enough_steps
from kinema.training.frozen_temporal import with_choice
from kinema.training.initial import starting_model
from kinema.training.memory import automatic_batch
from kinema.training.objective import Objective
from kinema.training.parameters import build_optimizer, freeze
from kinema.training.state import Position, Run
from kinema.training.stopping import StopRequest
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.models.action_model import ActionModel
    from kinema.specs.recipe import Recipe
    from kinema.training.display import Display
    from kinema.training.engine import Engine


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
) -> Run:
    """Build model, optimiser and loss for one process of a run.

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

    Raises:
        UserError: When parts of the recipe do not go together with the model, the data or the device.
    """
    model, preprocessing = starting_model(recipe, training.classes, note=display.note, network=own)
    recipe = with_choice(model, recipe, is_new=is_new, note=display.note)
    freeze(model, recipe)
    model = _with_synchronised_norms(model, recipe, engine)
    clips = recipe.schedule.epoch_clips or len(training)
    if auto_batch:
        recipe = _with_automatic_batch(engine, model, recipe, clips, keep_lr, display.note)
    _require_work_for_all(engine, recipe, clips)
    recipe = _with_enough_steps(training, recipe, engine.world, display.note)
    optimizer = build_optimizer(model, recipe.optim)
    network, wrapped = engine.prepare(model, optimizer, compile=recipe.train.compile)
    return Run(
        engine=engine,
        recipe=recipe,
        folder=folder,
        model=model,
        network=network,
        optimizer=wrapped,
        objective=_objective(training, recipe, engine),
        average=WeightAverage(model, decay=recipe.train.ema_decay) if recipe.train.ema_decay else None,
        preprocessing=preprocessing,
        training=training,
        validation=validation,
        position=Position(),
        stop=StopRequest(),
        display=display,
        steps_per_epoch=steps_per_epoch(training, recipe, engine.world),
    )


def _objective(training: Manifest, recipe: Recipe, engine: Engine) -> Objective:
    weights = class_weights(training, recipe)
    return Objective(
        label_smoothing=recipe.train.label_smoothing,
        class_weights=None if weights is None else torch.from_numpy(weights).to(engine.device, engine.dtype),
    )


def _with_enough_steps(training: Manifest, recipe: Recipe, world: int, note: Callable[[str], None]) -> Recipe:
    longer = with_enough_steps(training, recipe, world)
    if longer != recipe:
        clips, steps = longer.schedule.epoch_clips, longer.schedule.min_steps
        note(
            f"{len(training)} videos are few: each of the {recipe.schedule.epochs} epochs takes {clips} clips of them, "
            f"so that the run has {steps} steps (--schedule.min-steps 0: an epoch is a pass over the videos)"
        )
    return longer


def _require_work_for_all(engine: Engine, recipe: Recipe, epoch_clips: int) -> None:
    if epoch_clips < engine.world or recipe.train.batch_size < engine.world * recipe.train.accumulate:
        raise UserError(
            f"{counted(epoch_clips, 'clip')} in batches of {recipe.train.batch_size} cannot keep {engine.world} "
            f"processes with {recipe.train.accumulate} parts each busy; use a larger batch or fewer devices"
        )


def _with_synchronised_norms(model: ActionModel, recipe: Recipe, engine: Engine) -> ActionModel:
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
    engine: Engine, model: ActionModel, recipe: Recipe, epoch_clips: int, keep_lr: bool, note: Callable[[str], None]
) -> Recipe:
    model.to(engine.device, engine.dtype)
    chosen = automatic_batch(engine, model, recipe, epoch_clips=epoch_clips, keep_lr=keep_lr)
    note(batch_note(recipe, chosen) or f"batch {chosen.train.batch_size}, as the recipe has it")
    return chosen
