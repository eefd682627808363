"""A plan of training runs: finds speeds and sizes by measuring or in tables, and says what it has assumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.models.names import ModelName
from kinema.planning.data_sheets import find_data_sheet
from kinema.planning.estimate import RunPlan, Speed, VideoCounts, flow_store_gb, plan_stage
from kinema.planning.limits import EFFICIENCY, PASSES, device_batch
from kinema.planning.speed import decoding_of, measured_speed, table_speed
from kinema.planning.training_load import training_load
from kinema.planning.videos import find_videos
from kinema.recipes.data_sets import data_set_of
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol
from kinema.specs.recipe import Recipe
from kinema.specs.sampling import All
from kinema.training.find_recipe import load_recipe
from kinema.training.initial import preprocessing_of

FEW_CLIPS = 4
"""Below so many clips a device is likely to wait for its orders; a guess."""
THIS = "this"
"""Stands for the machine that the plan is made on."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Runs, one after the other, and what they need together.

    Attributes:
        recipe: Name of the recipe.
        gpu: What trains.
        precision: Of the runs.
        devices: Of a node.
        nodes: Machines.
        device_gb: Memory of a device, in 10^9 bytes; 0 when it is not known.
        videos: What the runs train on.
        stages: The runs.
        test_protocol: How the last run is tested.
        test_clips: Views that this takes; 0 when it is not known.
        test_hours: Of the test.
        storage_gb: What lies on disk, in 10^9 bytes by name; what is not known is left out.
        assumptions: Where each number comes from, and what is taken for granted.
    """

    recipe: str
    gpu: str
    precision: str
    devices: int
    nodes: int
    device_gb: float
    videos: VideoCounts
    stages: list[RunPlan]
    test_protocol: str
    test_clips: int
    test_hours: float
    storage_gb: dict[str, float]
    assumptions: list[str]

    @property
    def hours(self) -> float:
        """Of all runs and the test."""
        return sum(stage.hours for stage in self.stages) + self.test_hours

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        stages = [stage.to_dict() for stage in self.stages]
        return {"is_estimate": True, **dataclasses.asdict(self), "stages": stages, "hours": self.hours}


def plan(
    recipe: str | Recipe | Sequence[Recipe],
    model: str = "",
    *,
    gpu: str = THIS,
    devices: int = 1,
    nodes: int = 1,
    data: str | Path | Manifest | None = None,
    dataset: str = "",
    num_videos: int = 0,
    efficiency: float = EFFICIENCY,
    decode_ms: float = 0.0,
) -> Plan:
    """Estimate what training with a recipe takes: clips, steps, hours, cores, memory and storage; nothing is trained.

    Args:
        recipe: What ``kinema.load_recipe`` takes, a recipe, or several for the stages of progressive training.
        model: Model name, where the recipe has none or another one is wanted.
        gpu: ``this``, to measure the machine it runs on, or a device of ``kinema.planning.data_sheets.DEVICES``.
        devices: Of a node.
        nodes: Machines.
        data: Manifest, its CSV or a folder to train on; decoding is measured on it.
        dataset: Name of a public data set, instead; by default the one that a recipe of a paper, given by name, is for.
        num_videos: Number of training videos, instead.
        efficiency: The part of a device's limit that is reached, above 0 and up to 1, for devices of the table.
        decode_ms: Milliseconds that one core takes for a clip; 0 measures or assumes.

    Raises:
        UserError: Something given is unknown or out of range, or says too little.
    """
    _check(devices=devices, nodes=nodes, efficiency=efficiency, decode_ms=decode_ms)
    if isinstance(recipe, str) and not (data or dataset or num_videos):
        dataset = data_set_of(recipe)
    recipes = _with_model(recipe, model)
    device = None if gpu == THIS else find_data_sheet(gpu)
    videos, manifest, source = find_videos(recipes[0], data=data, dataset=dataset, num_videos=num_videos)
    world, stages, assumptions, speed = devices * nodes, [], [source], None
    for stage in recipes:
        load = training_load(stage, num_classes=videos.num_classes)
        decoding = decoding_of(stage, manifest, decode_ms=decode_ms)
        if device is not None:
            speed = table_speed(stage, load, device, world=world, efficiency=efficiency)
        else:
            speed = measured_speed(stage, load, videos, world=world, decode_sec=decoding.sec_per_clip)
        stages.append(plan_stage(stage, videos, load, speed, decoding, devices=devices, nodes=nodes))
        prefix = f"{stage.data.frames} frames: " if len(recipes) > 1 else ""
        assumptions += [prefix + speed.explanation, *filter(None, (speed.source, decoding.explanation))]
    assert speed is not None, "a plan has at least one run"
    assumptions += _always(recipes, measured=device is None, world=world)
    return _plan_of(recipes, videos, stages, speed, assumptions, devices=devices, nodes=nodes)


def _plan_of(
    recipes: Sequence[Recipe],
    videos: VideoCounts,
    stages: list[RunPlan],
    speed: Speed,
    assumptions: Sequence[str],
    *,
    devices: int,
    nodes: int,
) -> Plan:
    """The runs together, with the test of the last and what lies on disk."""
    test_clips, test_hours = _test(recipes[-1], videos, sec_per_clip=speed.sec_per_clip / (devices * nodes))
    return Plan(
        recipe=recipes[0].name,
        gpu=speed.device,
        precision=recipes[0].train.first_precision,
        devices=devices,
        nodes=nodes,
        device_gb=speed.memory_gb,
        videos=videos,
        stages=stages,
        test_protocol=recipes[-1].protocol,
        test_clips=test_clips,
        test_hours=test_hours,
        storage_gb=_storage(recipes[-1], videos, stages),
        assumptions=list(dict.fromkeys(assumptions)),
    )


def _with_model(recipe: str | Recipe | Sequence[Recipe], model: str) -> list[Recipe]:
    """The runs, each with its model filled in."""
    loaded = load_recipe(recipe) if isinstance(recipe, str) else recipe
    recipes = [loaded] if isinstance(loaded, Recipe) else list(loaded)
    name = model or recipes[0].model
    if not name:
        raise UserError(
            f"{recipes[0].name} leaves the model open; name one: kinema plan {recipes[0].name} tsm-resnet50"
        )
    return [stage.with_fields({"model": str(ModelName.parse(name))}) for stage in recipes]


def _check(*, devices: int, nodes: int, efficiency: float, decode_ms: float) -> None:
    if devices < 1 or nodes < 1:
        raise UserError(f"devices is {devices} and nodes is {nodes}; both must be at least 1")
    if not 0 < efficiency <= 1:
        raise UserError(f"efficiency is {efficiency}; it is a fraction of the device's limit, above 0 and up to 1")
    if decode_ms < 0:
        raise UserError(f"decode-ms is {decode_ms}; give milliseconds, or 0 to have them measured or assumed")


def _test(recipe: Recipe, videos: VideoCounts, *, sec_per_clip: float) -> tuple[int, float]:
    """Clips and hours of the test that the recipe names; views of another size cost in proportion to their pixels."""
    views = protocol(recipe.protocol, preprocessing_of(recipe.data, Preprocessing()))
    is_whole = isinstance(views.sampler, All)
    frames = videos.mean_frames if is_whole else getattr(views.sampler, "frames", 1)
    num_clips = videos.num_test * len(views.crops) * getattr(views.sampler, "views", 1)
    size = frames / recipe.data.frames * (views.crop_size / recipe.data.crop_size) ** 2
    return (num_clips, num_clips * size * sec_per_clip / PASSES / 3600) if frames else (0, 0.0)


def _storage(recipe: Recipe, videos: VideoCounts, stages: Sequence[RunPlan]) -> dict[str, float]:
    sizes = {
        "videos": videos.gb,
        "stored flow": flow_store_gb(recipe.data, videos),
        "checkpoints": sum(stage.checkpoint_gb for stage in stages),
    }
    return {name: size for name, size in sizes.items() if size}


def _always(recipes: Sequence[Recipe], *, measured: bool, world: int) -> list[str]:
    """What every plan takes for granted."""
    assumptions = ["a backward pass takes as long as two forward passes; validation and test are forward passes"]
    if world > 1:
        assumptions.append(f"{world} devices are {world} times as fast as one: exchanging gradients takes no time")
    if not measured:
        assumptions.append("decoding keeps up, given the cores that are named")
        smallest = min(device_batch(recipe, world) for recipe in recipes)
        if smallest < FEW_CLIPS:
            assumptions.append(f"{smallest} clips at once keep a device busy, which is doubtful")
        if any(recipe.optim.frozen_stages or recipe.optim.linear_probe for recipe in recipes):
            assumptions.append("frozen layers cost as much as if they were trained")
        if any(recipe.data.flow_input is not None and recipe.data.flow_input.computed for recipe in recipes):
            assumptions.append("computing flow while training takes no time")
    assumptions.append(
        "memory is what is kept between operations, without work space and fragments: measured peaks were 1.0 to 1.5 "
        "times as high (docs/planning.md)"
    )
    return assumptions
