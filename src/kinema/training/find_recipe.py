"""Finding a recipe: by its name, in a file of the user, or from an earlier run."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from kinema.errors import UserError, unknown_name
from kinema.training.recipe import Recipe

RECIPES = {
    "finetune": "kinema.recipes.finetune:finetune",
    "scratch": "kinema.recipes.scratch:scratch",
    "demo": "kinema.recipes.demo:demo",
}
"""Name of each recipe, with the module and function that return it; text, so that listing names imports none."""


def load_recipe(recipe: str) -> Recipe:
    """Load a recipe by name, or from a function in a Python file.

    Args:
        recipe: A name of ``RECIPES``; ``file.py:function``, where the function takes no arguments and returns a
            Recipe (the file is run, so it must be one that you trust); or the ``recipe.json`` of a run.

    Raises:
        UserError: When there is no such recipe, or the function does not return one.
    """
    if recipe.endswith(".json"):
        if not Path(recipe).is_file():
            raise UserError(f"{recipe}: no such recipe file")
        return Recipe.from_json(Path(recipe).read_text(encoding="utf-8"))
    place = RECIPES.get(recipe, recipe)
    module_name, _, function_name = place.rpartition(":")
    if module_name.endswith(".py"):
        module = _run_file(Path(module_name))
    elif recipe in RECIPES:
        module = importlib.import_module(module_name)
    else:
        raise unknown_name("recipe", recipe, RECIPES, "A file of yours is given as file.py:function.")
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UserError(f"{module_name} has no function {function_name!r}")
    result = function()
    if not isinstance(result, Recipe):
        raise UserError(f"{recipe} must return a kinema.Recipe, not {type(result).__name__}")
    return result


def _run_file(path: Path) -> object:
    """Import a Python file of the user under a name of its own."""
    if not path.is_file():
        raise UserError(f"{path}: no such recipe file")
    spec = importlib.util.spec_from_file_location(f"kinema_recipe_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
