"""What the worker processes of a loader are reading, so that one that hangs or dies is named with its video."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from ctypes import c_char, c_longlong
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawArray

from kinema.errors import UserError

POLL_SEC = 5.0
"""How often a loader that waits for a batch looks at its workers."""
HANGING_SEC = 300.0
"""A worker that has read the same video for so long, while the run waited for it, is taken to hang."""

_TEXT_BYTES = 1024
_NUM_NAMED = 3  # when storage stops to answer, all hang
_JOIN_SEC = 5.0


class WorkerWatch:
    """A row of shared memory for each worker: its process, how many items it has begun, and the one it reads now.

    Args:
        num_workers: Rows; 0 watches nothing.
    """

    def __init__(self, num_workers: int) -> None:
        self.num_workers = num_workers
        self._pids = RawArray(c_longlong, num_workers)
        self._begun = RawArray(c_longlong, num_workers)
        self._texts = [RawArray(c_char, _TEXT_BYTES) for _ in range(num_workers)]
        self._processes: list[BaseProcess] = []
        self._seen: list[tuple[int, bytes]] = []
        self._num_idle_polls = 0

    @contextmanager
    def reading(self, worker: int, what: str) -> Generator[None, None, None]:
        """Note inside a worker what it reads in the block."""
        self._pids[worker] = os.getpid()
        self._begun[worker] += 1
        self._texts[worker].value = what.encode(errors="replace")[: _TEXT_BYTES - 1]
        try:
            yield
        finally:
            self._texts[worker].value = b""

    def started(self, processes: Iterable[BaseProcess]) -> None:
        """Keep hold of the workers, so that their exit codes can be asked for later."""
        self._processes = list(processes)

    def expects_batch(self) -> None:
        """Begin to count the time that the run waits."""
        self._seen, self._num_idle_polls = [], 0

    def hanging(self) -> UserError | None:
        """Look at the workers after ``POLL_SEC`` without a batch; the error once one of them hangs.

        Waiting counts in looks rather than by the clock, so that a job that was suspended for an hour is not mistaken
        for one that hangs.
        """
        now = [(begun, text.value) for begun, text in zip(self._begun, self._texts, strict=True)]
        same = [row for row, old in enumerate(self._seen) if now[row] == old]
        stuck = [row for row in same if now[row][1]] or (same if len(same) == self.num_workers else [])
        if not stuck:
            self._seen, self._num_idle_polls = now, 0
            return None
        self._seen = [old if row in stuck else (-1, b"") for row, old in enumerate(now)]
        self._num_idle_polls += 1
        waited_sec = self._num_idle_polls * POLL_SEC
        if waited_sec < HANGING_SEC:
            return None
        return UserError(
            f"{self._named(stuck)} for {waited_sec:.0f} s; look whether the disk or server that is read from answers, "
            "and whether `kinema data scan` gets past that video"
        )

    def dead(self) -> UserError:
        """The error for a loader that lost a worker."""
        codes = {process.pid: process.exitcode for process in self._processes}
        for row in range(self.num_workers):
            code = codes.get(self._pids[row])
            if code:
                return UserError(f"{self._named([row])} when it {_how(code)}")
        return UserError("a worker process of the loader ended unexpectedly")

    def end_survivors(self) -> None:
        """Kill the workers that have not heard the word to stop; a hanging one would keep this process from ending."""
        for process in self._processes:
            if process.is_alive():
                process.kill()
                process.join(_JOIN_SEC)

    def _named(self, rows: list[int]) -> str:
        names = _listed([f"{row + 1} (process {self._pids[row]})" for row in rows])
        videos = _listed([text for row in rows if (text := self._texts[row].value.decode(errors="replace"))])
        what, was = ("worker", "was") if len(rows) == 1 else ("workers", "were")
        subject = f"{what} {names} of {self.num_workers}"
        return f"{subject} {was} reading {videos}" if videos else f"{subject} had no video in hand"


def workers_besides(before: list[BaseProcess]) -> list[BaseProcess]:
    """Child processes that have started since ``before``, a result of ``multiprocessing.active_children``."""
    known = {process.pid for process in before}
    return [process for process in multiprocessing.active_children() if process.pid not in known]


def _listed(texts: list[str]) -> str:
    more = len(texts) - _NUM_NAMED
    return " and ".join([*texts[:_NUM_NAMED], *([f"{more} more"] if more > 0 else [])])


def _how(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    reasons = {
        signal.SIGKILL: "; that is how a machine or a job ends processes when memory runs out: use fewer workers",
        signal.SIGBUS: "; shared memory may be full: enlarge /dev/shm or use fewer workers",
        signal.SIGSEGV: "; that video may crash its decoder: try it alone, with another backend, or leave it out",
    }
    return f"was killed by {name}{reasons.get(signal.Signals(-code), '')}"
