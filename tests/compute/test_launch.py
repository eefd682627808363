"""Processes that only compute are started, stopped and ended together."""

import os
import signal
import threading
import time
from multiprocessing import active_children

import pytest
import torch

from kinema.compute.environment import is_first_process
from kinema.compute.launch import Supervision, launch
from kinema.compute.process import Process
from kinema.errors import UserError
from kinema.specs.compute import Compute

TWO = Compute(device="cpu", devices=2, precision="bf16")


def outlook(process: Process) -> list[tuple[int, int, str, bool, bool]]:
    """What each process knows of itself."""
    is_first = is_first_process()
    return process.gather((process.rank, process.world, process.precision, process.is_main, is_first))


def wait_for_ever(process: Process) -> None:
    process.gather("both are here")
    time.sleep(600)


def stumble(process: Process) -> None:
    """A mistake of the program in one process, while the other waits for it."""
    if process.rank == 1:
        raise ZeroDivisionError("an accident")
    process.gather(None)


def test_each_process_knows_who_it_is() -> None:
    assert launch(Process, TWO, outlook) == [(0, 2, "bf16", True, True), (1, 2, "bf16", False, False)]
    assert launch(Process, Compute(device="cpu"), outlook) == [(0, 1, "fp32", True, True)]


def test_ctrl_c_ends_the_processes() -> None:
    def interrupt() -> None:
        while len(active_children()) < 2:
            time.sleep(0.01)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        launch(Process, TWO, wait_for_ever)
    assert time.monotonic() - start < 300
    assert active_children() == []


def test_an_accident_shows_where_it_happened(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="scorer 1 of 2 ended with exit code 1; nothing was scored"):
        launch(Process, TWO, stumble, supervision=Supervision(title="scorer", outcome="nothing was scored"))
    assert "ZeroDivisionError: an accident" in capfd.readouterr().err
    assert active_children() == []


def test_what_is_wrong_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.multiprocessing, "start_processes", lambda *args, **rest: pytest.fail("started"))
    with pytest.raises(UserError, match="device 'cuda:1' is not here: torch sees 1 CUDA device; use --device cpu"):
        launch(Process, Compute(device="cuda:1", devices=2), outlook)
    with pytest.raises(UserError, match="unknown precision 'fp64'"):
        launch(Process, Compute(device="cpu", devices=2, precision="fp64"), outlook)
    with pytest.raises(UserError, match="the videos cannot be sent to several processes"):
        launch(Process, TWO, outlook, lambda: None, supervision=Supervision(content="the videos"))
