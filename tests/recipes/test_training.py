"""Every recipe trains: two steps of a form that is cut down to seconds, or, slowly, of the papers' own networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cut_down import cut_down, flow_store_of

from kinema import load
from kinema.cli.main import run
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.run import evaluate
from kinema.recipes.data_sets import data_set_of
from kinema.specs.recipe import Recipe
from kinema.training.find_recipe import RECIPES, load_recipe
from kinema.training.run import train
from kinema.weights.checkpoint import Checkpoint

Stores = dict[tuple[str, float], Manifest]


def parts_used(recipe: Recipe) -> str:
    """What a cut-down recipe puts to use; rates and dropout are numbers like any other."""
    flat = recipe.flat()
    told = ("name", "citation", "paper_scores", "protocol", "optim.lr", "optim.weight_decay", "train.dropout")
    return json.dumps({name: value for name, value in flat.items() if name not in told})


ALL = {name: load_recipe(name) for name in RECIPES if data_set_of(name)}
TINY = {name: cut_down(recipe) for name, recipe in ALL.items()}
DIFFERENT_TINY = list({parts_used(recipe): name for name, recipe in TINY.items()}.values())
REAL = {name: cut_down(recipe, tiny=False) for name, recipe in ALL.items()}
DIFFERENT_REAL = list({parts_used(recipe): name for name, recipe in REAL.items()}.values())


def data_for(recipe: Recipe, name: str, videos: Manifest, images: Manifest, stores: Stores) -> Manifest:
    wanted = flow_store_of(recipe)
    if wanted:
        return stores[wanted]
    return images if data_set_of(name) == "imagenet" else videos


def train_two_steps(recipe: Recipe, data: Manifest, out: Path) -> None:
    result = train(data=data, recipe=recipe, out=out, device="cpu", quiet=True)
    assert np.isfinite(result.history[0]["train_loss"])
    assert Checkpoint.read(out / "last.ckpt").training.position["num_steps"] == 2


@pytest.mark.parametrize("name", DIFFERENT_TINY)
def test_recipe_trains(name: str, videos: Manifest, images: Manifest, stores: Stores, tmp_path: Path) -> None:
    train_two_steps(TINY[name], data_for(ALL[name], name, videos, images, stores), tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFERENT_REAL)
def test_the_papers_network_trains(
    name: str, videos: Manifest, images: Manifest, stores: Stores, tmp_path: Path
) -> None:
    train_two_steps(REAL[name], data_for(ALL[name], name, videos, images, stores), tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "given", "both"),
    [
        ("two-stream-temporal", ("tvl1", 15.0), "flow of bound 15 pixels, but a bound of 20 is wanted"),
        ("two-stream-temporal", ("farneback", 20.0), "flow of method 'farneback', but 'tvl1' is wanted"),
        ("r2plus1d-ucf101-flow", ("tvl1", 20.0), "flow of method 'tvl1', but 'farneback' is wanted"),
    ],
)
def test_other_flow_is_refused(name: str, given: tuple[str, float], both: str, stores: Stores, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"\.flow\.zip holds {both} \({ALL[name].data.flow}\)"):
        train(data=stores[given], recipe=TINY[name], out=tmp_path / "run", device="cpu", quiet=True)
    assert not (tmp_path / "run").exists()


def test_images_train_a_flat_network_that_starts_a_3d_one(images: Manifest, videos: Manifest, tmp_path: Path) -> None:
    flat = TINY["multi-fiber-imagenet"].with_fields({"optim.lr": 1e-12})
    train_two_steps(flat, images, tmp_path / "images")
    assert evaluate(tmp_path / "images", images, protocol="image", split="train").scores.shape == (3, 2)
    inflated = TINY["multi-fiber-kinetics"].with_fields({"optim.lr": 1e-12, "weights": str(tmp_path / "images")})
    train_two_steps(inflated, videos, tmp_path / "videos")
    before = load(tmp_path / "images").model.state_dict()["layer2.0.conv1.weight"]
    after = load(tmp_path / "videos").model.state_dict()["layer2.0.conv1.weight"]
    torch.testing.assert_close(after, before[:, :, None].expand_as(after) / 3)


def test_papers_scores_are_printed_beside_our_own(
    videos: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = TINY["r2plus1d-hmdb51"]
    full = load_recipe("r2plus1d-hmdb51")
    theirs = {name.replace(full.model, recipe.model): score for name, score in full.paper_scores.items()}
    recipe = recipe.with_fields({"paper_scores": theirs})
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    videos.write(tmp_path / "videos.csv")
    words = ["--data", f"{tmp_path}/videos.csv", "--recipe", f"{tmp_path}/recipe.json", "--out", f"{tmp_path}/run"]
    assert run(["train", *words, "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "HMDB51, from Kinetics, average of 3 splits" in printed
    assert "74.5" in printed
