"""Stopping a run from outside without losing work: signals become a request that the loop looks at."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType

from kinema.signals import signals_going_to

IMPATIENCE_SEC = 1.0
"""A second signal after this time ends the process at once; within it, it is taken for an echo of the first."""


class TrainingStopped(KeyboardInterrupt):
    """A run was stopped by a signal after its state was saved; it is not an error and ``except Exception`` lets it by.

    Attributes:
        run: The run directory, which ``resume`` takes.
        signal: Number of the signal.
    """

    def __init__(self, run: Path, number: int) -> None:
        super().__init__(
            f"training stopped by {signal.Signals(number).name}; continue with: kinema train --resume {run}"
        )
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
        self._since = 0.0
        self._droppable = False

    def watching(self) -> AbstractContextManager[None]:
        """Take over the two signals inside the block; in a thread other than the main one this does nothing."""
        return signals_going_to(self._notice)

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
        if self.signal and time.monotonic() - self._since > IMPATIENCE_SEC:
            raise KeyboardInterrupt
        if not self.signal:
            self.signal, self._since = number, time.monotonic()
        if self._droppable:
            self._droppable = False
            raise _LeaveBlockError
