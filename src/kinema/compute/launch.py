"""Starts the processes that share a piece of work, unless torchrun or SLURM has, and ends them together."""

from __future__ import annotations

import json
import logging
import pickle
import signal
import socket
import tempfile
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TypeVar

import torch.multiprocessing

from kinema.compute.inherited import inheritance
from kinema.compute.process import Process
from kinema.compute.ranks import RankTask, start_ranks
from kinema.compute.sendable import require_sendable
from kinema.compute.signals import signals_held
from kinema.compute.start_display import show_start
from kinema.compute.supervision import Started, Supervision, heeding_signals
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
    ):
        path = Path(folder)
        sent = pickle.dumps((known, arguments))
        task = RankTask(kind, compute, _free_port(), supervision.stops_itself, work, sent, path)
        try:
            context = _start(task, started)
            if supervision.is_start_shown:
                show_start(path, compute.devices, is_over=lambda: _wait(context, started, path))
            while not _wait(context, started, path):
                pass
        except torch.multiprocessing.ProcessExitedException as error:
            for message in sorted(path.glob("error-*")):
                raise pickle.loads(message.read_bytes()) from None
            what = _failure(path, error, supervision.title, compute.devices)
            raise UserError(f"{what}; {supervision.outcome}") from None
        return pickle.loads((path / "answer").read_bytes())


def starts_processes(kind: type[Process], compute: Compute) -> bool:
    """Whether work has several processes that nobody has started yet."""
    return compute.devices > 1 and not kind.is_started()


def _start(task: RankTask, started: Started) -> torch.multiprocessing.ProcessContext:
    """Start the process that starts the others, and let the launch know it."""
    if hasattr(signal, "pthread_sigmask"):  # Windows has neither
        resource_tracker.ensure_running()  # while it starts it lets all signals through
    with signals_held():  # a process that is still importing would die of one, with a wall of text
        context = torch.multiprocessing.start_processes(start_ranks, (task,), join=False)
        assert context is not None, "it is only for join=True"
        started.starter = context.processes[0]
    return context


def _wait(context: torch.multiprocessing.ProcessContext, started: Started, folder: Path) -> bool:
    """Wait a moment for the end, and look whether the ranks are there; say whether all has ended."""
    if not started.processes and (folder / "processes").exists():
        started.complete(json.loads((folder / "processes").read_text()))
    return context.join(timeout=0.1 if not started.processes else 1.0)


def _failure(folder: Path, error: torch.multiprocessing.ProcessExitedException, title: str, num: int) -> str:
    """Say which process has ended the work, and how."""
    if (folder / "ended").exists():
        rank, how = json.loads((folder / "ended").read_text())
        return f"{title} {rank} of {num} {how}"
    how = f"was killed by {error.signal_name}" if error.signal_name else f"ended with exit code {error.exit_code}"
    return f"the process that starts the others {how}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
