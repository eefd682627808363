"""Stopping a run from outside without losing work: signals become a request that the loop looks at."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from kinema.compute.environment import processes_from_outside
from kinema.compute.signals import ECHO_SEC, FORWARDED_ECHO_SEC, Impatience, Processes, end_at_once, signals_going_to
from kinema.compute.supervision import Supervision
from kinema.training.directory import LAST, SERIES


class TrainingStopped(KeyboardInterrupt):
    """A run was stopped by a signal after its state was saved; it is not an error and ``except Exception`` lets it by.

    Attributes:
        run: The run directory, which ``resume`` takes.
        signal: Number of the signal.
    """

    def __init__(self, run: Path, number: int) -> None:
        super().__init__(f"training stopped by {signal_name(number)}; continue with: kinema train --resume {run}")
        self.run = run
        self.signal = number


class _LeaveBlockError(BaseException):
    """Carries a stop request out of a block whose work may be dropped."""


class StopRequest:
    """Notices SIGTERM and Ctrl-C while ``watching``.

    Attributes:
        signal: Number of the signal that asked for the stop; 0 while nobody has.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._droppable = False
        self._impatience: Impatience | None = None

    @contextmanager
    def watching(self, folder: Path, *, when_ended: Callable[[str], None] = lambda reason: None) -> Iterator[None]:
        """Take over the two signals inside the block; in a thread other than the main one this does nothing.

        The first one asks the loop to save and return. The second one ends a process of the command line at once, and
        raises KeyboardInterrupt elsewhere.

        Args:
            folder: Run directory, for the words to the user.
            when_ended: Is told the reason before a second signal ends the process.
        """

        def end(number: int) -> None:
            when_ended(_ended_unsaved(number))
            say_ended(folder)
            end_at_once(number)

        with ExitStack() as stack:
            if not Processes.has_starter:
                echo_sec = FORWARDED_ECHO_SEC if processes_from_outside() > 1 else ECHO_SEC
                second = end if Processes.is_own else _interrupt
                self._impatience = Impatience(say_stopping, second, echo_sec=echo_sec)
                if Processes.is_own:
                    stack.enter_context(self._impatience.listening())
            stack.enter_context(signals_going_to(self._notice))
            yield

    @contextmanager
    def dropping(self) -> Iterator[None]:
        """Leave the block as soon as a stop is asked for: for work that a resumed run does anew, such as validation."""
        self._droppable = True
        try:
            yield
        except _LeaveBlockError:
            pass
        finally:
            self._droppable = False

    def _notice(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = self.signal or number
        if self._impatience is not None and not Processes.is_own:
            self._impatience.heard(number)
        if self._droppable:
            self._droppable = False
            raise _LeaveBlockError


def signal_name(number: int) -> str:
    """What a user calls a signal."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def supervised(folder: Path, *, quiet: bool, when_ended: Callable[[str], None]) -> Supervision:
    """Watch over the processes of a run that this one starts: a stop request is handed on to them, and they save.

    Args:
        folder: Run directory, for the words to the user.
        quiet: Say nothing.
        when_ended: Is told the reason when a second signal has ended them.
    """

    def end(number: int) -> None:
        when_ended(_ended_unsaved(number))
        if Processes.is_own:
            say_ended(folder)

    return Supervision(
        title="training process",
        content="what is trained",
        outcome="the run has ended",
        is_start_shown=not quiet,
        stops_itself=True,
        when_asked=(lambda number: None) if quiet else say_stopping,
        when_ended=end,
    )


def _ended_unsaved(number: int) -> str:
    return f"ended at once by a second {signal_name(number)}, before it was saved"


def say_stopping(number: int) -> None:
    """Tell a user that the request was heard."""
    again = "Ctrl-C again" if number == signal.SIGINT else "a second signal"
    say(f"stopping: saving the run after this step; {again} ends it at once")


def say_ended(folder: Path) -> None:
    """Tell a user that a run was ended before it could be saved."""
    if not (folder / LAST).is_file():
        say("ended at once; nothing had been saved yet")
    else:
        say(f"ended at once; continue from its last save: kinema train --resume {resumable(folder)}")


def say(text: str) -> None:
    """Write a line to standard error from a signal handler or a thread, over a bar that may be in its place."""
    try:
        start = "\r\x1b[2K" if os.isatty(2) else ""
        os.write(2, f"{start}{text}\n".encode())
    except OSError:
        return  # nobody listens


def resumable(folder: Path) -> Path:
    """What ``--resume`` takes to go on with a run: its folder, or that of the series that it is part of."""
    candidates = [folder, *list(folder.parents)[:2]]
    return next((candidate for candidate in candidates if (candidate / SERIES).is_file()), folder)


def _interrupt(number: int) -> None:
    raise KeyboardInterrupt
