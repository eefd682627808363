"""When memory runs out: say which batch fits, or find it beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from kinema.errors import UserError
from kinema.inference.batching import is_out_of_memory
from kinema.training.batch_size import with_batch
from kinema.training.parameters import NORMS

if TYPE_CHECKING:
    from kinema.compute.engine import Engine
    from kinema.models.action_model import ActionModel
    from kinema.specs.recipe import Recipe
    from kinema.training.state import Run
    from kinema.training.task import Task, TaskBatch

MAX_AUTO_BATCH = 256
SPARE = 0.08
"""Fraction of the device's memory that an automatic batch leaves free for fragments and other users."""


@contextmanager
def explain_out_of_memory(run: Run, batch: TaskBatch) -> Iterator[None]:
    """Turn an out-of-memory error of a training step into one that names the batch that would have fitted."""
    failed = False
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        failed = True  # the error holds the step's tensors; they are freed once this block is left
    if failed:
        raise out_of_memory_error(run, batch.clips.shape)


def out_of_memory_error(run: Run, shape: torch.Size) -> UserError:
    """Build the error for a step over clips of ``shape`` (axes ``b c t h w``), after trying smaller ones."""
    parts, world = run.recipe.train.accumulate, run.engine.world
    size = -(-shape[0] // parts)
    run.optimizer.zero_grad()
    seen = torch.Size([run.model.in_channels, *shape[2:]])  # computed flow makes other channels of a batch's
    fitting = largest_fitting(partial(fits_in_memory, run.engine, run.task, run.model, seen), most=size - 1)
    what = (
        f"{size} clips of {shape[2]} frames at {shape[3]}x{shape[4]} do not fit into the memory of {run.engine.device}"
    )
    if fitting == 0:
        return UserError(f"{what}, and neither does a single one; use fewer frames, a smaller crop or a smaller model")
    batch, needed = fitting * parts * world, -(-shape[0] // fitting)
    return UserError(f"{what}; {fitting} fit: use --batch {batch}, or keep the batch with --train.accumulate {needed}")


def largest_fitting(fits: Callable[[int], bool], *, most: int) -> int:
    """Find the largest power of two of clips, up to ``most``, of which ``fits`` says that one pass holds them; or 0."""
    size = 1 << max(most, 1).bit_length() - 1 if most else 0
    while size and not fits(size):
        size //= 2
    return size


def automatic_batch(
    engine: Engine, recipe: Recipe, fits: Callable[[int], bool], *, epoch_clips: int, keep_lr: bool = False
) -> Recipe:
    """Return the recipe with the largest batch that fits, and the learning rate that goes with it.

    Hosts without an accelerator keep the recipe's batch: there a larger one is not faster.

    Args:
        engine: Where the run computes.
        recipe: Names the batch that its rate is meant for.
        fits: Whether a training pass over so many clips fits into the memory, see ``fits_in_memory``.
        epoch_clips: Clips of an epoch; a batch never takes more than a quarter of them.
        keep_lr: Leave the rate as it is.
    """
    if engine.device.type != "cuda":
        return recipe
    most = max(1, min(MAX_AUTO_BATCH, epoch_clips // (4 * engine.world)))
    fitting = min(engine.gather(largest_fitting(fits, most=most)))
    if fitting == 0:
        raise UserError("not even one clip fits into memory; use fewer frames, a smaller crop or a smaller model")
    chosen = with_batch(recipe, fitting * engine.world, keep_lr=keep_lr)
    return chosen.with_fields({"train.accumulate": 1})


def clip_shape(model: ActionModel, recipe: Recipe) -> torch.Size:
    """Axes ``c t h w`` of a training clip as the network sees it."""
    side = recipe.data.crop_size
    return torch.Size([model.in_channels, recipe.data.frames, side, side])


def fits_in_memory(engine: Engine, task: Task, model: nn.Module, clip_shape: torch.Size, num_clips: int) -> bool:
    """Try one forward and backward pass over blank clips, with room for the optimiser's state.

    Norms are in evaluation mode meanwhile. They need as much memory then, but blank clips leave no mark on their
    statistics, and synchronised ones do not wait for processes that try another size, or none.
    """
    norms = [module for module in model.modules() if isinstance(module, NORMS) and module.training]
    for norm in norms:
        norm.eval()
    try:
        clips = torch.zeros((num_clips, *clip_shape), device=engine.device, dtype=engine.dtype)
        task.blank_loss(model, clips).backward()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        fits = False
    else:
        fits = _has_room(engine.device, model)
    finally:
        for norm in norms:
            norm.train()
    model.zero_grad()
    if engine.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(engine.device)
    return fits


def _has_room(device: torch.device, model: nn.Module) -> bool:
    if device.type != "cuda":
        return True
    state = 2 * sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    total = torch.cuda.get_device_properties(device).total_memory
    return torch.cuda.max_memory_allocated(device) + state < (1 - SPARE) * total
