"""``kinema plan``: what a recipe will take, before it is run."""

from __future__ import annotations

import json as json_module
import textwrap
from typing import TYPE_CHECKING, Annotated

import tyro

from kinema.cli.train import clip_lengths
from kinema.recipes.data_sets import data_set_of
from kinema.training.find_recipe import load_recipe
from kinema.training.overrides import Overrides, given_fields

if TYPE_CHECKING:
    from kinema.planning.estimate import RunPlan
    from kinema.planning.plan import Plan


def plan(
    recipe: tyro.conf.Positional[str],
    model: tyro.conf.Positional[str] = "",
    *,
    gpu: str = "this",
    devices: int = 1,
    nodes: int = 1,
    data: str = "",
    dataset: str = "",
    videos: int = 0,
    frames: str = "",
    batch: int = 0,
    efficiency: float = 0.5,
    decode_ms: float = 0.0,
    json: bool = False,
    overrides: Annotated[Overrides, tyro.conf.arg(name="")] = Overrides(),  # noqa: B008  (frozen)
) -> None:
    """Estimate what training with a recipe takes: clips, steps, hours, cores, memory and storage.

    Nothing is trained. With --gpu this, the default, some steps of the real loop run on this machine first. The options
    with a dot change fields of the recipe, as in kinema train.

    Args:
        recipe: Name of a recipe, file.py:function, or the recipe.json of a run.
        model: Model name, where the recipe has none or another one is wanted.
        gpu: this, or a device that data sheets describe: v100, t4, rtx3090, rtx4090, l40s, a100-40gb, a100, h100, h200
            or b200.
        devices: Devices of a machine.
        nodes: Machines.
        data: Manifest CSV or folder to train on; decoding is measured on it.
        dataset: A public data set instead, such as kinetics400, something-v2 or ucf101; the recipe's own when nothing
            is said.
        videos: Number of training videos instead.
        frames: Frames of a clip; several for progressive training, such as 8,16,32,64.
        batch: Clips of one step over all devices, instead of the recipe's.
        efficiency: Fraction of the limit by data sheet that is reached.
        decode_ms: Milliseconds that one core takes to decode a clip, instead of measuring or assuming.
        json: Print JSON instead of tables.
        overrides: Fields of the recipe to change.
    """
    changes = given_fields(overrides) | ({"train.batch_size": batch} if batch else {})
    recipes = [load_recipe(recipe, length).with_fields(changes) for length in clip_lengths(frames)]
    from kinema.planning.plan import plan as make_plan  # after mistakes in the recipe, for it takes seconds

    made = make_plan(
        recipes,
        model,
        gpu=gpu,
        devices=devices,
        nodes=nodes,
        data=data or None,
        dataset=dataset if dataset or data or videos else data_set_of(recipe),
        num_videos=videos,
        efficiency=efficiency,
        decode_ms=decode_ms,
    )
    if json:
        print(json_module.dumps(made.to_dict()))
    else:
        _print(made)


def _print(plan: Plan) -> None:
    from rich.console import Console
    from rich.table import Table

    out = Console(highlight=False)
    machines = f"{plan.nodes} machines with {plan.devices} x {plan.gpu} each" if plan.nodes > 1 else ""
    videos = f", {plan.videos.name}" if plan.videos.name else ""
    out.print(f"Estimate: {plan.recipe}, {plan.stages[0].model}{videos}", markup=False)
    out.print(f"on {machines or f'{plan.devices} x {plan.gpu}'}, {plan.precision}", markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("clip", "epochs", "clips", "steps", "batch", "each", "clips/s", "training", "validate"):
        table.add_column(heading, justify="left" if heading == "clip" else "right", no_wrap=True)
    for stage in plan.stages:
        table.add_row(
            f"{stage.frames} x {stage.size}",
            str(stage.epochs),
            _count(stage.num_clips),
            f"{stage.num_steps:,}",
            f"{stage.batch_size:,}",
            str(stage.device_batch),
            _rate(stage.clips_per_sec),
            _duration(stage.train_hours),
            _duration(stage.val_hours) if stage.num_val_clips else "-",
        )
    out.print(table)
    for line in _lines(plan):
        out.print(_wrapped(line, out.width, 10), markup=False)
    out.print("\nAssumed:")
    for text in plan.assumptions:
        out.print(_wrapped(f"- {text}", out.width, 2), markup=False)


def _wrapped(text: str, width: int, indent: int) -> str:
    return textwrap.fill(text, width, subsequent_indent=" " * indent, break_on_hyphens=False)


def _lines(plan: Plan) -> list[str]:
    """What stands below the table: totals, cores, memory, storage."""
    lines = []
    if plan.test_clips:
        lines.append(f"test      {_duration(plan.test_hours)}: {_count(plan.test_clips)} views ({plan.test_protocol})")
    world = plan.devices * plan.nodes
    each = f", {plan.hours * world:,.0f} device hours" if world > 1 else ""
    lines.append(f"together  {_duration(plan.hours)}{each}")
    busiest = max(plan.stages, key=lambda stage: stage.cores_per_node)
    cores = f"{busiest.cores_per_node:.3g} cores of each machine keep its devices fed"
    lines.append(f"decoding  {cores} ({1000 * busiest.decode_sec:.3g} ms a clip)")
    lines += [_memory_line(plan, stage) for stage in plan.stages]
    storage = [f"{name} {_size(size)}" for name, size in plan.storage_gb.items()]
    storage += [] if "videos" in plan.storage_gb else ["the size of the videos is not known"]
    return [*lines, f"storage   {', '.join(storage)}"]


def _memory_line(plan: Plan, stage: RunPlan) -> str:
    memory = stage.memory
    clips = f"{stage.device_batch} clips of {stage.frames} frames keep {_size(memory.activations)}"
    text = f"memory    {_size(memory.total)} of a device: {clips}, weights and optimizer {_size(memory.fixed)}"
    parts = memory.parts_that_fit(plan.device_gb)
    if not plan.device_gb or parts == 1:
        return text
    if not parts:
        return f"{text}; a device has {plan.device_gb:.0f} GB, which is too little"
    much = "is more than" if memory.total > plan.device_gb else "may be more than"
    return f"{text}; that {much} its {plan.device_gb:.0f} GB: --train.accumulate {parts * stage.accumulate}"


def _count(number: float) -> str:
    for unit, size, least in ((" G", 1e9, 1e9), (" M", 1e6, 1e6), (" k", 1e3, 1e4)):
        if number >= least:
            return f"{number / size:.4g}{unit}"
    return f"{number:,.0f}"


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _duration(hours: float) -> str:
    if hours >= 100:
        return f"{hours / 24:.1f} days"
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 60 else f"{3600 * hours:.1f} s"


def _size(gb: float) -> str:
    return f"{gb / 1000:.1f} TB" if gb >= 1000 else f"{gb:.1f} GB" if gb >= 1 else f"{1000 * gb:.0f} MB"
