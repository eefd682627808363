"""Processes that only compute are started, stopped and ended together."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import active_children

import pytest
import torch
from rank_processes import rank_processes

from kinema.compute.environment import is_first_process
from kinema.compute.launch import launch
from kinema.compute.process import Process
from kinema.compute.signals import signals_going_to
from kinema.compute.supervision import Supervision
from kinema.errors import UserError
from kinema.specs.compute import Compute

TWO = Compute(device="cpu", devices=2, precision="bf16")


def outlook(process: Process) -> list[tuple[int, int, str, bool, bool]]:
    """What each process knows of itself."""
    is_first = is_first_process()
    return process.gather((process.rank, process.world, process.precision, process.is_main, is_first))


def wait_for_ever(process: Process) -> None:
    process.gather("both are here")
    time.sleep(120)


def wait_for_a_signal(process: Process) -> list[int]:
    heard: list[int] = []
    with signals_going_to(lambda number, frame: heard.append(number)):
        deadline = time.monotonic() + 60
        while not heard and time.monotonic() < deadline:
            time.sleep(0.01)
    return [number for numbers in process.gather(heard) for number in numbers]


def stumble(process: Process) -> None:
    """A mistake of the program in one process, while the other waits for it."""
    if process.rank == 1:
        raise ZeroDivisionError("an accident")
    process.gather(None)


@pytest.fixture(autouse=True)
def _ctrl_c_interrupts() -> Iterator[None]:
    """Hear Ctrl-C as a program does; processes of pytest that share the tests ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_each_process_knows_who_it_is() -> None:
    assert launch(Process, TWO, outlook) == [(0, 2, "bf16", True, True), (1, 2, "bf16", False, False)]
    assert launch(Process, Compute(device="cpu"), outlook) == [(0, 1, "fp32", True, True)]


def interrupt_when_there_are(num_ranks: int, *, pause_sec: float, times: int = 1) -> None:
    """Press Ctrl-C as soon as so many ranks, or what starts them, are there; only this process hears it."""

    def interrupt() -> None:
        is_there = False
        while not is_there:
            with suppress(RuntimeError):  # the list has changed while it was read
                is_there = len(rank_processes()) >= num_ranks if num_ranks else bool(active_children())
        for _ in range(times):
            time.sleep(pause_sec)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()


@pytest.mark.parametrize(
    ("num_ranks", "pause_sec"), [(0, 0.0), (2, 0.0), (2, 1.0)], ids=["starting", "forked", "started"]
)
def test_ctrl_c_ends_the_processes(num_ranks: int, pause_sec: float) -> None:
    interrupt_when_there_are(num_ranks, pause_sec=pause_sec)
    with pytest.raises(KeyboardInterrupt):
        launch(Process, TWO, wait_for_ever)
    assert active_children() == []


def test_a_signal_reaches_processes_that_are_not_all_there_yet() -> None:
    """They hold it back until they watch for it, and stop by themselves."""
    asked: list[int] = []
    interrupt_when_there_are(0, pause_sec=0.0)
    supervision = Supervision(stops_itself=True, when_asked=asked.append)
    assert launch(Process, TWO, wait_for_a_signal, supervision=supervision) == [signal.SIGINT] * 2
    assert asked == [signal.SIGINT]


def test_a_second_signal_ends_processes_that_do_not_stop() -> None:
    ended: list[int] = []
    interrupt_when_there_are(2, pause_sec=0.2, times=2)
    with pytest.raises(KeyboardInterrupt):
        launch(Process, TWO, wait_for_ever, supervision=Supervision(stops_itself=True, when_ended=ended.append))
    assert ended == [signal.SIGINT]
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
