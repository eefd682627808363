"""What lists of recipes show of each: a line for tables, and a page for one recipe."""

from __future__ import annotations

import re
from typing import NamedTuple

from kinema.recipes.data_sets import data_set_of
from kinema.specs.recipe import MUST_BE_GIVEN, Recipe
from kinema.training.find_recipe import RECIPES, load_recipe


class RecipeRow(NamedTuple):
    """A recipe in a table, every cell as text.

    Attributes:
        name: Of the recipe.
        model: Model name, or a dash where the command line chooses it.
        data: Data set that it is meant for.
        clip: Frames of a clip, their distance, and flow where it is flow.
        length: Epochs, and what an epoch is.
        batch: Clips of a step.
        lr: Peak learning rate.
        start: Initial weights.
        protocol: How it is tested.
        score: The paper's score of this model that comes first.
        source: arXiv number of the paper.
    """

    name: str
    model: str
    data: str
    clip: str
    length: str
    batch: str
    lr: str
    start: str
    protocol: str
    score: str
    source: str


HEADINGS = RecipeRow(
    "recipe",
    "model",
    "data set",
    "clip",
    "epochs x clips",
    "batch",
    "rate",
    "from",
    "protocol",
    "paper's score",
    "arXiv",
)


def recipe_lines() -> list[RecipeRow]:
    """The line of every recipe that has a name, in the order of ``RECIPES``."""
    return [line_of(load_recipe(name)) for name in RECIPES]


def line_of(recipe: Recipe) -> RecipeRow:
    """Summarise a named recipe in a line."""
    return RecipeRow(
        name=recipe.name,
        model=recipe.model or "-",
        data=data_set_of(recipe.name) or "-",
        clip=clip_text(recipe),
        length=f"{recipe.schedule.epochs} x {shortened(recipe.schedule.epoch_clips) or 'data'}",
        batch=str(recipe.train.batch_size),
        lr=f"{recipe.optim.lr:g}",
        start=start_text(recipe),
        protocol=recipe.protocol,
        score=first_score(recipe),
        source="".join(re.findall(r"arXiv (\d+\.\d+)", recipe.citation)[-1:]),
    )


def clip_text(recipe: Recipe) -> str:
    """Say what a clip is: ``32 dense, every 2nd``; flow by the name of ``data.flow``."""
    data = recipe.data
    distance = "/".join(map(str, sorted(set(data.strides)) or [data.stride]))
    text = f"{data.frames} {data.sampling}" + (f" / {distance}" if distance != "1" else "")
    return f"{text}, {data.flow}" if data.flow else text


def start_text(recipe: Recipe) -> str:
    """Say which weights the recipe starts from."""
    names = {"": "random", MUST_BE_GIVEN: "given"}
    return names.get(recipe.weights, recipe.weights)


def first_score(recipe: Recipe) -> str:
    """The paper's first score for the recipe's model; a dash without one."""
    return next((score_text(score) for score in recipe.own_scores.values()), "-")


def score_text(score: float | list[float]) -> str:
    """Write a score, or those of several splits, as ``79.8 / 77.3 / 77.8``."""
    return " / ".join(f"{one:g}" for one in score) if isinstance(score, list) else f"{score:g}"


def shortened(count: int) -> str:
    """Write a number of clips shortly: 256,000 as ``256k``, 1,024,000 as ``1.024M``; nothing for 0."""
    if not count:
        return ""
    return f"{count / 1e6:g}M" if count >= 1_000_000 else f"{count / 1e3:g}k"


def num_steps(recipe: Recipe) -> int:
    """Optimiser steps of the whole recipe; 0 where they depend on the size of the data set."""
    return recipe.schedule.epochs * -(-recipe.schedule.epoch_clips // recipe.train.batch_size)
