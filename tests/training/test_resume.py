"""Stopping anywhere and resuming gives the losses and weights of a run that was never stopped, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from inside_run import act_in_steps, act_in_validation

from kinema.data.manifest import Manifest
from kinema.errors import CheckpointError, UserError
from kinema.specs.recipe import Recipe
from kinema.training.run import train
from kinema.training.stopping import TrainingStopped
from kinema.weights.checkpoint import Checkpoint

TIMES = ("seconds", "clips_per_sec", "wait_share")


def timeless(history: list[dict]) -> list[dict]:
    """The rows of a history without what the clock decides."""
    return [{name: value for name, value in row.items() if name not in TIMES} for row in history]


def record_steps(monkeypatch: pytest.MonkeyPatch, *, stop_after: int = 0) -> list[list[float]]:
    """Record loss, right answers and clips of every step; ask for a stop after so many."""
    steps = []

    def note(run, batch, sums):
        steps.append(sums.tolist())
        if len(steps) == stop_after:
            run.stop.signal = signal.SIGTERM

    act_in_steps(monkeypatch, after=note)
    return steps


def assert_same_state(one: Path, other: Path) -> None:
    """Weights, averaged weights and optimiser state of two checkpoints are the same bits."""
    first, second = Checkpoint.read(one), Checkpoint.read(other)
    for part in ("state_dict", "ema"):
        for name, tensor in getattr(first, part).items():
            assert torch.equal(tensor, getattr(second, part)[name]), f"{part} {name}"
    for index, state in first.training.optimizer["state"].items():
        momentum = second.training.optimizer["state"][index]["momentum_buffer"]
        assert torch.equal(state["momentum_buffer"], momentum)


class Whole(NamedTuple):
    """A run that nobody stops."""

    path: Path
    history: list[dict]
    steps: list[list[float]]


@pytest.fixture(scope="module")
def whole(shapes: Manifest, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Two epochs of five steps, the last of each short."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        steps = record_steps(monkeypatch)
        result = train(data=shapes, recipe=tiny_recipe, out=tmp_path_factory.mktemp("whole") / "run", quiet=True)
    assert [step[2] for step in steps] == [10, 10, 10, 10, 8] * 2
    return Whole(result.path, timeless(result.history), steps)


@pytest.mark.parametrize("stop_after", [1, 4, 5, 8])
def test_any_step(
    whole: Whole,
    shapes: Manifest,
    tiny_recipe: Recipe,
    run_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_after: int,
) -> None:
    with monkeypatch.context() as patch:
        first = record_steps(patch, stop_after=stop_after)
        with pytest.raises(TrainingStopped, match=f"SIGTERM; continue with: kinema train --resume {run_folder}"):
            train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    assert len(first) == stop_after
    torch.rand(7)  # whatever else drew random numbers in between must not matter
    rest = record_steps(monkeypatch)
    num_workers = 1 if stop_after == 8 else None  # of this machine, not of the run
    result = train(resume=run_folder, num_workers=num_workers, quiet=True)
    assert result.recipe.data.num_workers == (1 if num_workers else tiny_recipe.data.num_workers)
    epoch, step = divmod(stop_after, 5) if stop_after != 5 else (0, 5)  # stopped before the epoch is validated
    assert (
        f"resuming {run_folder} in epoch {epoch + 1}, after step {step} of 5\n" in (run_folder / "log.txt").read_text()
    )
    assert first + rest == whole.steps
    assert timeless(result.history) == whole.history
    assert_same_state(run_folder / "last.ckpt", whole.path / "last.ckpt")


def test_stop_during_validation(
    whole: Whole, shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation is dropped at once, and done by the resumed run without another training step."""

    def interrupted(validate):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        raise AssertionError("validation went on after Ctrl-C")

    with monkeypatch.context() as patched:
        act_in_validation(patched, interrupted)
        with pytest.raises(TrainingStopped) as stopped:
            train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    assert stopped.value.signal == signal.SIGINT
    rest = record_steps(monkeypatch)
    result = train(resume=run_folder, quiet=True)
    assert rest == whole.steps[5:]
    assert timeless(result.history) == whole.history


def test_killed_process_resumes_from_the_last_save(
    whole: Whole, shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, tmp_path: Path
) -> None:
    """SIGTERM to a process of the command line: it saves, says how to go on and exits with 143."""
    shapes.write(tmp_path / "shapes.csv")
    (tmp_path / "tiny.json").write_text(tiny_recipe.to_json())
    code = (
        "import os, signal, sys\n"
        "import pytest\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from inside_run import act_in_steps\n"
        "def stop(run, batch, sums):\n"
        "    if run.position.num_steps == 6:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "act_in_steps(pytest.MonkeyPatch(), after=stop)\n"
        "from kinema.cli.train import train\n"
        f"train('', data=('{tmp_path}/shapes.csv',), recipe='{tmp_path}/tiny.json', out='{run_folder}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert f"continue with: kinema train --resume {run_folder}" in done.stderr
    assert "Traceback" not in done.stderr
    result = train(resume=run_folder, quiet=True)
    assert timeless(result.history) == whole.history
    assert_same_state(run_folder / "last.ckpt", whole.path / "last.ckpt")


def test_saves_inside_an_epoch(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``save_minutes`` a process that dies without warning loses only what came after the last save."""

    def dies(run, batch):
        if run.position.num_steps == 3:
            raise RuntimeError("power cut")

    act_in_steps(monkeypatch, before=dies)
    with pytest.raises(RuntimeError, match="power cut"):
        train(data=shapes, recipe=tiny_recipe.with_fields({"train.save_minutes": 1e-6}), out=run_folder, quiet=True)
    position = Checkpoint.read(run_folder / "last.ckpt").training.position
    assert (position["epoch"], position["step_in_epoch"]) == (0, 3)


def test_finished_run_resumes_to_nothing(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = record_steps(monkeypatch)
    assert timeless(train(resume=whole.path, quiet=True).history) == whole.history
    assert steps == []


def test_changed_videos_are_noticed(whole: Whole, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("recipe.json", "run.json", "last.ckpt", "classes.csv"):
        (copy / name).write_bytes((whole.path / name).read_bytes())
    lines = (whole.path / "videos.csv").read_text().splitlines()
    (copy / "videos.csv").write_text("\n".join(lines[:1] + lines[2:]) + "\n")
    with pytest.raises(CheckpointError, match="trained on other videos"):
        train(resume=copy, epochs=3, quiet=True)


def test_resume_takes_nothing_else(whole: Whole, shapes: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave out a model and data"):
        train("tsn-resnettiny", shapes, resume=whole.path)
    with pytest.raises(UserError, match=r"no run that can be resumed: it has no last\.ckpt"):
        train(resume=tmp_path)
