"""Starts the processes of a run, unless torchrun or SLURM has, and ends them together."""

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
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children, resource_tracker
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.multiprocessing

from kinema.allocation import freed_memory_kept
from kinema.errors import UserError
from kinema.launched import processes_from_outside
from kinema.models.register import Registered, register_all, registered
from kinema.sendable import require_sendable
from kinema.signals import signals_going_to, signals_held
from kinema.training.engine import Hardware, join, require_device, silence_notices

Value = TypeVar("Value")

logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # it announces whom it ends

_GRACE_SEC = 10.0  # what the other processes get to end by themselves after one has died


def launch(hardware: Hardware, work: Callable[..., Value], *arguments: object) -> Value:
    """Run ``work(engine, *arguments)`` in every process of the run and return the main process's result.

    Processes are started here unless torchrun or SLURM has done so; those are recognised by their environment.

    Raises:
        UserError: When a process was killed or failed; its own error where that is one.
    """
    if hardware.devices == 1 or processes_from_outside() > 1:
        with warnings.catch_warnings(), freed_memory_kept():
            silence_notices()
            return work(join(hardware), *arguments)
    require_device(hardware)  # said once, by this process
    require_sendable("the registered modules and backbones", registered())
    require_sendable("what is trained", arguments)
    with tempfile.TemporaryDirectory() as folder, signals_going_to(_SignalRelay()), _ending_survivors():
        answer = Path(folder) / "answer"  # a pipe would make a large one wait for ever
        try:
            if hasattr(signal, "pthread_sigmask"):  # Windows has neither
                resource_tracker.ensure_running()  # while it starts it lets all signals through
            with signals_held():  # a process that is still importing would die of one, with a wall of text
                processes = torch.multiprocessing.start_processes(
                    _spawned,
                    (hardware, _free_port(), registered(), work, arguments, answer),
                    hardware.devices,
                    join=False,
                )
            assert processes is not None, "it is only for join=True"
            while not processes.join():
                pass
            return pickle.loads(answer.read_bytes())
        except torch.multiprocessing.ProcessExitedException as error:
            for told in sorted(Path(folder).glob("error-*")):
                raise pickle.loads(told.read_bytes()) from None
            how = f"killed by {error.signal_name}" if error.signal_name else f"ended with exit code {error.exit_code}"
            raise UserError(
                f"training process {error.error_index} of {hardware.devices} was {how}; the run has ended"
            ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _spawned(
    rank: int,
    hardware: Hardware,
    port: int,
    parts: tuple[Registered, ...],
    work: Callable[..., Any],
    arguments: tuple[object, ...],
    answer: Path,
) -> None:
    """The body of a process that was started here; it is told what torchrun would tell it.

    The main one's answer goes into a file.
    """
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "kinema",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(hardware.devices),
        "LOCAL_WORLD_SIZE": str(hardware.devices),
    }
    silence_notices()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // hardware.devices))
    try:
        register_all(parts)
        with freed_memory_kept():
            value = work(join(hardware), *arguments)
    except Exception as error:
        if isinstance(error, UserError):  # said by the process that started this one
            answer.with_name(f"error-{rank}").write_bytes(pickle.dumps(error))
        else:
            traceback.print_exc()
        # A polite farewell would hang: it waits for the loading workers, which the traceback keeps at work.
        os._exit(1)
    if rank == 0:
        answer.write_bytes(pickle.dumps(value))


class _SignalRelay:
    """Hands SIGTERM or Ctrl-C on to the started processes, which save and return; kills them when asked for long."""

    def __init__(self) -> None:
        self._since = 0.0

    def __call__(self, number: int, frame: object) -> None:
        del frame
        self._since = self._since or time.monotonic()
        hard = time.monotonic() - self._since > _GRACE_SEC
        for child in active_children():
            if child.pid is not None:
                os.kill(child.pid, signal.SIGKILL if hard else number)


@contextmanager
def _ending_survivors() -> Iterator[None]:
    """Kill the spawned processes that wait for a dead one: inside a collective they hear no polite signal."""
    done = threading.Event()

    def watch() -> None:
        seen: dict[int, Any] = {}
        while not done.wait(0.5):
            seen |= {id(child): child for child in active_children()}
            if any(child.exitcode not in (None, 0) for child in seen.values()):
                time.sleep(_GRACE_SEC)
                for child in seen.values():
                    if child.is_alive():
                        child.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
