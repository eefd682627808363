"""How a process watches over those that it has started: signals are handed on, and nobody waits for the dead."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children
from typing import Any

from kinema.compute.signals import Impatience, Processes, end_at_once, signals_going_to

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


class Started:
    """The processes that a launch has started, or is about to.

    Attributes:
        processes: All of them; empty as long as some are still to come.
    """

    def __init__(self) -> None:
        self.processes: list[Any] = []
        self._others = active_children()
        self._asked = 0

    def alive(self) -> list[Any]:
        """Those that have not ended; of a launch that is under way, those that are there already."""
        if self.processes:
            return [process for process in self.processes if process.is_alive()]
        return [process for process in active_children() if process not in self._others]

    def complete(self, processes: list[Any]) -> None:
        """Say which processes there are, and hand on a signal that came before they were all there."""
        self.processes = processes
        if self._asked:
            self.hand_on(self._asked)

    def hand_on(self, number: int) -> None:
        """Send a signal to all of them; they may hold it back until they are ready for it."""
        if not self.processes:
            self._asked = number
            return
        for process in self.alive():
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(process.pid, number)

    def kill(self) -> None:
        """End them without asking."""
        for process in self.alive():
            process.kill()


@contextmanager
def heeding_signals(started: Started, supervision: Supervision) -> Generator[None]:
    """Hand the first request to stop on to the started processes, which save and return; kill them at the second.

    Where they do not save anything, the first one ends them too.
    """

    def hand_on(number: int) -> None:
        supervision.when_asked(number)
        started.hand_on(number)

    def end(number: int) -> None:
        started.kill()
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
        for process in started.alive():  # none but after an interruption
            process.kill()
            process.join()


@contextmanager
def ending_survivors(started: Started) -> Generator[None]:
    """Kill the started processes that wait for a dead one: inside a collective they hear no polite signal."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            if any(process.exitcode not in (None, 0) for process in started.processes):
                time.sleep(_GRACE_SEC)
                started.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
