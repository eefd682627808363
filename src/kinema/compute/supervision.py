"""How a process watches over those that it has started: signals are handed on, and nobody waits for the dead."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children
from typing import Any

from kinema.compute.signals import Impatience, Processes, end_at_once, signals_going_to

_REAP_SEC = 5.0  # what the process that has started killed ones gets to take note of it
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
        starter: The process that starts the others and waits for them; None before it is there.
        processes: Numbers of the others; empty as long as some are still to come.
    """

    def __init__(self) -> None:
        self.starter: Any = None
        self.processes: list[int] = []
        self._others = active_children()
        self._asked = 0

    def complete(self, processes: list[int]) -> None:
        """Say which processes there are, and hand on a signal that came before they were all there."""
        self.processes = processes
        if self._asked:
            self.hand_on(self._asked)

    def hand_on(self, number: int) -> None:
        """Send a signal to all of them; they may hold it back until they are ready for it."""
        if not self.processes:
            self._asked = number
            return
        if self.starter.is_alive():  # it waits for the others, whose numbers are their own until it has ended
            for process in self.processes:
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(process, number)

    def kill(self) -> None:
        """End them without asking, and wait for the end."""
        self.hand_on(signal.SIGKILL)
        new = [child for child in active_children() if child not in self._others]
        for starter in [self.starter] if self.starter else new:
            starter.join(_REAP_SEC if self.processes else 0)
            starter.kill()
            starter.join()


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
        started.kill()  # none is left but after an interruption


@contextmanager
def ending_survivors(processes: Sequence[Any]) -> Generator[None]:
    """Kill those of a process's children that wait for a dead one: inside a collective they hear no polite signal."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            if any(process.exitcode not in (None, 0) for process in processes):
                time.sleep(_GRACE_SEC)
                for process in processes:
                    process.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
