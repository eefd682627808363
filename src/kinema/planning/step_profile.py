"""How fast this machine trains and decodes, measured in a minute: some steps of the real loop, some real clips."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from kinema.compute.engine import Engine
from kinema.compute.launch import launch
from kinema.data.dataset import ClipDataset
from kinema.data.loader import Batch
from kinema.data.manifest import Manifest, Record
from kinema.data.transforms import make_augmentation
from kinema.specs.compute import Compute
from kinema.specs.recipe import Recipe
from kinema.specs.sampling import make_sampler
from kinema.training.assemble import assemble
from kinema.training.display import Display
from kinema.training.loop import train_step
from kinema.training.memory import clip_shape, fits_in_memory, largest_fitting
from kinema.training.parameters import training_mode
from kinema.training.state import Run

NUM_STEPS = 5
"""Steps of a profile, after one that warms up; their median counts."""
PROFILE_SEC = 20.0
"""What the steps of a profile may take together on a host without an accelerator, where any batch is as fast."""
NUM_CLIPS = 24
"""Clips that are decoded for a profile, after one that warms up."""


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """What one clip takes in the steps of a training run, loading left out.

    Attributes:
        wall_sec: Seconds on the clock.
        processor_sec: Seconds of computing, over all cores of the host.
        batch_size: Clips of the steps that were measured.
        device: Where, such as ``cpu`` or ``NVIDIA H200``.
        memory_gb: Memory of the accelerator, in 10^9 bytes; 0 where there is none.
        is_host: Whether the host's own cores train.
    """

    wall_sec: float
    processor_sec: float
    batch_size: int
    device: str
    memory_gb: float
    is_host: bool


def measure_step(recipe: Recipe, *, num_classes: int, most: int) -> StepTime:
    """Run some steps of a recipe's training on random pixels, on one device of this machine.

    Weights are random whatever the recipe starts from, and nothing is left behind.

    Args:
        recipe: With the model filled in.
        num_classes: Classes of the classifier.
        most: Clips of a step; fewer are taken where they do not fit, or where they would take too long on a host.

    Raises:
        UserError: The recipe cannot be trained here, or not even one clip fits.
    """
    changed = {"train.batch_size": most, "train.accumulate": 1, "train.sync_bn": False, "weights": ""}
    recipe = recipe.with_fields(changed | {"schedule.epoch_clips": 0, "data.balance": "none"})
    with torch.random.fork_rng():
        return launch(Engine, Compute(precision=recipe.train.first_precision), _steps, recipe, num_classes, most)


def _steps(engine: Engine, recipe: Recipe, num_classes: int, most: int) -> StepTime:
    classes = [f"class {number}" for number in range(num_classes)]
    records = [Record(str(row), "", classes[row % num_classes]) for row in range(max(most, num_classes))]
    with tempfile.TemporaryDirectory() as folder:
        run = assemble(
            engine,
            recipe,
            folder=Path(folder),
            training=Manifest.from_records(records, classes=classes, root=folder),
            validation=None,
            display=Display(Path(folder), main=False),
        )
    training_mode(run.model, recipe)
    run.steps_per_epoch = NUM_STEPS + 100  # no step is the last of an epoch, which may be a short one
    is_host = engine.device.type == "cpu"
    if is_host:
        few = min(most, 2)
        _time_step(run, few)
        size = max(1, min(most, int(PROFILE_SEC / (NUM_STEPS + 1) / _time_step(run, few)[0] * few)))
    else:
        fits = partial(fits_in_memory, engine, run.task, run.model, clip_shape(run.model, recipe))
        size = max(1, largest_fitting(fits, most=most))
    _time_step(run, size)
    times = [_time_step(run, size) for _ in range(NUM_STEPS)]
    wall, processor = (statistics.median(column) / size for column in zip(*times, strict=True))
    name, memory_gb = engine.device.type, 0.0
    if engine.device.type == "cuda":
        properties = torch.cuda.get_device_properties(engine.device)
        name, memory_gb = properties.name, properties.total_memory / 1e9
    return StepTime(
        wall_sec=wall, processor_sec=processor, batch_size=size, device=name, memory_gb=memory_gb, is_host=is_host
    )


def _time_step(run: Run, size: int) -> tuple[float, float]:
    """Seconds on the clock and of computing that one step over ``size`` random clips takes."""
    data, flow = run.recipe.data, run.recipe.data.flow_input
    channels = 3 * (flow.num_fields + 1) if flow is not None and flow.computed else run.model.in_channels
    pixels = torch.randint(256, (size, data.frames, data.crop_size, data.crop_size, channels), dtype=torch.uint8)
    labels = torch.arange(size) % run.model.num_classes
    batch = Batch(pixels.permute(0, 4, 1, 2, 3), labels, labels)
    wall, processor = time.perf_counter(), time.process_time()
    train_step(run, batch).tolist()  # an accelerator is done only when its answer is here
    return time.perf_counter() - wall, time.process_time() - processor


def measure_decoding(recipe: Recipe, manifest: Manifest) -> float:
    """Decode and augment some clips of a manifest as training would.

    Returns:
        Seconds of computing that one clip takes on one core.

    Raises:
        VideoError: A video cannot be read.
    """
    data = recipe.data
    dataset = ClipDataset(
        manifest,
        sampler=make_sampler(data),
        augmentation=make_augmentation(data),
        seed=recipe.seed,
        backend=data.backend,
        flow=data.flow_input,
    )
    rows = np.linspace(0, len(dataset) - 1, min(NUM_CLIPS, len(dataset))).astype(int).tolist()
    _ = dataset[0, rows[0]]
    start = time.process_time()
    for row in rows:
        _ = dataset[0, row]
    return (time.process_time() - start) / len(rows)


def num_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def host_memory_gb() -> float:
    """Memory of this machine, in 10^9 bytes; 0 where the system does not say."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 0.0
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
