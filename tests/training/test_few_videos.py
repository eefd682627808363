"""Runs on a handful of videos: enough steps, and the epoch that is kept when many score the same."""

import json
from pathlib import Path

import pytest
from inside_run import act_in_validation

from kinema.cli.main import run as command
from kinema.data.manifest import Manifest
from kinema.specs.recipe import Recipe
from kinema.training.batches import steps_per_epoch, with_enough_steps
from kinema.training.run import train
from kinema.training.runs import list_runs
from kinema.weights.checkpoint import Checkpoint


@pytest.mark.parametrize("num_videos", [2, 7, 24, 60, 159, 160, 161, 300, 10_000])
@pytest.mark.parametrize("world", [1, 2])
def test_enough_steps(tiny_recipe: Recipe, num_videos: int, world: int) -> None:
    recipe = tiny_recipe.with_fields({"schedule.epochs": 20, "schedule.min_steps": 200, "train.batch_size": 16})
    own = 20 * steps_per_epoch(num_videos, recipe, world)
    longer = with_enough_steps(num_videos, recipe, world)
    steps = 20 * steps_per_epoch(num_videos, longer, world)
    if own >= 200:
        assert longer == recipe
    else:
        assert steps == 200
        assert longer == recipe.with_fields({"schedule.epoch_clips": 160})
    assert with_enough_steps(num_videos, longer, world) == longer


def test_a_short_run_is_lengthened_and_says_so(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    rows = [row for row, record in enumerate(shapes) if record.split == "train"][::8]  # six videos of six classes
    recipe = tiny_recipe.with_fields(
        {"schedule.epochs": 2, "schedule.min_steps": 5, "train.batch_size": 4, "train.validate_on": "none"}
    )
    result = train(data=shapes.select(indices=rows), recipe=recipe, out=run_folder, quiet=True)
    assert len(result.history) == 2
    assert Checkpoint.read(run_folder / "last.ckpt").training.position["num_steps"] == 6  # three in each
    assert json.loads((run_folder / "recipe.json").read_text())["schedule"]["epoch_clips"] == 12
    assert "6 videos are few: each of the 2 epochs takes 12 clips" in (run_folder / "log.txt").read_text()


def test_who_counts_epochs_means_epochs(shapes: Manifest, tmp_path: Path) -> None:
    """``--epochs 1`` with the default recipe is one pass over the videos, however few they are."""
    shapes.write(tmp_path / "shapes.csv")
    words = ["train", "tsn-resnettiny", "--data", str(tmp_path / "shapes.csv"), "--out", str(tmp_path / "run")]
    words += ["--epochs", "1", "--data.crop-size", "32", "--data.frames", "2", "--data.num-workers", "0"]
    assert command(words) == 0
    written = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert (written["schedule"]["min_steps"], written["schedule"]["epoch_clips"]) == (0, 0)


def test_of_equal_scores_the_smaller_loss_is_kept(
    shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On five validation videos most epochs score the same; the earliest of them is hardly the best."""
    top1, losses = [0.6, 0.8, 0.8, 0.8, 0.6], [0.9, 0.7, 0.5, 0.6, 0.1]
    answers = iter([{"loss": loss, "top1": right} for loss, right in zip(losses, top1, strict=True)])
    act_in_validation(monkeypatch, lambda validate: next(answers))
    rows = [row for row, record in enumerate(shapes) if record.split != "test"][::6]
    recipe = tiny_recipe.with_fields({"schedule.epochs": 5})
    result = train(data=shapes.select(indices=rows), recipe=recipe, out=tmp_path / "run", quiet=True)
    assert result.best["epoch"] == 3
    assert Checkpoint.read(tmp_path / "run" / "best.ckpt").scores["epoch"] == 3
    assert [run.best["epoch"] for run in list_runs(tmp_path)] == [3]


def test_fine_tuning_without_pretrained_weights_says_so(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.with_fields({"schedule.epochs": 1, "optim.base_lr_scale": 0.1, "train.validate_on": "none"})
    rows = range(0, 80, 8)
    train("tsn-resnettiny", shapes.select(indices=rows), recipe=recipe, out=tmp_path / "tiny", quiet=True)
    assert "starts from random weights here" in (tmp_path / "tiny" / "log.txt").read_text()
    own = recipe.with_fields({"optim.base_lr_scale": 1.0})
    train("tsn-resnettiny", shapes.select(indices=rows), recipe=own, out=tmp_path / "own", quiet=True)
    assert "random weights" not in (tmp_path / "own" / "log.txt").read_text()
