"""A run that goes on with another number of processes: the same clips in each step, the same losses and weights."""

import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from inside_run import act_in_steps, change_input, running

from kinema.compute.engine import Engine
from kinema.compute.launch import launch
from kinema.data.loader import Batch
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.specs.compute import Compute
from kinema.specs.recipe import Recipe
from kinema.training import loop
from kinema.training.assemble import assemble
from kinema.training.display import Display
from kinema.training.state import Run, restore
from kinema.weights.checkpoint import Checkpoint

PLAIN = {
    "train.precision": "fp64",
    "train.frozen_bn": True,  # statistics of a batch differ between the parts of a batch; everything else must not
    "train.dropout": 0.0,
    "train.mixup": 0.0,
    "train.batch_size": 9,
    "train.validate_on": "none",
}
NUM_VIDEOS = 46  # five batches of 9 and one of a single clip, which two processes cannot share
KINDS = {"passes": {}, "epochs of 50 clips": {"schedule.epoch_clips": 50}}


def some_steps(
    engine: Engine, recipe: Recipe, videos: Manifest, folder: Path, *, resume: bool, stop_after: int = 0
) -> list[list[int]]:
    """Do so many steps of a run, or all that are left; the videos of each step."""
    folder.mkdir(parents=True, exist_ok=True)
    display = Display(folder, main=engine.is_main, quiet=True)
    run = assemble(engine, recipe, folder=folder, training=videos, validation=None, display=display)
    if resume:
        restore(run, Checkpoint.read(folder / "last.ckpt"))
    own = []

    def note(run: Run, batch: Batch, sums: torch.Tensor) -> None:
        own.append(batch.indices.tolist() if sums[2] else [])
        assert sums[2] == len(own[-1])
        run.stop.signal = signal.SIGTERM if len(own) == stop_after else 0

    with pytest.MonkeyPatch.context() as patched, running(run):
        act_in_steps(patched, after=note)
        assert loop.fit(run) == (signal.SIGTERM if stop_after else 0)
    return [sorted(index for part in parts for index in part) for parts in zip(*engine.gather(own), strict=True)]


def with_a_bad_loss(engine: Engine, recipe: Recipe, videos: Manifest, folder: Path) -> list[str]:
    """The errors of all processes when the second has a loss that is no number in its third step."""
    steps = []

    def broken(clips: torch.Tensor) -> torch.Tensor:
        steps.append(None)
        return clips * (math.nan if (engine.rank, len(steps)) == (1, 3) else 1)

    with pytest.MonkeyPatch.context() as patched:
        change_input(patched, broken)
        with pytest.raises(UserError) as caught:
            some_steps(engine, recipe, videos, folder, resume=False)
    return engine.gather(str(caught.value))


def two_processes(engine: Engine, recipe: Recipe, videos: Manifest, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Everything that needs two processes, since starting them takes longer than the rest."""
    torch.set_num_threads(1)
    in_parts = recipe.with_fields({"train.accumulate": 2})
    steps = {
        kind: some_steps(engine, in_parts.with_fields(changes), videos, folder / kind, resume=True, stop_after=5)
        for kind, changes in KINDS.items()
    }
    return steps, with_a_bad_loss(engine, recipe, videos, folder / "bad")


ONE, TWO = (Compute(devices=devices, device="cpu", precision="fp64") for devices in (1, 2))


def test_one_two_one(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    training = [row for row, record in enumerate(shapes) if record.split == "train"]
    videos = shapes.select(indices=training[:NUM_VIDEOS])
    recipe = tiny_recipe.with_fields(PLAIN)
    recipes = {kind: recipe.with_fields(changes) for kind, changes in KINDS.items()}

    def alone(kind: str, folder: str, **options: Any) -> list[list[int]]:
        return launch(
            Engine, ONE, lambda engine: some_steps(engine, recipes[kind], videos, tmp_path / folder, **options)
        )

    whole = {kind: alone(kind, f"whole {kind}", resume=False) for kind in KINDS}
    assert [len(step) for step in whole["passes"]] == [9, 9, 9, 9, 9, 1] * 2
    assert [len(step) for step in whole["epochs of 50 clips"]] == [9] * 12
    first = {kind: alone(kind, kind, resume=False, stop_after=4) for kind in KINDS}
    middle, errors = launch(Engine, TWO, two_processes, recipe, videos, tmp_path)
    for kind, steps in whole.items():
        last = alone(kind, kind, resume=True)
        assert first[kind] + middle[kind] + last == steps, kind
        one, other = (Checkpoint.read(tmp_path / folder / "last.ckpt") for folder in (f"whole {kind}", kind))
        histories = [saved.training.position["history"] for saved in (one, other)]
        for expected, row in zip(*histories, strict=True):
            assert row["train_loss"] == pytest.approx(expected["train_loss"], abs=1e-8)
            assert row["train_top1"] == expected["train_top1"]
        for name, tensor in one.state_dict.items():
            torch.testing.assert_close(other.state_dict[name], tensor, atol=1e-8, rtol=0)
        log = (tmp_path / kind / "log.txt").read_text()
        assert "resuming with 2 instead of 1 process: the clips of every step stay the same" in log
        assert "resuming with 1 instead of 2 processes" in log
    assert errors[0] == errors[1]
    assert errors[0].startswith("the loss is nan in epoch 1, step 3 (")
    ids = [videos[index].video_id for index in whole["passes"][2]]
    named = [video for video in ids if video in errors[0]]
    assert len(named) == 4  # of nine, those of the second process
    assert Checkpoint.read(tmp_path / "bad" / "last.ckpt").training.position["num_steps"] == 0
