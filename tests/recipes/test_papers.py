"""The recipes say what the papers say: where training ends, where the rate drops, what the networks see."""

import json
import math
import re

import numpy as np
import pytest
import torch

from kinema import build_model
from kinema.cli.main import run
from kinema.data.sources.table import DATA_SETS, names_with_lists
from kinema.errors import UserError
from kinema.models.names import ModelName
from kinema.recipes.data_sets import DATA_SET_OF, data_set_of
from kinema.recipes.overview import HEADINGS, num_steps, recipe_lines
from kinema.specs.crop_boxes import multi_fiber_box
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol
from kinema.specs.recipe import MUST_BE_GIVEN, Recipe
from kinema.training.find_recipe import RECIPES, load_recipe
from kinema.training.initial import num_channels, preprocessing_of
from kinema.training.run import train
from kinema.training.schedule import rate_scale

PAPERS = [name for name in RECIPES if data_set_of(name)]


@pytest.mark.parametrize("name", PAPERS)
def test_recipe_is_whole(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert re.search(r", arXiv \d{4}\.\d{5}, (sections? \S+|Table \d)", recipe.citation), recipe.citation
    assert recipe.paper_scores
    assert recipe.own_scores
    flow = recipe.data.flow_input
    seen = preprocessing_of(recipe.data, Preprocessing())
    tested = protocol(recipe.protocol, seen)
    assert tested.flow == flow
    if recipe.protocol not in ("clip", "image", "dense-10x3", "uniform-2x3"):
        assert tested.crop_size == recipe.data.crop_size


def test_networks_build_with_their_options() -> None:
    recipes = [load_recipe(name) for name in PAPERS]
    different = {(recipe.model, json.dumps(recipe.options), num_channels(recipe.data)): recipe for recipe in recipes}
    with torch.device("meta"):
        for (name, _, channels), recipe in different.items():
            model = build_model(name, in_channels=channels, dropout=recipe.train.dropout, options=recipe.options)
            (first,) = model.input_keys()
            assert model.state_dict()[first].shape[1] == channels


# Steps, and the rate just before and from each step on which it drops.
ITERATIONS = {
    "two-stream-spatial": (10_000, 0.001, {4000: 1e-4, 8000: 1e-5}),
    "two-stream-temporal": (30_000, 0.005, {10_000: 5e-4, 20_000: 5e-5}),
    "two-stream-original-spatial": (20_000, 0.01, {14_000: 1e-3}),
    "two-stream-original-temporal": (80_000, 0.01, {50_000: 1e-3, 70_000: 1e-4}),
    "s3dg-kinetics": (80_000, 0.1, {60_000: 0.01, 70_000: 0.001}),
    "s3dg-something": (10_000, 0.1, {}),
    "s3dg-ucf101": (8000, 0.01, {6000: 0.001}),
    "multi-fiber-kinetics": (36_000, 0.1, {17_579: 0.01, 27_344: 0.001, 33_204: 1e-4}),
    "multi-fiber-imagenet": (360_000, 0.5, {}),
}


@pytest.mark.parametrize("name", ITERATIONS)
def test_iterations_are_the_papers(name: str) -> None:
    recipe = load_recipe(name)
    total, rate, drops = ITERATIONS[name]
    assert num_steps(recipe) == total
    per_epoch = math.ceil(recipe.schedule.epoch_clips / recipe.train.batch_size)

    def rate_at(step: int) -> float:
        return recipe.optim.lr * rate_scale(recipe.schedule, step // per_epoch + step % per_epoch / per_epoch)

    assert rate_at(0) == pytest.approx(rate)
    for step, dropped in drops.items():
        assert rate_at(step - 1) == pytest.approx(10 * dropped)
        assert rate_at(step) == pytest.approx(dropped)
    if recipe.schedule.kind == "exponential":
        assert rate_at(total) == pytest.approx(0.5 * 0.98**288)
    elif drops:
        assert rate_at(total - 1) == pytest.approx(min(drops.values()))


# Epochs, clips of an epoch (0: a pass), batch, rate, milestones.
EPOCHS: dict[tuple[str, int | None], tuple[int, int, int, float, tuple[int, ...]]] = {
    ("r2plus1d-kinetics", 48): (45, 1_000_000, 32, 0.01, (10, 20, 30, 40)),
    ("r2plus1d-sports1m", 8): (50, 1_000_000, 30, 0.01, (10, 20, 30, 40)),
    ("r2plus1d-long-clips", None): (15, 1_000_000, 32, 0.001, (4, 8, 12)),
    ("r2plus1d-ucf101", None): (15, 100_000, 32, 0.001, (4, 8, 12)),
    ("deep-analysis-mini", 8): (75, 0, 72, 0.01, ()),
    ("deep-analysis-mini", 64): (35, 0, 72, 0.01, (10, 20, 30)),
    ("deep-analysis-mini-kinetics", 8): (100, 0, 72, 0.01, ()),
    ("deep-analysis-mini-kinetics", 16): (45, 0, 72, 0.01, (15, 30, 40)),
    ("deep-analysis-mini-sync", 32): (35, 0, 36, 0.01, (10, 20, 30)),
    ("deep-analysis-full", None): (196, 0, 1024, 1.6, ()),
    ("deep-analysis-transfer-jester", None): (45, 0, 48, 0.01, ()),
    ("multi-fiber-ucf101", None): (7, 100_000, 128, 0.005, (2, 4, 6)),
}


@pytest.mark.parametrize(("name", "frames"), EPOCHS)
def test_epochs_are_the_papers(name: str, frames: int | None) -> None:
    recipe = load_recipe(name, frames=frames)
    schedule = recipe.schedule
    found = (schedule.epochs, schedule.epoch_clips, recipe.train.batch_size, recipe.optim.lr, schedule.milestones)
    assert found == EPOCHS[name, frames]
    assert recipe.data.frames == (frames or recipe.data.frames)


def test_full_protocol_warms_up_and_ends_at_zero() -> None:
    recipe = load_recipe("deep-analysis-full")
    rates = [recipe.optim.lr * rate_scale(recipe.schedule, epoch) for epoch in (0, 17, 34, 115, 196)]
    assert rates == pytest.approx([0.01, (0.01 + 1.6) / 2, 1.6, 0.8, 0.0])


def test_later_stages_go_on_from_earlier_ones() -> None:
    assert load_recipe("deep-analysis-mini").weights == "imagenet"
    assert load_recipe("deep-analysis-mini", frames=16).weights == MUST_BE_GIVEN
    assert load_recipe("r2plus1d-kinetics", frames=32).weights == ""
    with pytest.raises(UserError, match=r"r2plus1d-long-clips goes on from a trained network; .* --weights"):
        train(recipe="r2plus1d-long-clips", data=".", quiet=True)


def test_multi_fiber_crops_are_of_square_frames() -> None:
    spec = load_recipe("multi-fiber-kinetics").data
    rng = np.random.default_rng(0)
    boxes = [multi_fiber_box((240, 320), spec, rng) for _ in range(300)]
    ratios = np.array([(box.height / 240) / (box.width / 320) for box in boxes])
    assert 0.63 < ratios.min() < 0.68
    assert 1.48 < ratios.max() < 1.58
    assert protocol("clip", preprocessing_of(spec, Preprocessing())).resize == (256, 256)


def test_papers_scores() -> None:
    temporal = load_recipe("two-stream-temporal").own_scores
    assert temporal["UCF101, with the spatial network 1:2, average of 3 splits"] == 91.4
    mini = load_recipe("deep-analysis-mini", frames=16)
    assert mini.own_scores == {"Mini-SSV2, clip top-1": 66.2, "Mini-MiT, clip top-1": 26.5}
    assert mini.with_fields({"model": "tam-resnet50"}).own_scores["Mini-SSV2, clip top-1"] == 68.6
    assert mini.with_fields({"model": "tsm-resnet50"}).own_scores == {"Mini-SSV2, clip top-1": 67.4}
    assert mini.with_fields({"model": "tam@tophalf-resnet18"}).own_scores == {}
    assert load_recipe("s3dg-kinetics").with_fields({"model": "i2d"}).own_scores == {"Kinetics-400, top-1": 67.0}


def test_papers_scores_are_those_of_the_network() -> None:
    """One recipe trains all networks of a paper; none is set beside the score of another."""
    for name in PAPERS:
        recipe = load_recipe(name)
        assert all(": " in score for score in recipe.paper_scores), name
        models = {score.partition(": ")[0] for score in recipe.paper_scores}
        assert all(str(ModelName.parse(model)) == model for model in models)
        assert recipe.with_fields({"model": "tsn-resnettiny"}).own_scores == {}
    kinetics = load_recipe("r2plus1d-kinetics")
    mc3 = {"Kinetics-400, video top-1": 62.2, "Kinetics-400, clip top-1": 50.4}
    assert kinetics.own_scores == {"Kinetics-400, video top-1": 63.9, "Kinetics-400, clip top-1": 52.4}
    assert kinetics.with_fields({"model": "mc3-vresnet18"}).own_scores == mc3
    assert kinetics.with_fields({"model": "r3d@bottom2-vresnet18"}).own_scores == mc3


def test_data_sets_are_known() -> None:
    assert set(DATA_SET_OF.values()) - set(names_with_lists()) == {"thumos15"}  # no adapter reads its lists
    assert set(DATA_SET_OF.values()) <= set(DATA_SETS)
    for name in RECIPES:  # a score is listed beside the data set that it was measured on
        if "THUMOS15" in str(load_recipe(name).paper_scores):
            assert data_set_of(name) == "thumos15"
    assert data_set_of("two-stream-original-spatial") == "thumos15"
    assert data_set_of("two-stream-spatial") == "ucf101"
    assert data_set_of("deep-analysis-mini-mit") == "mini-mit"
    assert load_recipe("deep-analysis-mini-mit", frames=16).own_scores == {"Mini-MiT, clip top-1": 26.5}
    assert {name for name in RECIPES if not data_set_of(name)} == {"finetune", "scratch", "demo"}
    assert data_set_of("deep-analysis-mini-kinetics") == "mini-kinetics-ibm"
    assert data_set_of("multi-fiber-imagenet-wide") == "imagenet"


def test_recipes_verb(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["recipes"]) == 0
    printed = capsys.readouterr().out
    for line in recipe_lines():
        assert re.search(rf"^ *{re.escape(line.name)} .* {re.escape(line.protocol)} ", printed, flags=re.MULTILINE)
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["recipes"]) == 0
    narrow = capsys.readouterr().out
    assert "s3dg-kinetics " in narrow
    assert HEADINGS.protocol not in narrow
    assert run(["recipes", "s3dg-ucf101"]) == 0
    page = capsys.readouterr().out
    assert "--weights RUN" in page
    assert "8,000 steps of 48 clips" in page
    assert "the paper has UCF101, average of 3 splits: 96.8 %" in page
    assert run(["recipes", "s3dg-ucf101", "--json"]) == 0
    assert Recipe.from_json(capsys.readouterr().out) == load_recipe("s3dg-ucf101")
    assert run(["recipes", "s3d-ucf101"]) == 1
    assert "did you mean s3dg-ucf101" in capsys.readouterr().err
