"""What runs in the processes that a launch starts: one that loads torch once, and the ranks that are forked from it."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.multiprocessing

from kinema.compute.inherited import inherit
from kinema.compute.process import Process
from kinema.compute.signals import Processes, release_signals
from kinema.compute.supervision import ending_survivors
from kinema.errors import UserError
from kinema.specs.compute import Compute

_POLL_SEC = 0.5


@dataclass(frozen=True)
class RankTask:
    """What every started process is given.

    Attributes:
        kind: What the ranks are.
        compute: How many they are, on which devices.
        port: Where they meet.
        stops_itself: Whether the work watches for signals itself.
        work: The body of each rank.
        sent: What they inherit, see ``inheritance``, and the arguments of the body; pickled, so that nothing of it is
            built before the ranks are there: a tensor on a GPU would be in the way of forking.
        folder: Where they leave ``processes``, ``loaded-RANK``, ``joined-RANK``, ``error-RANK``, ``ended``, ``answer``.
    """

    kind: type[Process]
    compute: Compute
    port: int
    stops_itself: bool
    work: Callable[..., Any]
    sent: bytes
    folder: Path


def start_ranks(_: int, task: RankTask) -> None:
    """The body of the process that starts the ranks and waits for them.

    On Linux they are forked from it. That is safe here: nothing has run but imports, so that no threads are at work and
    no GPU is in use. It holds signals back, as the ranks do until they are ready: who has started it hands them on.
    """
    can_fork = sys.platform == "linux"
    if can_fork:
        task.kind.load()
        gc.freeze()  # what is loaded stays: the ranks need not look through it, which would copy its memory too
    with warnings.catch_warnings():
        # Python >= 3.12 warns whenever a process with threads forks; those of numpy's BLAS, which stops them, count.
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
        ranks = torch.multiprocessing.start_processes(
            run_rank, (task,), task.compute.devices, join=False, start_method="fork" if can_fork else "spawn"
        )
    assert ranks is not None, "it is only for join=True"
    unfinished = task.folder / "unfinished"
    unfinished.write_text(json.dumps(ranks.pids()))
    unfinished.rename(task.folder / "processes")
    starter = multiprocessing.parent_process()
    assert starter is not None, "this process was started"
    with ending_survivors(ranks.processes):
        try:
            while not ranks.join(timeout=_POLL_SEC):
                if not starter.is_alive():
                    os._exit(1)  # the system then asks the ranks to stop
        except torch.multiprocessing.ProcessExitedException as error:
            how = (
                f"was killed by {error.signal_name}" if error.signal_name else f"ended with exit code {error.exit_code}"
            )
            (task.folder / "ended").write_text(json.dumps([error.error_index, how]))
            os._exit(1)


def run_rank(rank: int, task: RankTask) -> None:
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
    folder = task.folder
    (folder / f"loaded-{rank}").touch()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // world))
    try:
        known, arguments = pickle.loads(task.sent)
        inherit(known)
        with task.kind.joined(task.compute) as process:
            (folder / f"joined-{rank}").touch()
            try:
                value = task.work(process, *arguments)
            except Exception as error:
                _end_by(error, folder / f"error-{rank}")
    except Exception as error:
        _end_by(error, folder / f"error-{rank}")
    if rank == 0:
        (folder / "answer").write_bytes(pickle.dumps(value))


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
