"""Starts the processes that share a piece of work, unless torchrun or SLURM has, and ends them together."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.multiprocessing

from kinema.compute.inherited import Inheritance, inherit, inheritance
from kinema.compute.process import Process
from kinema.compute.sendable import require_sendable
from kinema.compute.signals import Processes, release_signals, signals_held
from kinema.compute.start_display import show_start
from kinema.compute.supervision import Started, Supervision, ending_survivors, heeding_signals
from kinema.errors import UserError
from kinema.specs.compute import Compute

Value = TypeVar("Value")

logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # it announces whom it ends


def launch(
    kind: type[Process],
    compute: Compute,
    work: Callable[..., Value],
    *arguments: object,
    supervision: Supervision | None = None,
) -> Value:
    """Run ``work(process, *arguments)`` in every process of the work and return the main one's result.

    Processes are started here unless torchrun or SLURM has done so; those are recognised by their environment.

    Args:
        kind: What the processes are: ``Process`` computes, an ``Engine`` trains.
        compute: How many they are, on which devices.
        work: The body of each process; a function of a module where several are started.
        *arguments: Of the body; picklable where several are started.
        supervision: What the starting process says meanwhile; by default nothing, and the first Ctrl-C ends the others.

    Raises:
        UserError: When a process was killed or failed; its own error where that is one.
    """
    kind.require(compute)
    if not starts_processes(kind, compute):
        with kind.joined(compute) as process:
            return work(process, *arguments)
    supervision = supervision or Supervision()
    known = inheritance()
    require_sendable(supervision.content, arguments)
    started = Started()
    with (
        tempfile.TemporaryDirectory(prefix="kinema-") as folder,
        heeding_signals(started, supervision),
        ending_survivors(started),
    ):
        answer = Path(folder) / "answer"  # a pipe would make a large one wait for ever
        task = _Task(kind, compute, _free_port(), known, supervision.stops_itself, work, arguments, answer)
        try:
            context = _start(task, started)
            if supervision.is_start_shown:
                show_start(Path(folder), compute.devices, is_over=lambda: context.join(timeout=0.2))
            while not context.join():
                pass
        except torch.multiprocessing.ProcessExitedException as error:
            for message in sorted(Path(folder).glob("error-*")):
                raise pickle.loads(message.read_bytes()) from None
            by_signal = f"was killed by {error.signal_name}" if error.signal_name else ""
            how = by_signal or f"ended with exit code {error.exit_code}"
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


def _start(task: _Task, started: Started) -> torch.multiprocessing.ProcessContext:
    """Start the processes, and let the launch know them."""
    if hasattr(signal, "pthread_sigmask"):  # Windows has neither
        resource_tracker.ensure_running()  # while it starts it lets all signals through
    with signals_held():  # a process that is still importing would die of one, with a wall of text
        context = torch.multiprocessing.start_processes(_run_started, (task,), task.compute.devices, join=False)
        assert context is not None, "it is only for join=True"
        started.complete(context.processes)
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
