"""Training a run longer than it was planned: reproducible, resumable, with the best checkpoint kept."""

from pathlib import Path

import pytest
import torch
from test_resume import assert_same_state, record_steps, timeless

from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.specs.recipe import Recipe
from kinema.training.resuming import rate_note
from kinema.training.run import train
from kinema.training.runs import list_runs
from kinema.training.stopping import TrainingStopped
from kinema.weights.checkpoint import Checkpoint


def test_a_finished_run_is_returned_as_it_is(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    before = {path: path.read_bytes() for path in run_folder.iterdir()}
    again = train(resume=run_folder)
    assert again == first
    assert {path: path.read_bytes() for path in run_folder.iterdir()} == before
    said = capfd.readouterr().err
    assert f"{run_folder} is finished, all 2 epochs are done; to train longer: kinema train --resume" in said
    assert said.endswith("--epochs 4\n")


def test_longer_in_one_go_or_stopped_and_resumed(
    shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("whole", "stopped"):
        train(data=shapes, recipe=tiny_recipe, out=tmp_path / name, quiet=True)
    whole = train(resume=tmp_path / "whole", epochs=4, quiet=True)
    assert len(whole.history) == 4
    assert whole.recipe.schedule.epochs == 4
    record_steps(monkeypatch, stop_after=7)  # in the last epoch
    with pytest.raises(TrainingStopped):
        train(resume=tmp_path / "stopped", epochs=4, quiet=True)
    monkeypatch.undo()
    result = train(resume=tmp_path / "stopped", quiet=True)
    assert timeless(result.history) == timeless(whole.history)
    assert_same_state(tmp_path / "stopped" / "last.ckpt", tmp_path / "whole" / "last.ckpt")
    rates = [row["lr"] for row in whole.history]
    assert rates[2] > rates[1]  # the cosine spans four epochs now
    assert rates[3] < rates[2]
    (summary,) = list_runs(tmp_path / "whole")
    assert (summary.state, summary.num_epochs, summary.recipe.schedule.epochs) == ("finished", 4, 4)


def test_the_best_checkpoint_stays(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    recipe = tiny_recipe.with_fields({"train.monitor": "loss", "optim.lr": 1e-9, "train.ema_decay": 0.0})
    first = train(data=shapes, recipe=recipe, out=run_folder, quiet=True)
    weights = Checkpoint.read(run_folder / "best.ckpt").state_dict
    path = run_folder / "last.ckpt"
    last = Checkpoint.read(path)
    last.training.position["best"]["val_loss"] = 0.0  # nothing can be better
    last.write(path)
    result = train(resume=run_folder, epochs=3, quiet=True)
    assert result.best["epoch"] == first.best["epoch"]
    assert all(torch.equal(weights[name], kept) for name, kept in _best(run_folder).items())


def _best(folder: Path) -> dict[str, torch.Tensor]:
    return Checkpoint.read(folder / "best.ckpt").state_dict


def test_patience_counts_anew(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    recipe = tiny_recipe.with_fields({"train.patience": 1, "schedule.epochs": 9, "optim.lr": 1e-9})
    short = train(data=shapes, recipe=recipe, out=run_folder, quiet=True)
    assert len(short.history) == 2
    longer = train(resume=run_folder, epochs=10, quiet=True)
    assert len(longer.history) == 3


def test_as_many_epochs_are_done_already(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    with pytest.raises(UserError, match="has trained 2 epochs already; give more than that, such as --epochs 4"):
        train(resume=run_folder, epochs=1, quiet=True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "the cosine now spans 20 epochs, so the learning rate rises from 0 to 0.05 and reaches 0 at the end"),
        ({"schedule.kind": "constant"}, "the learning rate goes on at 0.1 (constant)"),
        (
            {"schedule.kind": "step", "schedule.milestones": (5.0, 15.0)},
            "the learning rate goes on at 0.01 (step) and reaches 0.001 at the end",
        ),
    ],
)
def test_what_happens_to_the_rate(fields: dict, said: str) -> None:
    before = Recipe(name="x").with_fields({"optim.lr": 0.1, "schedule.epochs": 10, **fields})
    after = before.with_fields({"schedule.epochs": 20})
    assert rate_note(before, after, 10.0) == f"training until epoch 20 instead of 10: {said}"
