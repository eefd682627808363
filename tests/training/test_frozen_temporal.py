"""Temporal parts inside frozen stages: they learn where they start as the identity, and old runs stay as they were."""

import json
from pathlib import Path

import pytest
import torch

from kinema import build_model
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.specs.recipe import Recipe
from kinema.training.frozen_temporal import OPTION, with_choice
from kinema.training.parameters import build_optimizer, freeze, training_mode
from kinema.training.run import train
from kinema.weights.checkpoint import Checkpoint

FROZEN = {"optim.frozen_stages": 2, "train.mixup": 0.0}


def changed_by_a_step(model: ActionModel, recipe: Recipe) -> set[str]:
    """Tensors of the frozen stages that a step of training changes."""
    freeze(model, recipe)
    training_mode(model, recipe)
    inside = {
        id(value)
        for stage in model.stage_names()[:2]
        for value in model.stage(stage).state_dict(keep_vars=True).values()
    }
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = build_optimizer(model, recipe.optim)
    model(torch.randn(4, 3, 4, 32, 32)).square().sum().backward()
    optimizer.step()
    named = model.state_dict(keep_vars=True)
    return {name for name, value in named.items() if id(value) in inside and not torch.equal(value, before[name])}


def chosen(name: str, tiny_recipe: Recipe, *, is_new: bool = True, noise: bool = False, **changes):
    torch.manual_seed(0)
    recipe = tiny_recipe.with_fields({"model": name, **FROZEN, **changes})
    model = build_model(name, num_classes=3, options=recipe.options)
    if noise:
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    notes: list[str] = []
    return model, with_choice(model, recipe, is_new=is_new, note=notes.append), notes


@pytest.mark.parametrize(
    ("name", "learning"),
    [
        ("tam-resnettiny", {"layer1.0.mix.taps"}),
        ("conv1d-resnettiny", {"layer1.0.mix.conv.weight"}),
        ("tam+se-resnettiny", {"layer1.0.mix.taps"}),
    ],
)
def test_parts_that_start_as_the_identity_learn(name: str, learning: set[str], tiny_recipe: Recipe) -> None:
    model, recipe, notes = chosen(name, tiny_recipe)
    assert recipe.options == {OPTION: True} == model.options
    assert "learn all the same" in notes[0]
    changed = changed_by_a_step(model, recipe)
    assert learning <= changed
    assert all(any(part in key for part in (".mix", ".branch_end")) for key in changed)  # nothing else, no statistic


def test_norms_of_learning_parts_learn_unless_all_norms_are_frozen(tiny_recipe: Recipe) -> None:
    options = {"nl_blocks": ["layer1.0"]}
    model, recipe, _ = chosen("nl-resnettiny", tiny_recipe, options=options)
    changed = changed_by_a_step(model, recipe)
    assert {"layer1.0.after.norm.weight", "layer1.0.after.norm.running_mean"} <= changed
    assert all(".after." in key for key in changed)
    model, recipe, _ = chosen("nl-resnettiny", tiny_recipe, options=options, **{"train.frozen_bn": True})
    assert not any(".norm." in key for key in changed_by_a_step(model, recipe))


@pytest.mark.parametrize("why", ["an earlier run", "trained parts", "the user"])
def test_otherwise_they_are_frozen(why: str, tiny_recipe: Recipe) -> None:
    options = {OPTION: False} if why == "the user" else {}
    model, recipe, notes = chosen(
        "tam-resnettiny", tiny_recipe, is_new=why != "an earlier run", noise=why == "trained parts", options=options
    )
    assert recipe.options == options
    assert changed_by_a_step(model, recipe) == set()
    assert notes == [] if why == "an earlier run" else "are frozen too" in notes[0]


def test_the_user_may_train_trained_parts(tiny_recipe: Recipe) -> None:
    model, recipe, _ = chosen("tam-resnettiny", tiny_recipe, noise=True, options={OPTION: True})
    assert changed_by_a_step(model, recipe) == {"layer1.0.mix.taps", "layer1.1.mix.taps"}
    with pytest.raises(UserError, match="train_temporal must be true or false, got 'yes'"):
        build_model("tam-resnettiny", options={OPTION: "yes"})


@pytest.mark.parametrize(
    ("name", "told"),
    [("tsm-resnettiny", "shifted in time"), ("i3d-resnettiny", "kernels over time"), ("tsn-resnettiny", "")],
)
def test_what_cannot_learn_is_said(name: str, told: str, tiny_recipe: Recipe) -> None:
    model, recipe, notes = chosen(name, tiny_recipe)
    assert recipe.options == {}
    assert [told in note for note in notes] == ([True] if told else [])
    assert changed_by_a_step(model, recipe) == set()


def test_nothing_is_said_or_chosen_where_nothing_is_frozen(tiny_recipe: Recipe) -> None:
    for changes in ({"optim.frozen_stages": 0}, {"optim.linear_probe": True}):
        _, recipe, notes = chosen("tam-resnettiny", tiny_recipe, **changes)
        assert (recipe.options, notes) == ({}, [])


def taps_of(run: Path) -> torch.Tensor:
    return Checkpoint.read(run / "last.ckpt").state_dict["layer1.0.mix.taps"]


def one_epoch_more(run: Path, *, options: dict) -> None:
    saved = json.loads((run / "recipe.json").read_text())
    saved["schedule"]["epochs"] += 1
    (run / "recipe.json").write_text(json.dumps({**saved, "options": options}))
    train(resume=run, quiet=True)


def test_a_run_saves_its_choice(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    recipe = tiny_recipe.with_fields({"model": "tam-resnettiny", **FROZEN, "schedule.epochs": 1})
    run = train(data=shapes, recipe=recipe, out=run_folder, quiet=True)
    assert run.recipe.options == {OPTION: True}
    assert json.loads((run_folder / "recipe.json").read_text())["options"] == {OPTION: True}
    assert "learn all the same" in (run_folder / "log.txt").read_text()
    before = taps_of(run_folder)
    one_epoch_more(run_folder, options={OPTION: True})
    assert not torch.equal(taps_of(run_folder), before)


def test_a_run_of_before_goes_on_as_it_was(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    """Its recipe says nothing, and its taps are the identity: frozen, they never were anything else."""
    recipe = tiny_recipe.with_fields({"model": "tam-resnettiny", **FROZEN, "schedule.epochs": 1})
    train(data=shapes, recipe=recipe.with_fields({"options": {OPTION: False}}), out=run_folder, quiet=True)
    one_epoch_more(run_folder, options={})
    assert torch.equal(taps_of(run_folder), torch.tensor([0.0, 1.0, 0.0])[:, None].expand_as(taps_of(run_folder)))
    assert Checkpoint.read(run_folder / "last.ckpt").training.position["epoch"] == 2
