"""``kinema recipes``: the named recipes, with the papers' settings and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from kinema.training.recipe import Recipe


def recipes(name: Annotated[str, tyro.conf.Positional] = "", *, frames: int = 0, json: bool = False) -> None:
    """List the recipes that kinema train knows by name, or show one in full.

    Args:
        name: A recipe to show in full: its name, file.py:function (which runs that file), or a recipe.json.
        frames: Frames of a clip, for recipes that differ with them.
        json: Print JSON: one line for each recipe, or the one recipe.
    """
    from kinema.training.find_recipe import RECIPES, load_recipe

    if name:
        recipe = load_recipe(name, frames=frames or None)
        print(recipe.to_json()) if json else _show(recipe)
    elif json:
        import json as json_module

        for known in RECIPES:
            print(json_module.dumps(load_recipe(known).to_dict()))
    else:
        _table()


def _table() -> None:
    from rich.console import Console
    from rich.table import Table

    from kinema.recipes.overview import HEADINGS, recipe_lines

    table = Table(title="Recipes: kinema train MODEL --recipe NAME", caption="kinema recipes NAME shows one in full")
    texts = ("name", "model", "data", "clip", "protocol", "source")
    for field, heading in HEADINGS._asdict().items():
        table.add_column(
            heading,
            justify="left" if field in texts else "right",
            no_wrap=field == "name",
            overflow="fold",
        )
    for line in recipe_lines():
        table.add_row(*line)
    Console().print(table)


def _show(recipe: Recipe) -> None:
    """Print one recipe: what it is for, how to start it, every field, and the paper's scores."""
    import dataclasses

    from kinema.recipes.overview import data_set_of, num_steps, start_text
    from kinema.training.find_recipe import RECIPES

    data = data_set_of(recipe.name) if recipe.name in RECIPES else ""
    needs_weights = " --weights RUN" if start_text(recipe).startswith("to be given") else ""
    print(recipe.name)
    if recipe.citation:
        print(f"  {recipe.citation}")
    print(f"  kinema train {recipe.model or 'MODEL'} --recipe {recipe.name} --data {data or 'my'}.csv{needs_weights}")
    print(f"  starts from: {start_text(recipe)}")
    if num_steps(recipe):
        print(f"  {num_steps(recipe):,} steps of {recipe.train.batch_size} clips")
    for name, score in recipe.own_scores.items():
        print(f"  the paper has {name}: {score} %")
    print(f"\n{'':2}{'model':24}{recipe.model or '-'}\n{'':2}{'options':24}{recipe.options}")
    print(f"{'':2}{'protocol':24}{recipe.protocol}\n{'':2}{'seed':24}{recipe.seed}")
    for part in ("data", "optim", "schedule", "train"):
        print(f"{part}")
        for name, value in dataclasses.asdict(getattr(recipe, part)).items():
            print(f"{'':2}{name:24}{value}")
