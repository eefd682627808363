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
from typing import Any, NamedTuple, TypeVar

import torch
import torch.multiprocessing

from kinema.compute.allocation import freed_memory_kept
from kinema.compute.environment import processes_from_outside
from kinema.compute.sendable import require_sendable
from kinema.compute.signals import Impatience, Processes, end_at_once, signals_going_to, signals_held
from kinema.compute.start_display import show_start
from kinema.errors import UserError
from kinema.models.register import Registered, register_all, registered
from kinema.training.engine import Hardware, join, require_device, silence_notices
from kinema.training.stopping import say_ended, say_stopping, signal_name

Value = TypeVar("Value")

logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # it announces whom it ends

_GRACE_SEC = 10.0  # what the other processes get to end by themselves after one has died


class Starting(NamedTuple):
    """What a process that starts others says and writes meanwhile.

    Attributes:
        folder: Run directory.
        quiet: Say nothing.
        when_ended: Is told the state and the reason when a second signal ends them all.
    """

    folder: Path
    quiet: bool = False
    when_ended: Callable[[str, str], None] = lambda state, reason: None


def starts_processes(hardware: Hardware) -> bool:
    """Whether a run has several processes that nobody has started yet."""
    return hardware.devices > 1 and processes_from_outside() == 1


def launch(
    hardware: Hardware, work: Callable[..., Value], *arguments: object, starting: Starting | None = None
) -> Value:
    """Run ``work(engine, *arguments)`` in every process of the run and return the main process's result.

    Processes are started here unless torchrun or SLURM has done so; those are recognised by their environment.

    Args:
        hardware: How many, and where.
        work: The body of each process.
        *arguments: Of the body.
        starting: What to say while processes are started; nothing when not given.

    Raises:
        UserError: When a process was killed or failed; its own error where that is one.
    """
    if not starts_processes(hardware):
        with warnings.catch_warnings(), freed_memory_kept():
            silence_notices()
            return work(join(hardware), *arguments)
    require_device(hardware)  # said once, by this process
    require_sendable("the registered modules and backbones", registered())
    require_sendable("what is trained", arguments)
    with tempfile.TemporaryDirectory() as folder, _stopping(starting), _ending_survivors():
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
            if starting is not None and not starting.quiet:
                show_start(Path(folder), hardware.devices, is_over=lambda: processes.join(timeout=0.2))
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
    Processes.has_starter = True
    answer.with_name(f"loaded-{rank}").touch()
    silence_notices()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // hardware.devices))
    try:
        register_all(parts)
        with freed_memory_kept():
            engine = join(hardware)
            answer.with_name(f"joined-{rank}").touch()
            value = work(engine, *arguments)
    except Exception as error:
        if isinstance(error, UserError):  # said by the process that started this one
            answer.with_name(f"error-{rank}").write_bytes(pickle.dumps(error))
        else:
            traceback.print_exc()
        # A polite farewell would hang: it waits for the loading workers, which the traceback keeps at work.
        os._exit(1)
    if rank == 0:
        answer.write_bytes(pickle.dumps(value))


@contextmanager
def _stopping(starting: Starting | None) -> Iterator[None]:
    """Hand the first request to stop on to the started processes, which save and return; kill them at the second."""

    def relay(number: int) -> None:
        if starting is not None and not starting.quiet:
            say_stopping(number)
        for child in active_children():
            if child.pid is not None:
                os.kill(child.pid, number)

    def end(number: int) -> None:
        for child in active_children():
            child.kill()
        if starting is not None:
            starting.when_ended("stopped", f"ended at once by a second {signal_name(number)}, before it was saved")
        if not Processes.is_own:
            raise KeyboardInterrupt
        say_ended(starting.folder if starting else None)
        end_at_once(number)

    impatience = Impatience(relay, end)
    with signals_going_to(lambda number, frame: impatience.heard(number)):
        yield


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
