"""``kinema recipes``: the named recipes, with the papers' settings and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from kinema.recipes.overview import RecipeRow
    from kinema.specs.recipe import Recipe


NARROW = ("name", "model", "score")
"""Columns for terminals that are too narrow for all of them."""


def recipes(name: Annotated[str, tyro.conf.Positional] = "", *, frames: int | None = None, json: bool = False) -> None:
    """List the recipes that kinema train knows by name, or show one in full.

    Args:
        name: A recipe to show in full: its name, file.py:function (which runs that file), or a recipe.json.
        frames: Frames of a clip, for recipes that differ with them.
        json: Print JSON: one line for each recipe, or the one recipe.
    """
    from kinema.training.find_recipe import RECIPES, load_recipe

    if name:
        recipe = load_recipe(name, frames=frames)
        print(recipe.to_json()) if json else _show(recipe, frames)
    elif json:
        import json as json_module

        for known in RECIPES:
            print(json_module.dumps(load_recipe(known).to_dict()))
    else:
        _table()


def _table() -> None:
    """Print the whole table, or its most important columns where the terminal is too narrow for it."""
    from rich.console import Console

    from kinema.recipes.overview import HEADINGS, recipe_lines

    console, lines = Console(), recipe_lines()
    whole = _columns(HEADINGS._fields, HEADINGS, lines)
    if console.measure(whole, options=console.options.update(width=1000)).maximum > console.width:
        whole = _columns(NARROW, HEADINGS, lines)
        whole.caption = "wider terminals show more columns, kinema recipes NAME one in full"
    console.print(whole)


def _columns(fields: Sequence[str], headings: RecipeRow, lines: list[RecipeRow]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title="Recipes: kinema train MODEL --recipe NAME", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption = "kinema recipes NAME shows one in full"
    for field in fields:
        is_number = field in ("length", "batch", "lr", "score")
        table.add_column(getattr(headings, field), justify="right" if is_number else "left", no_wrap=True)
    for line in lines:
        table.add_row(*[getattr(line, field) for field in fields])
    return table


def _show(recipe: Recipe, frames: int | None) -> None:
    """Print one recipe: what it is for, how to start it, every field, and the paper's scores."""
    import dataclasses

    from kinema.recipes.data_sets import data_set_of
    from kinema.recipes.overview import num_steps, score_text, start_text
    from kinema.specs.recipe import MUST_BE_GIVEN
    from kinema.training.find_recipe import RECIPES

    data = data_set_of(recipe.name) if recipe.name in RECIPES else ""
    more = "" if frames is None else f" --frames {frames}"
    more += " --weights RUN" if recipe.weights == MUST_BE_GIVEN else ""
    print(recipe.name)
    if recipe.citation:
        print(f"  {recipe.citation}")
    print(f"  kinema train {recipe.model or 'MODEL'} --recipe {recipe.name} --data {data or 'my'}.csv{more}")
    print(f"  starts from {start_text(recipe)} weights")
    if num_steps(recipe):
        print(f"  {num_steps(recipe):,} steps of {recipe.train.batch_size} clips")
    for name, score in recipe.own_scores.items():
        print(f"  the paper has {name}: {score_text(score)} %")
    print(f"\n{'':2}{'model':24}{recipe.model or '-'}\n{'':2}{'options':24}{recipe.options}")
    print(f"{'':2}{'protocol':24}{recipe.protocol}\n{'':2}{'seed':24}{recipe.seed}")
    for part in ("data", "optim", "schedule", "train"):
        print(f"{part}")
        for name, value in dataclasses.asdict(getattr(recipe, part)).items():
            print(f"{'':2}{name:24}{value}")
