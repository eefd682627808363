"""kill -9 at any moment: the resumed run ends with the same bits, and no process is left behind."""

import multiprocessing
import os
import random
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from inside_run import act_in_steps, act_in_validation, act_when_saving
from test_resume import assert_same_state, timeless

from kinema.data.manifest import Manifest
from kinema.specs.recipe import Recipe
from kinema.training.directory import read_metrics
from kinema.training.run import train

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

EVERY_STEP = {"train.save_minutes": 1e-6, "data.num_workers": 1}


def processes_of(group: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, own_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(own_group) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def begin(folder: Path, videos: Manifest, recipe: Recipe, arrange: Callable[[], None] = lambda: None) -> Any:
    """Start or resume a run in a forked process, the first of a process group; ``arrange`` prepares its death."""

    def body() -> None:
        os.setsid()
        torch.set_num_threads(1)
        arrange()
        if (folder / "last.ckpt").exists():
            train(resume=folder, device="cpu", quiet=True)
        else:
            train(data=videos, recipe=recipe, out=folder, device="cpu", quiet=True)

    process = multiprocessing.get_context("fork").Process(target=body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python >= 3.12 warns of forks beside idle threads
        process.start()
    return process


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_step() -> None:
    act_in_steps(pytest.MonkeyPatch(), before=lambda run, batch: die() if run.position.num_steps == 2 else None)


def while_saving() -> None:
    """Half of the file is on the disk."""
    original, calls = torch.save, []

    def save(payload, file):
        calls.append(file)
        if len(calls) == 2:
            file.write(b"half a checkpoint")
            file.flush()
            die()
        original(payload, file)

    torch.save = save


def while_validating() -> None:
    act_in_validation(pytest.MonkeyPatch(), lambda validate: die())


def between_best_and_last() -> None:
    def save(run, write):
        write()
        die()

    act_when_saving(pytest.MonkeyPatch(), "best", save)


def assert_as_if_nothing_had_happened(folder: Path, whole: Path) -> None:
    assert_same_state(folder / "last.ckpt", whole / "last.ckpt")
    assert timeless(read_metrics(folder)) == timeless(read_metrics(whole))
    assert list(folder.glob(".*")) == []


def wait_for_the_end_of(groups: list[int]) -> None:
    """Workers look after their parent every 5 seconds."""
    deadline = time.monotonic() + 60
    while any(processes_of(group) for group in groups):
        assert time.monotonic() < deadline, "processes outlive the run that started them"
        time.sleep(0.1)


def test_killed_at_the_worst_moments(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.with_fields(EVERY_STEP)
    whole = train(data=shapes, recipe=recipe, out=tmp_path / "whole", device="cpu", quiet=True)
    folder, groups = tmp_path / "run", []
    for moment in (in_a_step, while_saving, while_validating, between_best_and_last):
        process = begin(folder, shapes, recipe, moment)
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, moment.__name__
        assert bool(list(folder.glob(".last.ckpt.*.part"))) == (moment is while_saving)
        groups.append(process.pid)
    train(resume=folder, device="cpu", quiet=True)
    assert_as_if_nothing_had_happened(folder, whole.path)
    wait_for_the_end_of(groups)


def kill_twenty_times(folder: Path, videos: Manifest, recipe: Recipe, seed: int = 0) -> list[int]:
    """Kill a run again and again some time after it has saved once or twice; its process groups."""
    chance, groups = random.Random(seed), []
    while len(groups) < 20:
        process, saved = begin(folder, videos, recipe), 0
        num_saves, newest = chance.randrange(3), last_change(folder)
        while saved < num_saves and process.is_alive():
            if (change := last_change(folder)) != newest:
                saved, newest = saved + 1, change
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run was over too early"
        groups.append(process.pid)
    return groups


def last_change(folder: Path) -> int:
    return (folder / "last.ckpt").stat().st_mtime_ns if (folder / "last.ckpt").exists() else 0


@pytest.mark.slow
def test_killed_twenty_times(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.with_fields({**EVERY_STEP, "schedule.epochs": 30})
    whole = train(data=shapes, recipe=recipe, out=tmp_path / "whole", device="cpu", quiet=True)
    groups = kill_twenty_times(tmp_path / "run", shapes, recipe)
    train(resume=tmp_path / "run", device="cpu", quiet=True)
    assert_as_if_nothing_had_happened(tmp_path / "run", whole.path)
    wait_for_the_end_of(groups)
