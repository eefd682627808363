"""Finding a recipe: by its name, in a file of the user, or from an earlier run."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path

from kinema.errors import UserError, unknown_name
from kinema.specs.recipe import Recipe

RECIPES = {
    "finetune": "kinema.recipes.finetune:finetune",
    "scratch": "kinema.recipes.scratch:scratch",
    "demo": "kinema.demo.recipe:demo",
    "two-stream-spatial": "kinema.recipes.two_stream:two_stream_spatial",
    "two-stream-temporal": "kinema.recipes.two_stream:two_stream_temporal",
    "two-stream-spatial-googlenet": "kinema.recipes.two_stream:two_stream_spatial_googlenet",
    "two-stream-temporal-googlenet": "kinema.recipes.two_stream:two_stream_temporal_googlenet",
    "two-stream-original-spatial": "kinema.recipes.two_stream:two_stream_original_spatial",
    "two-stream-original-temporal": "kinema.recipes.two_stream:two_stream_original_temporal",
    "r2plus1d-kinetics": "kinema.recipes.r2plus1d:r2plus1d_kinetics",
    "r2plus1d-long-clips": "kinema.recipes.r2plus1d:r2plus1d_long_clips",
    "r2plus1d-kinetics-34": "kinema.recipes.r2plus1d:r2plus1d_kinetics_34",
    "r2plus1d-kinetics-34-flow": "kinema.recipes.r2plus1d:r2plus1d_kinetics_34_flow",
    "r2plus1d-sports1m": "kinema.recipes.r2plus1d:r2plus1d_sports1m",
    "r2plus1d-sports1m-flow": "kinema.recipes.r2plus1d:r2plus1d_sports1m_flow",
    "r2plus1d-sports1m-r3d": "kinema.recipes.r2plus1d:r2plus1d_sports1m_r3d",
    "r2plus1d-sports1m-2d": "kinema.recipes.r2plus1d:r2plus1d_sports1m_2d",
    "r2plus1d-kinetics-from-sports1m": "kinema.recipes.r2plus1d:r2plus1d_kinetics_from_sports1m",
    "r2plus1d-kinetics-from-sports1m-flow": "kinema.recipes.r2plus1d:r2plus1d_kinetics_from_sports1m_flow",
    "r2plus1d-ucf101": "kinema.recipes.r2plus1d:r2plus1d_ucf101",
    "r2plus1d-ucf101-flow": "kinema.recipes.r2plus1d:r2plus1d_ucf101_flow",
    "r2plus1d-hmdb51": "kinema.recipes.r2plus1d:r2plus1d_hmdb51",
    "r2plus1d-hmdb51-flow": "kinema.recipes.r2plus1d:r2plus1d_hmdb51_flow",
    "s3dg-kinetics": "kinema.recipes.s3dg:s3dg_kinetics",
    "s3dg-mini-kinetics": "kinema.recipes.s3dg:s3dg_mini_kinetics",
    "s3dg-kinetics-flow": "kinema.recipes.s3dg:s3dg_kinetics_flow",
    "s3dg-something": "kinema.recipes.s3dg:s3dg_something",
    "s3dg-ucf101": "kinema.recipes.s3dg:s3dg_ucf101",
    "s3dg-hmdb51": "kinema.recipes.s3dg:s3dg_hmdb51",
    "deep-analysis-mini": "kinema.recipes.deep_analysis:mini",
    "deep-analysis-mini-kinetics": "kinema.recipes.deep_analysis:mini_kinetics",
    "deep-analysis-mini-mit": "kinema.recipes.deep_analysis:mini_mit",
    "deep-analysis-mini-sync": "kinema.recipes.deep_analysis:mini_sync",
    "deep-analysis-full": "kinema.recipes.deep_analysis:full",
    "deep-analysis-full-uniform": "kinema.recipes.deep_analysis:full_uniform",
    "deep-analysis-full-scratch": "kinema.recipes.deep_analysis:full_scratch",
    "deep-analysis-ssv2": "kinema.recipes.deep_analysis:full_ssv2",
    "deep-analysis-moments": "kinema.recipes.deep_analysis:full_moments",
    "deep-analysis-tsn-tp": "kinema.recipes.deep_analysis:full_tsn_pooled",
    "deep-analysis-i3d-se": "kinema.recipes.deep_analysis:full_i3d_se",
    "deep-analysis-transfer-ucf101": "kinema.recipes.deep_analysis:transfer_ucf101",
    "deep-analysis-transfer-hmdb51": "kinema.recipes.deep_analysis:transfer_hmdb51",
    "deep-analysis-transfer-jester": "kinema.recipes.deep_analysis:transfer_jester",
    "deep-analysis-transfer-mini-ssv2": "kinema.recipes.deep_analysis:transfer_mini_ssv2",
    "multi-fiber-imagenet": "kinema.recipes.multi_fiber:imagenet",
    "multi-fiber-imagenet-12-fibers": "kinema.recipes.multi_fiber:imagenet_12_fibers",
    "multi-fiber-imagenet-24-fibers": "kinema.recipes.multi_fiber:imagenet_24_fibers",
    "multi-fiber-imagenet-no-multiplexer": "kinema.recipes.multi_fiber:imagenet_no_multiplexer",
    "multi-fiber-imagenet-wide": "kinema.recipes.multi_fiber:imagenet_wide",
    "multi-fiber-imagenet-resnet18": "kinema.recipes.multi_fiber:imagenet_resnet18",
    "multi-fiber-imagenet-mfresnet18": "kinema.recipes.multi_fiber:imagenet_mfresnet18",
    "multi-fiber-imagenet-resnext26": "kinema.recipes.multi_fiber:imagenet_resnext26",
    "multi-fiber-imagenet-mobilenetv2": "kinema.recipes.multi_fiber:imagenet_mobilenetv2",
    "multi-fiber-imagenet-mfmobilenetv2": "kinema.recipes.multi_fiber:imagenet_mfmobilenetv2",
    "multi-fiber-kinetics": "kinema.recipes.multi_fiber:kinetics",
    "multi-fiber-ucf101": "kinema.recipes.multi_fiber:ucf101",
    "multi-fiber-hmdb51": "kinema.recipes.multi_fiber:hmdb51",
}
"""Name of each recipe, with the module and function that return it; text, so that listing names imports none."""


def load_recipe(recipe: str, frames: int | None = None) -> Recipe:
    """Load a recipe by name, or from a function in a Python file.

    Args:
        recipe: A name of ``RECIPES``; ``file.py:function``, where the function returns a Recipe and takes nothing but
            possibly ``frames`` (the file is run, so it must be one that you trust); or the ``recipe.json`` of a run.
        frames: Frames of a clip. Functions that take ``frames`` decide what else changes with it; in other recipes it
            is the clip alone. None leaves it to the recipe.

    Raises:
        UserError: When there is no such recipe, or the function does not return one.
    """
    if recipe.endswith(".json"):
        if not Path(recipe).is_file():
            raise UserError(f"{recipe}: no such recipe file")
        return _with_frames(Recipe.from_json(Path(recipe).read_text(encoding="utf-8")), frames)
    location = RECIPES.get(recipe, recipe)
    module_name, _, function_name = location.rpartition(":")
    if module_name.endswith(".py"):
        module = run_file(Path(module_name))
    elif recipe in RECIPES:
        module = importlib.import_module(module_name)
    else:
        raise unknown_name("recipe", recipe, RECIPES, "A file of yours is given as file.py:function.")
    function = function_of(module, function_name, module_name)
    asked = frames is not None and "frames" in inspect.signature(function).parameters
    result = function(frames=frames) if asked else function()
    if not isinstance(result, Recipe):
        raise UserError(f"{recipe} must return a kinema.Recipe, not {type(result).__name__}")
    return _with_frames(result, frames)


def _with_frames(recipe: Recipe, frames: int | None) -> Recipe:
    return recipe if frames is None else recipe.with_fields({"data.frames": frames})


def function_of(module: object, name: str, source: str) -> Callable[..., object]:
    """A function of a module.

    Raises:
        UserError: The module has none of that name.
    """
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(f"{source} has no function {name!r}")
    return function


def run_file(path: Path) -> object:
    """Import a Python file of the user under a name of its own; it must be one that you trust.

    Raises:
        UserError: There is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(f"kinema_recipe_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
