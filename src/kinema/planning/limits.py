"""How fast training can be at most: the arithmetic of a device, the bandwidth of its memory, and who feeds it."""

from __future__ import annotations

from kinema.planning.data_sheets import DataSheet
from kinema.planning.training_load import TrainingLoad
from kinema.specs.recipe import Recipe

PASSES = 3.0
"""Arithmetic of a training step in forward passes: the backward pass computes two products where that has one."""
MOVED_PASSES = 3.5
"""The same for memory moved. Operation by operation, seven networks of six families had 3.1 to 4.4."""
WEIGHT_MOVES = 8
"""Moves of each weight in a step: both passes read it, the gradient comes and goes, weight and momentum are updated."""
EFFICIENCY = 0.5
"""Fraction of a device's limit that steps are assumed to reach, see docs/planning.md for published figures."""
WEIGHT_BYTES = 4
"""Of a weight, its gradient and the optimiser's numbers; mixed precision keeps all of these in fp32."""


def device_batch(recipe: Recipe, world: int) -> int:
    """Clips that each of ``world`` devices holds at once."""
    return -(-recipe.train.batch_size // (world * recipe.train.accumulate))


def moved_bytes(recipe: Recipe, load: TrainingLoad, *, device_batch: int) -> float:
    """Bytes that training moves between memory and arithmetic: a clip's own, and its share of the weights'."""
    per_step = WEIGHT_MOVES * WEIGHT_BYTES * load.parameters / recipe.train.accumulate
    return MOVED_PASSES * load.moved_bytes * width(recipe) + per_step / device_batch


def limited_by(
    recipe: Recipe, load: TrainingLoad, device: DataSheet, *, world: int = 1, efficiency: float = EFFICIENCY
) -> tuple[float, str]:
    """Seconds that a device of the table takes to train on a clip, and what holds it back.

    That is the larger of two times, the arithmetic at its peak rate and the memory moved at its bandwidth, divided by
    the fraction of this limit that is reached in practice.

    Args:
        recipe: With the model filled in.
        load: Counts for one clip.
        device: Where.
        world: Devices that share a step.
        efficiency: That fraction of the limit, in (0, 1].

    Raises:
        UserError: The device does not have the precision.
    """
    moved = moved_bytes(recipe, load, device_batch=device_batch(recipe, world))
    computing = 2 * PASSES * load.macs / (device.peak_tflops(recipe.train.first_precision) * 1e12)
    moving = moved / (device.bandwidth_gb_per_sec * 1e9)
    return max(computing, moving) / efficiency, "arithmetic" if computing > moving else "memory bandwidth"


def with_loading(wall_sec: float, processor_sec: float, decode_sec: float, *, cores: int, workers: int) -> float:
    """Seconds of a clip where decoding shares the machine with training.

    The slowest of three decides: training, the workers that decode, and the cores that both work on. Without workers
    decoding and training take turns.

    Args:
        wall_sec: Of training on a clip, on the clock.
        processor_sec: Of the same, over the cores that it keeps busy; 0 where an accelerator trains.
        decode_sec: Of decoding a clip on one core.
        cores: Of the machine.
        workers: Processes that decode.
    """
    if workers == 0:
        return wall_sec + decode_sec
    return max(wall_sec, decode_sec / min(workers, cores), (processor_sec + decode_sec) / cores)


def width(recipe: Recipe) -> float:
    """Size of the numbers that pass through a recipe's network, compared with fp32."""
    return {"bf16": 0.5, "fp16": 0.5, "fp64": 2.0}.get(recipe.train.precision, 1.0)
