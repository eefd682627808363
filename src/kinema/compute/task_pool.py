"""Tasks dealt out to processes one by one, so that long videos hold up nobody; every task's messages come back."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch

from kinema.errors import UserError

Send = Callable[[Any], None]
"""Takes a message (picklable) on its way to whoever iterates."""

Task = Callable[[int, int, Send], None]
"""Does the task of a number: ``task(number, worker, send)``; picklable, for processes may be spawned."""

_LOOK_EVERY_SEC = 1.0
_GRACE_SEC = 10.0


class Stopped(Exception):  # noqa: N818  (no error: the others are ending too)
    """Raised inside a task by ``send`` when the work has been given up."""


def _nothing() -> None:
    """Prepare nothing; a function of the module, since a lambda cannot be sent."""


def each_in_processes(
    task: Task, num_tasks: int, *, num_workers: int, spawn: bool, prepare: Callable[[], object] = _nothing
) -> Iterator[Any]:
    """Do ``num_tasks`` tasks and give what they send, in the order in which it comes.

    Processes end when this one does, even when it was killed.

    Args:
        task: The work.
        num_tasks: Tasks, by their numbers from 0.
        num_workers: Processes; 0 works in this one.
        spawn: Start fresh interpreters, as CUDA needs, instead of forking.
        prepare: Called once in each process before its first task; picklable.

    Raises:
        UserError: A process was killed.
        Exception: As a task raised it; the other processes have ended then.
    """
    if num_workers == 0:
        yield from _each_here(task, num_tasks)
        return
    # Not forkserver, Python 3.14's default: the parent of its processes is the server.
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if can_fork and not spawn else "spawn")
    counter, stop, messages = context.Value("q", 0), context.Event(), context.Queue()
    workers = [
        context.Process(
            target=_run_tasks,
            args=(task, num_tasks, number, os.getpid(), prepare, counter, stop, messages),
            daemon=True,
        )
        for number in range(min(num_workers, num_tasks))
    ]
    with warnings.catch_warnings():
        # Python >= 3.12 warns whenever a process with threads forks; torch's idle pool counts.
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
        for worker in workers:
            worker.start()
    try:
        yield from _received(workers, messages)
    finally:
        stop.set()
        deadline = time.monotonic() + _GRACE_SEC
        while any(worker.is_alive() for worker in workers) and time.monotonic() < deadline:
            with suppress(queue.Empty):  # a worker ends only when its messages are taken
                messages.get(timeout=0.05)
        for worker in workers:
            worker.terminate()
            worker.join()


def _each_here(task: Task, num_tasks: int) -> Iterator[Any]:
    for number in range(num_tasks):
        sent: list[Any] = []
        task(number, 0, sent.append)
        yield from sent


def _received(workers: list[Any], messages: Any) -> Iterator[Any]:
    """Pass on messages until every worker has said that it is done."""
    num_working = len(workers)
    while num_working:
        try:
            what, content = messages.get(timeout=_LOOK_EVERY_SEC)
        except queue.Empty:
            dead = [worker for worker in workers if worker.exitcode not in (None, 0)]
            if dead:
                how = f"killed by signal {-dead[0].exitcode}" if dead[0].exitcode < 0 else "ended"
                raise UserError(
                    f"a worker process was {how}; what is finished is kept. "
                    "If memory ran out, use a smaller --num-workers, then run the same command again."
                ) from None
            continue
        if what == "error":
            raise content
        if what == "done":
            num_working -= 1
        else:
            yield content


def _run_tasks(
    task: Task,
    num_tasks: int,
    worker: int,
    parent: int,
    prepare: Callable[[], object],
    counter: Any,
    stop: Any,
    messages: Any,
) -> None:
    """The body of a process: takes the next task until there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the others itself
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)  # the processes are the parallelism
    prepare()

    def send(message: Any) -> None:
        if os.getppid() != parent:
            messages.cancel_join_thread()  # nobody takes them any more
            raise Stopped
        if stop.is_set():
            raise Stopped
        messages.put(("message", message))

    try:
        while not stop.is_set():
            with counter.get_lock():
                number = counter.value
                counter.value += 1
            if number >= num_tasks:
                break
            task(number, worker, send)
    except Stopped:
        return
    except Exception as error:
        messages.put(("error", error))
        return
    messages.put(("done", None))
