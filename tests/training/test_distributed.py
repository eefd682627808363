"""Several processes compute what one computes, stop together, and end together."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rank_processes import rank_processes

from kinema.cli.main import run
from kinema.compute.engine import Engine
from kinema.compute.launch import launch
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.run import evaluate
from kinema.specs.compute import Compute
from kinema.specs.recipe import Recipe
from kinema.training.run import train
from kinema.training.stopping import TrainingStopped
from kinema.weights.checkpoint import Checkpoint

PLAIN = {
    "train.precision": "fp64",
    "train.frozen_bn": True,  # statistics of a batch differ between the parts of a batch; everything else must not
    "train.dropout": 0.0,
    "train.mixup": 0.0,
    "train.batch_size": 9,  # 5 and 4 clips, and in the last step of an epoch 2 and 1
}


def test_two_processes_compute_what_one_does(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.with_fields(PLAIN)
    one = train(data=shapes, recipe=recipe, out=tmp_path / "one", device="cpu", quiet=True)
    two = train(data=shapes, recipe=recipe, out=tmp_path / "two", device="cpu", devices=2, quiet=True)
    assert [row["epoch"] for row in two.history] == [1, 2]
    for first, second in zip(one.history, two.history, strict=True):
        assert second["train_loss"] == pytest.approx(first["train_loss"], abs=1e-8)
        assert second["train_top1"] == first["train_top1"]
        assert second["val_top1"] == first["val_top1"]
        assert second["val_loss"] == pytest.approx(first["val_loss"], abs=1e-6)  # scores are stored as float32
    weights = [Checkpoint.read(run.path / "last.ckpt").state_dict for run in (one, two)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-8, rtol=0)


def test_all_processes_validate_the_network_that_is_saved(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path
) -> None:
    """Each has running statistics of its own clips; the score must be that of the ones in the checkpoint."""
    recipe = tiny_recipe.with_fields({"schedule.epochs": 1})
    run = train(data=shapes, recipe=recipe, out=run_folder, device="cpu", devices=2, quiet=True)
    table = evaluate(run.path, shapes, split="val", device="cpu", num_workers=0)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(table.scores), torch.from_numpy(table.labels))
    assert run.history[0]["val_loss"] == pytest.approx(loss.item(), abs=1e-5)


def when_training(folder: Path, act: Callable[[], None]) -> threading.Thread:
    """Do something as soon as a run has logged an epoch."""

    def wait() -> None:
        log, start = folder / "log.txt", time.monotonic()
        before = log.read_text().count("epoch") if log.exists() else 0
        while time.monotonic() - start < 120:
            if log.exists() and log.read_text().count("epoch ") > before + 1:
                return act()
            time.sleep(0.05)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def kill_second_child() -> None:
    os.kill(rank_processes()[1], signal.SIGKILL)


def test_processes_stop_and_end_together(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    recipe = tiny_recipe.with_fields({"schedule.epochs": 1000})
    when_training(run_folder, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(TrainingStopped):
        train(data=shapes, recipe=recipe, out=run_folder, device="cpu", devices=2, quiet=True)
    assert multiprocessing.active_children() == []
    stopped_at = Checkpoint.read(run_folder / "last.ckpt").training.position["num_steps"]
    when_training(run_folder, kill_second_child)
    with pytest.raises(UserError, match=r"training process 1 of 2 was killed by SIGKILL"):
        train(resume=run_folder, device="cpu", devices=2, quiet=True)
    assert multiprocessing.active_children() == []
    assert Checkpoint.read(run_folder / "last.ckpt").training.position["num_steps"] > stopped_at


def test_a_signal_before_the_processes_are_ready_stops_them_when_they_are(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop_at_once() -> None:
        while not multiprocessing.active_children():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop_at_once, daemon=True).start()
    with pytest.raises(TrainingStopped):
        train(data=shapes, recipe=tiny_recipe, out=run_folder, device="cpu", devices=2, quiet=True)
    assert multiprocessing.active_children() == []
    assert "Traceback" not in capfd.readouterr().err
    position = Checkpoint.read(run_folder / "last.ckpt").training.position
    assert position["epoch"] < tiny_recipe.schedule.epochs


def test_an_error_ends_processes_whose_loading_workers_are_at_work(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path
) -> None:
    """The message arrives whole, and nobody waits for the workers."""
    recipe = tiny_recipe.with_fields({"optim.lr": 1e30, "data.num_workers": 1, "train.batch_size": 8})
    with pytest.raises(
        UserError, match=r"the loss is (nan|inf) in epoch 1, step \d+.*last\.ckpt keeps an earlier state"
    ):
        train(data=shapes, recipe=recipe, out=run_folder, device="cpu", devices=2, quiet=True)
    assert not multiprocessing.active_children()


def test_processes_of_torchrun_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    Engine.require(Compute(devices=2, nodes=2, device="cpu"))
    with pytest.raises(UserError, match="has started 4 processes, but devices x nodes is 1 x 1"):
        Engine.require(Compute())


@pytest.mark.parametrize(
    ("device", "devices", "message"),
    [
        ("cpu", 65, r"devices is 65, but this machine has 64 cores, for which 64 processes are enough; give fewer"),
        ("auto", 3, r"devices is 3, but this machine has 2 for cuda; give fewer devices"),
        ("cuda:2", 1, r"device 'cuda:2' is not here: torch sees 2 CUDA devices"),
        ("cuda:1", 2, r"device 'cuda:1' is a single GPU, but devices x nodes is 2 x 1; use --device cuda"),
        ("mps", 1, r"device 'mps' is not here: torch sees no MPS device; use --device cpu"),
    ],
)
def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch, device: str, devices: int, message: str) -> None:
    """On a machine of 64 cores and two GPUs; nothing is started."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=message):
        launch(Engine, Compute(device=device, devices=devices), print)
    Engine.require(Compute(device="cpu", devices=64))
    Engine.require(Compute(devices=2))
    Engine.require(Compute(device="cuda:1"))


def test_impossible_hardware() -> None:
    with pytest.raises(UserError, match="devices is 0"):
        Engine.require(Compute(devices=0))
    with pytest.raises(UserError, match="2 nodes need their processes started by torchrun"):
        Engine.require(Compute(nodes=2))
    with pytest.raises(UserError, match="unknown device 'gpu'"):
        Engine.require(Compute(device="gpu"))


def test_the_former_name_of_device_still_names_it(
    shapes: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="unknown device 'gpu'; give auto, cpu, cuda, cuda:N or mps"):
        train("tsn-resnettiny", shapes, accelerator="gpu", out=tmp_path / "run")
    shapes.write(tmp_path / "all.csv")
    for option in ("--accelerator", "--device"):
        words = ["train", "tsn-resnettiny", "--data", str(tmp_path / "all.csv"), option, "gpu"]
        assert run([*words, "--out", str(tmp_path / "run")]) == 1
        assert "unknown device 'gpu'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
