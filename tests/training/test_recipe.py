"""A recipe is plain data that survives JSON and refuses what it cannot mean."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.errors import UserError
from kinema.specs.recipe import OptimSpec, Recipe, ScheduleSpec, TrainSpec
from kinema.training.find_recipe import RECIPES, load_recipe
from kinema.training.overrides import OVERRIDABLE, Overrides, given_fields


def test_json_gives_the_same_recipe_back() -> None:
    recipe = Recipe(
        name="all",
        options={"fold": 8, "inflation": "mean"},
        paper_scores={"top-1": 72.1},
        schedule=ScheduleSpec(kind="step", milestones=(10, 20.5), epoch_clips=1000),
    )
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_at_most_sixty_one_fields() -> None:
    assert len(Recipe(name="x").flat()) <= 61  # sixty, and the least number of steps


def test_counting_epochs_drops_the_least_number_of_steps() -> None:
    recipe = Recipe(name="x", schedule=ScheduleSpec(min_steps=200))
    assert recipe.with_fields({"optim.lr": 0.1}).schedule.min_steps == 200
    assert recipe.with_fields({"schedule.epochs": 3}).schedule.min_steps == 0
    assert recipe.with_fields({"schedule.min_steps": 50, "schedule.epochs": 3}).schedule.min_steps == 50


def test_every_field_is_documented() -> None:
    for part in (Recipe, OptimSpec, ScheduleSpec, TrainSpec):
        for field in dataclasses.fields(part):
            assert f"        {field.name}: " in (part.__doc__ or ""), f"{part.__name__}.{field.name}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optim.lr": 0.0}, "optim.lr is 0.0"),
        ({"optim.lr": "fast"}, "must be float"),
        ({"optim.optimizer": "sdg"}, "did you mean sgd"),
        ({"optim.learning_rate": 0.1}, "unknown recipe field"),
        ({"optim.momentum": 1.0}, r"optim.momentum is 1.0; it must be a number in \[0, 1\)"),
        ({"optim.nesterov": True, "optim.momentum": 0.0}, "optim.nesterov"),
        ({"schedule.epochs": 0}, "schedule.epochs is 0"),
        ({"schedule.kind": "step"}, "schedule.milestones"),
        ({"schedule.epoch_clips": -1}, "schedule.epoch_clips is -1"),
        ({"schedule.milestones": [3.0, 1.0]}, "rising order"),
        ({"train.precision": "fp8"}, "unknown precision 'fp8'"),
        ({"train.batch_size": True}, "must be int"),
        ({"train.ema_decay": 1.0}, "train.ema_decay"),
        ({"data.short_side": [256]}, "must hold 2 values"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_impossible_values_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe(name="x").with_fields(changes)


def test_unknown_json_fields_are_refused() -> None:
    values = json.loads(Recipe(name="x").to_json())
    values["optim"]["lerning_rate"] = 1
    with pytest.raises(UserError, match=r"unknown recipe field 'optim.lerning_rate'"):
        Recipe.from_dict(values)
    with pytest.raises(UserError, match="must be JSON"):
        Recipe.from_json("{")


def test_named_recipes_load() -> None:
    for name in RECIPES:
        recipe = load_recipe(name)
        assert recipe.name == name
        assert Recipe.from_json(recipe.to_json()) == recipe


def test_recipe_from_a_file_and_from_a_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import dataclasses\nfrom kinema.recipes.finetune import finetune\n"
        "def slow():\n    return dataclasses.replace(finetune(), name='slow', seed=7)\n"
        "def wrong():\n    return 3\n"
    )
    recipe = load_recipe(f"{tmp_path}/mine.py:slow")
    assert (recipe.name, recipe.seed) == ("slow", 7)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    assert load_recipe(f"{tmp_path}/recipe.json") == recipe
    with pytest.raises(UserError, match=r"must return a kinema\.Recipe, not int"):
        load_recipe(f"{tmp_path}/mine.py:wrong")
    with pytest.raises(UserError, match="no function 'fast'"):
        load_recipe(f"{tmp_path}/mine.py:fast")
    with pytest.raises(UserError, match="no such file"):
        load_recipe(f"{tmp_path}/yours.py:slow")
    with pytest.raises(UserError, match="did you mean finetune"):
        load_recipe("finetun")


def test_overrides_name_fields_of_the_recipe() -> None:
    known = Recipe(name="x").flat()
    assert set(OVERRIDABLE) <= set(known)
    assert given_fields(Overrides()) == {}
    changed = Overrides(seed=3, optim=type(Overrides().optim)(lr=0.5))
    assert given_fields(changed) == {"seed": 3, "optim.lr": 0.5}


def test_recipes_need_no_torch() -> None:
    code = "import sys, kinema.recipes as r; [r.load_recipe(name) for name in r.RECIPES]; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
