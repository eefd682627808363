"""Choosing the precision of a run by the clock: bf16 where a step is faster in it than in fp32."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from kinema.inference.batching import is_out_of_memory
from kinema.specs.recipe import AUTO

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinema.compute.engine import Engine
    from kinema.models.action_model import ActionModel
    from kinema.specs.recipe import Recipe
    from kinema.training.task import Task

CANDIDATES = ("fp32", "bf16")
MOST_CLIPS = 4
"""Clips of a timed step; more take longer and tell the same."""
TIMED_STEPS = 2
WORTH_IT = 0.9
"""bf16 is taken where a step takes less than this part of the time in fp32."""


def with_faster_precision(
    engine: Engine, task: Task, model: ActionModel, recipe: Recipe, shape: torch.Size, note: Callable[[str], None]
) -> Recipe:
    """Time forward and backward passes in fp32 and bf16, and return the recipe, and set the engine, to the faster.

    Neither the model nor the random numbers of the run are changed. All processes of a run call this and agree.

    Args:
        engine: Where the run computes.
        task: What is learnt.
        model: The network, in training mode, with what is frozen frozen.
        recipe: With ``train.precision`` ``auto``; any other is returned as it is.
        shape: Axes ``c t h w`` of a clip.
        note: Is told what was chosen, and by which times.
    """
    if recipe.train.precision != AUTO:
        return recipe
    model.to(engine.device, engine.dtype)
    size = max(1, recipe.train.batch_size // (engine.world * recipe.train.accumulate))
    clips = torch.zeros((min(size, MOST_CLIPS), *shape), device=engine.device)
    seconds = _times(engine, task, model, clips)
    together = [max(own) for own in zip(*engine.gather(seconds), strict=True)]  # the slowest process decides
    times = dict(zip(CANDIDATES, together, strict=True))
    chosen = "bf16" if times["bf16"] < WORTH_IT * times["fp32"] else "fp32"
    engine.precision = chosen
    measured = ", ".join(f"{1000 * sec:.0f} ms in {name}" for name, sec in times.items())
    note(f"precision {chosen}: a pass over {len(clips)} clips takes {measured}")
    return recipe.with_fields({"train.precision": chosen})


def _times(engine: Engine, task: Task, model: ActionModel, clips: torch.Tensor) -> list[float]:
    """Least seconds of a pass in each of the candidates; infinite where memory does not hold it."""
    before = engine.precision
    statistics = [buffer.clone() for buffer in model.buffers()]
    least = [float("inf")] * len(CANDIDATES)
    try:
        with torch.random.fork_rng(devices=[clips.device] if clips.is_cuda else []):
            for step in range(1 + TIMED_STEPS):
                for index, name in enumerate(CANDIDATES):
                    engine.precision = name
                    seconds = _seconds(task, model, clips)
                    if step:  # the first pass warms up
                        least[index] = min(least[index], seconds)
    finally:
        engine.precision = before
        model.zero_grad()
        with torch.no_grad():
            for buffer, kept in zip(model.buffers(), statistics, strict=True):
                buffer.copy_(kept)
    return least


def _seconds(task: Task, model: ActionModel, clips: torch.Tensor) -> float:
    _wait_for(clips.device)
    start = time.perf_counter()
    try:
        task.blank_loss(model, clips).backward()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return float("inf")  # training itself says best what fits
    _wait_for(clips.device)
    return time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
