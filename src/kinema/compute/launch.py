"""Starts the processes that share a piece of work, unless torchrun or SLURM has, and ends them together."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.multiprocessing

from kinema.compute.inherited import Inheritance, inherit, inheritance
from kinema.compute.process import Process
from kinema.compute.sendable import require_sendable
from kinema.compute.signals import (
    Impatience,
    Processes,
    end_at_once,
    release_signals,
    signals_going_to,
    signals_held,
)
from kinema.compute.start_display import show_start
from kinema.errors import UserError
from kinema.specs.compute import Compute

Value = TypeVar("Value")

logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # it announces whom it ends

_GRACE_SEC = 10.0  # what the other processes get to end by themselves after one has died


@dataclass(frozen=True, kw_only=True)
class Supervision:
    """What a process that starts others says, and what it does when it is asked to stop.

    Attributes:
        title: What one of the processes is called in a message.
        content: What is sent to them, for a message when it cannot be.
        outcome: What the death of one means for the work, and what to do about it.
        is_start_shown: Say on standard error how far the start is.
        stops_itself: The work watches for SIGTERM and Ctrl-C, saves and returns: a first signal is handed on to it, a
            second one ends it. Otherwise the first one ends it.
        when_asked: Called with the signal's number when the first one is handed on.
        when_ended: Called with the signal's number when a second one has ended the processes.
    """

    title: str = "process"
    content: str = "the work"
    outcome: str = "the work has ended"
    is_start_shown: bool = False
    stops_itself: bool = False
    when_asked: Callable[[int], None] = lambda number: None
    when_ended: Callable[[int], None] = lambda number: None


def launch(
    kind: type[Process],
    compute: Compute,
    work: Callable[..., Value],
    *arguments: object,
    supervision: Supervision = Supervision(),
) -> Value:
    """Run ``work(process, *arguments)`` in every process of the work and return the main one's result.

    Processes are started here unless torchrun or SLURM has done so; those are recognised by their environment.

    Args:
        kind: What the processes are: ``Process`` computes, an ``Engine`` trains.
        compute: How many they are, on which devices.
        work: The body of each process; a function of a module where several are started.
        *arguments: Of the body; picklable where several are started.
        supervision: What the starting process says meanwhile.

    Raises:
        UserError: When a process was killed or failed; its own error where that is one.
    """
    kind.require(compute)
    if not starts_processes(kind, compute):
        with kind.joined(compute) as process:
            return work(process, *arguments)
    known = inheritance()
    require_sendable(supervision.content, arguments)
    processes: list[Any] = []
    with (
        tempfile.TemporaryDirectory(prefix="kinema-") as folder,
        _heeding_signals(processes, supervision),
        _ending_survivors(processes),
    ):
        answer = Path(folder) / "answer"  # a pipe would make a large one wait for ever
        task = _Task(kind, compute, _free_port(), known, supervision.stops_itself, work, arguments, answer)
        try:
            context = _start(task, processes)
            if supervision.is_start_shown:
                show_start(Path(folder), compute.devices, is_over=lambda: context.join(timeout=0.2))
            while not context.join():
                pass
        except torch.multiprocessing.ProcessExitedException as error:
            for message in sorted(Path(folder).glob("error-*")):
                raise pickle.loads(message.read_bytes()) from None
            how = (
                f"was killed by {error.signal_name}" if error.signal_name else f"ended with exit code {error.exit_code}"
            )
            title = f"{supervision.title} {error.error_index} of {compute.devices}"
            raise UserError(f"{title} {how}; {supervision.outcome}") from None
        return pickle.loads(answer.read_bytes())


def starts_processes(kind: type[Process], compute: Compute) -> bool:
    """Whether work has several processes that nobody has started yet."""
    return compute.devices > 1 and not kind.is_started()


@dataclass(frozen=True)
class _Task:
    """What every started process is given."""

    kind: type[Process]
    compute: Compute
    port: int
    known: Inheritance
    stops_itself: bool
    work: Callable[..., Any]
    arguments: tuple[object, ...]
    answer: Path


def _start(task: _Task, processes: list[Any]) -> torch.multiprocessing.ProcessContext:
    """Start the processes and list them."""
    if hasattr(signal, "pthread_sigmask"):  # Windows has neither
        resource_tracker.ensure_running()  # while it starts it lets all signals through
    with signals_held():  # a process that is still importing would die of one, with a wall of text
        context = torch.multiprocessing.start_processes(_run_started, (task,), task.compute.devices, join=False)
        assert context is not None, "it is only for join=True"
        processes += context.processes
    return context


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run_started(rank: int, task: _Task) -> None:
    """The body of a process that was started here; it finds in its environment what torchrun would write there.

    The main one's answer goes into a file, and so does an error of the user, since torch would make it a long text.
    """
    world = task.compute.devices
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "kinema",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(task.port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
    }
    Processes.has_starter = True
    if not task.stops_itself:
        release_signals()
    folder = task.answer.parent
    (folder / f"loaded-{rank}").touch()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // world))
    try:
        inherit(task.known)
        with task.kind.joined(task.compute) as process:
            (folder / f"joined-{rank}").touch()
            try:
                value = task.work(process, *task.arguments)
            except Exception as error:
                _end_by(error, folder / f"error-{rank}")
    except Exception as error:
        _end_by(error, folder / f"error-{rank}")
    if rank == 0:
        task.answer.write_bytes(pickle.dumps(value))


def _end_by(error: Exception, message: Path) -> NoReturn:
    """End this process; a user's error is left to the one that has started it.

    A polite farewell would hang: it waits for the others, which may wait for this process in a collective, and for the
    loading workers, which the traceback keeps at work.
    """
    if isinstance(error, UserError):
        message.write_bytes(pickle.dumps(error))
    else:
        traceback.print_exc()
    os._exit(1)


@contextmanager
def _heeding_signals(processes: list[Any], supervision: Supervision) -> Generator[None]:
    """Hand the first request to stop on to the started processes, which save and return; kill them at the second.

    Where they do not save anything, the first one ends them too.
    """

    def hand_on(number: int) -> None:
        supervision.when_asked(number)
        for process in processes:
            if process.is_alive():
                os.kill(process.pid, number)

    def end(number: int) -> None:
        _kill(processes)
        supervision.when_ended(number)
        if not Processes.is_own:
            raise KeyboardInterrupt
        end_at_once(number)

    impatience = Impatience(hand_on, end)
    try:
        if supervision.stops_itself:
            with signals_going_to(lambda number, frame: impatience.heard(number)):
                yield
        else:
            yield
    finally:
        _kill(processes)  # none is left but after an interruption
        for process in processes:
            process.join()


@contextmanager
def _ending_survivors(processes: list[Any]) -> Generator[None]:
    """Kill the started processes that wait for a dead one: inside a collective they hear no polite signal."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            if any(process.exitcode not in (None, 0) for process in processes):
                time.sleep(_GRACE_SEC)
                _kill(processes)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()


def _kill(processes: list[Any]) -> None:
    for process in processes:
        if process.is_alive():
            process.kill()
