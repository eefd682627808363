"""Recipes made small enough for a test: two steps of two small clips; everything else stays the paper's."""

from __future__ import annotations

from typing import Any

from kinema.models.names import ModelName
from kinema.specs.recipe import Recipe

SIDE = 32
REAL_SIDE = 64
"""Inception's stages need so many pixels."""


def cut_down(recipe: Recipe, *, tiny: bool = True) -> Recipe:
    """Two steps of two clips.

    Args:
        recipe: One of the papers'.
        tiny: Put ``resnettiny`` in the place of the backbone and keep the modules; clips are smaller too.
    """
    side = SIDE if tiny else REAL_SIDE
    scale = side / recipe.data.crop_size

    def scaled(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(-(-int(size * scale * 100) // 100) for size in sizes)

    changes: dict[str, Any] = {
        "weights": "",
        "data.frames": min(recipe.data.frames, 4),
        "data.crop_size": side,
        "data.resize": scaled(recipe.data.resize),
        "data.short_side": scaled(recipe.data.short_side),
        "data.num_workers": 0,
        "schedule.epochs": 1,
        "schedule.epoch_clips": 4,
        "schedule.milestones": (0.5,) if recipe.schedule.milestones else (),
        "schedule.warmup_epochs": 0.5 if recipe.schedule.warmup_epochs else 0.0,
        "train.batch_size": 2,
        "train.validate_on": "none",
        "train.save_minutes": 0.0,
    }
    if tiny:
        name = ModelName.parse(recipe.model)
        changes["model"] = f"{'+'.join(name.modules)}-resnettiny{'-tp' if name.temporal_pooling else ''}"
        changes["options"] = {key: value for key, value in recipe.options.items() if key == "inflation"}
    return recipe.with_fields(changes)


def flow_store_of(recipe: Recipe) -> tuple[str, float] | None:
    """Method and bound of the stores that a recipe reads; None for RGB."""
    flow = recipe.data.flow_input
    return (flow.method, flow.bound) if flow else None
