"""The arithmetic of a plan: from a recipe, a set of videos and a speed to clips, steps, hours and bytes.

Everything here is an estimate. ``kinema.planning.plan`` finds the numbers that go in.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from kinema.planning.limits import PASSES, WEIGHT_BYTES, device_batch, width
from kinema.planning.training_load import TrainingLoad
from kinema.specs.data import DataSpec
from kinema.specs.recipe import OptimSpec, Recipe
from kinema.training.batches import steps_per_epoch, with_enough_steps

PEAK = 1.5
"""Highest measured peak of activations over what is counted here, see docs/planning.md."""
FLOW_BYTES_PER_PIXEL = {
    method: num_bytes / (320 * 240)
    for method, num_bytes in {"tvl1": 7100, "farneback": 10600, "dis": 8500, "any": 10600}.items()
}
"""Of a stored field of x and y in JPEG, by method. Measured at 320 x 240, see docs/flow.md."""
FLOW_PIXELS = 340 * 256
"""Of a field whose short side is 256, the largest that is stored unless more is asked for."""


@dataclass(frozen=True, kw_only=True)
class VideoCounts:
    """The videos of a plan; 0 stands for what is not known.

    Attributes:
        name: Of the set.
        num_train: To train on.
        num_val: To validate on after every epoch.
        num_test: To test on at the end.
        num_classes: Classes.
        mean_frames: Frames of a video.
        num_all: All videos of the set.
        gb: Size of all files, in 10^9 bytes.
    """

    name: str
    num_train: int
    num_val: int = 0
    num_test: int = 0
    num_classes: int = 400
    mean_frames: float = 0.0
    num_all: int = 0
    gb: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """What it takes to read a clip.

    Attributes:
        sec_per_clip: Seconds that one core decodes and augments.
        explanation: Where the figure comes from.
    """

    sec_per_clip: float
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast one device trains.

    Attributes:
        sec_per_clip: Of training, loading included where the machine itself was measured.
        device: Its name.
        memory_gb: Its memory, in 10^9 bytes; 0 when it is not known.
        explanation: How the figure came about.
        source: Where the rates come from that it rests on; empty where it was measured.
    """

    sec_per_clip: float
    device: str
    memory_gb: float
    explanation: str
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Estimated memory of a device in training, in 10^9 bytes.

    Attributes:
        weights: Parameters, their average where one is kept, and running statistics.
        gradients: Of the parameters that learn.
        optimizer: Momentum, or AdamW's two moments.
        activations: What the clips of one pass keep for the backward pass.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def fixed(self) -> float:
        """What does not depend on the number of clips."""
        return self.weights + self.gradients + self.optimizer

    @property
    def total(self) -> float:
        """All of it."""
        return self.fixed + self.activations

    def parts_that_fit(self, device_gb: float) -> int:
        """Into how many parts a device must split its clips of a step, with ``PEAK`` to spare; 0 when none fits."""
        free = device_gb - self.fixed
        return math.ceil(PEAK * self.activations / free) if free > 0 else 0


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What one run of a recipe needs.

    Attributes:
        model: The network.
        frames: Frames of a clip.
        size: Height and width of a clip, in pixels.
        epochs: Epochs of the schedule.
        num_steps: Optimiser steps.
        num_clips: Clips that are trained on, repeats counted.
        num_val_clips: Clips that are validated on, over all epochs.
        batch_size: Clips of a step.
        accumulate: Gradient accumulation: parts into which each device splits its clips of a step.
        device_batch: Clips that one device holds at once.
        clips_per_sec: Training speed of all devices together.
        train_hours: Of the steps.
        val_hours: Of validation.
        decode_sec: Seconds that one core takes to decode and augment a clip.
        cores_per_node: Cores of a node that decode without pause to keep its devices fed.
        memory: Of a device.
        checkpoint_gb: Of ``best.ckpt`` and ``last.ckpt``, in 10^9 bytes.
    """

    model: str
    frames: int
    size: int
    epochs: int
    num_steps: int
    num_clips: int
    num_val_clips: int
    batch_size: int
    accumulate: int
    device_batch: int
    clips_per_sec: float
    train_hours: float
    val_hours: float
    decode_sec: float
    cores_per_node: float
    memory: Memory
    checkpoint_gb: float

    @property
    def hours(self) -> float:
        """Of training and validation."""
        return self.train_hours + self.val_hours

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self) | {"hours": self.hours, "memory": asdict(self.memory) | {"total": self.memory.total}}


def plan_stage(
    recipe: Recipe,
    videos: VideoCounts,
    load: TrainingLoad,
    speed: Speed,
    decoding: Decoding,
    *,
    devices: int,
    nodes: int,
) -> RunPlan:
    """Work out what a run needs.

    Args:
        recipe: With the model filled in.
        videos: How many there are.
        load: Counts for one clip.
        speed: Of one device; validation takes a third of the time of training.
        decoding: What it takes to read a clip.
        devices: Of a node.
        nodes: Machines.
    """
    world, sec_per_clip = devices * nodes, speed.sec_per_clip
    recipe = with_enough_steps(videos.num_train, recipe, world)
    schedule, batch = recipe.schedule, recipe.train.batch_size
    num_steps = schedule.epochs * steps_per_epoch(videos.num_train, recipe, world)
    num_clips = num_steps * batch if schedule.epoch_clips else schedule.epochs * videos.num_train
    num_validations = -(-schedule.epochs // recipe.train.validate_every) if recipe.train.validate_on != "none" else 0
    num_val_clips = videos.num_val * num_validations
    clips = device_batch(recipe, world)
    return RunPlan(
        model=recipe.model,
        frames=recipe.data.frames,
        size=recipe.data.crop_size,
        epochs=schedule.epochs,
        num_steps=num_steps,
        num_clips=num_clips,
        num_val_clips=num_val_clips,
        batch_size=batch,
        accumulate=recipe.train.accumulate,
        device_batch=clips,
        clips_per_sec=world / sec_per_clip,
        train_hours=num_clips * sec_per_clip / world / 3600,
        val_hours=num_val_clips * sec_per_clip / PASSES / world / 3600,
        decode_sec=decoding.sec_per_clip,
        cores_per_node=devices * decoding.sec_per_clip / sec_per_clip,
        memory=memory(recipe, load, device_batch=clips),
        checkpoint_gb=checkpoint_gb(recipe, load),
    )


def memory(recipe: Recipe, load: TrainingLoad, *, device_batch: int) -> Memory:
    """Estimate the memory of a device: what is kept, without work space, copies in transit and fragments."""
    wide = 2 if recipe.train.precision == "fp64" else 1
    copies = 2 if recipe.train.ema_decay else 1
    numbers = wide * WEIGHT_BYTES / 1e9
    return Memory(
        weights=(copies * load.parameters + load.buffers) * numbers,
        gradients=load.trained * numbers,
        optimizer=_moments(recipe.optim) * load.trained * numbers,
        activations=device_batch * load.saved_bytes * width(recipe) / 1e9,
    )


def checkpoint_gb(recipe: Recipe, load: TrainingLoad) -> float:
    """Size of a run's two checkpoints: weights in one, weights with average and optimiser in the other."""
    weights = load.parameters + load.buffers
    average = weights if recipe.train.ema_decay else 0
    return (2 * weights + average + _moments(recipe.optim) * load.trained) * WEIGHT_BYTES / 1e9


def _moments(optim: OptimSpec) -> int:
    """Numbers that the optimiser keeps for each parameter that learns."""
    return 2 if optim.optimizer == "adamw" else int(optim.momentum > 0)


def flow_store_gb(data: DataSpec, videos: VideoCounts) -> float:
    """Size of the stored flow that a recipe reads, a field for each frame, in 10^9 bytes; 0 when it reads none."""
    flow = data.flow_input
    if flow is None or flow.computed:
        return 0.0
    return videos.num_all * videos.mean_frames * FLOW_PIXELS * FLOW_BYTES_PER_PIXEL[flow.method] / 1e9
