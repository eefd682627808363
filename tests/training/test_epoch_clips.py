"""Epochs of a number of clips: always full batches, an order without gaps, resumed and shared out exactly."""

import signal
from itertools import product
from pathlib import Path

import pytest
import torch
from inside_run import act_in_steps

from kinema.data.manifest import Manifest
from kinema.specs.recipe import Recipe
from kinema.training.batches import RunOrder, steps_per_epoch
from kinema.training.position import Position
from kinema.training.run import train
from kinema.training.stopping import TrainingStopped
from kinema.weights.checkpoint import Checkpoint

TWELVE = {
    "schedule.epoch_clips": 13,  # three steps of 5 clips from 12 videos: two of six steps span a border of passes
    "train.batch_size": 5,
    "train.validate_on": "none",
}


@pytest.fixture(scope="module")
def twelve(shapes: Manifest) -> Manifest:
    rows = [row for row, record in enumerate(shapes) if record.split == "train"]
    return shapes.select(indices=rows[:12])


@pytest.mark.parametrize(("epoch_clips", "batch_size"), list(product([1, 11, 12, 13, 24, 30], [1, 4, 5, 12, 17])))
def test_a_run_can_be_entered_at_any_step(
    twelve: Manifest, tiny_recipe: Recipe, epoch_clips: int, batch_size: int
) -> None:
    changes = {"schedule.epoch_clips": epoch_clips, "train.batch_size": batch_size, "schedule.epochs": 3}
    recipe = tiny_recipe.with_fields(changes)
    steps = steps_per_epoch(len(twelve), recipe, 1)
    assert (steps - 1) * batch_size < epoch_clips <= steps * batch_size
    whole = list(RunOrder(twelve, recipe, Position(), rank=0, world=1))
    assert len(whole) == 3 * steps
    clips = [clip for batch in whole for clip in batch]
    assert len(set(clips)) == len(clips) == 3 * steps * batch_size  # no (pass, video) comes twice
    for epoch, step in product(range(3), range(steps)):
        order = RunOrder(twelve, recipe, Position(epoch=epoch, step_in_epoch=step), rank=0, world=1)
        assert list(order) == whole[epoch * steps + step :]
        assert len(order) == len(whole) - epoch * steps - step


def test_resuming_around_the_borders_of_passes(
    twelve: Manifest, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe.with_fields(TWELVE)
    whole = train(data=twelve, recipe=recipe, out=tmp_path / "whole", quiet=True)
    assert [row["epoch"] for row in whole.history] == [1, 2]
    stops = iter([2, 3, 5])
    stop_at = next(stops)

    def stop(run, batch, sums):
        nonlocal stop_at
        assert len(batch.labels) == 5
        if run.position.num_steps + 1 == stop_at:
            run.stop.signal, stop_at = signal.SIGTERM, next(stops, 0)

    act_in_steps(monkeypatch, after=stop)
    with pytest.raises(TrainingStopped):
        train(data=twelve, recipe=recipe, out=tmp_path / "parts", quiet=True)
    for _ in range(2):
        with pytest.raises(TrainingStopped):
            train(resume=tmp_path / "parts", quiet=True)
    resumed = train(resume=tmp_path / "parts", quiet=True)
    assert [row["train_loss"] for row in resumed.history] == [row["train_loss"] for row in whole.history]
    one, other = (Checkpoint.read(tmp_path / name / "last.ckpt") for name in ("whole", "parts"))
    for name, tensor in one.state_dict.items():
        assert torch.equal(tensor, other.state_dict[name]), name


def test_two_processes_compute_what_one_does(twelve: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    """Batches of 5 clips are 3 and 2; with balance and without statistics of a batch."""
    plain = {"train.precision": "fp64", "train.frozen_bn": True, "train.dropout": 0.0, "train.mixup": 0.0}
    recipe = tiny_recipe.with_fields({**TWELVE, **plain, "data.balance": "sampler"})
    one = train(data=twelve, recipe=recipe, out=tmp_path / "one", device="cpu", quiet=True)
    two = train(data=twelve, recipe=recipe, out=tmp_path / "two", device="cpu", devices=2, quiet=True)
    for first, second in zip(one.history, two.history, strict=True):
        assert second["train_loss"] == pytest.approx(first["train_loss"], abs=1e-8)
        assert second["train_top1"] == first["train_top1"]


def test_a_batch_may_be_larger_than_the_set(twelve: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    changes = {"schedule.epoch_clips": 20, "train.batch_size": 20, "schedule.epochs": 1}
    recipe = tiny_recipe.with_fields({**TWELVE, **changes})
    run = train(data=twelve, recipe=recipe, out=run_folder, quiet=True)
    assert Checkpoint.read(run.path / "last.ckpt").training.position["num_steps"] == 1
