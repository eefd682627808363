"""The two signals that ask a run to stop: held back, taken over, or counted."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import active_children
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what schedulers send."""


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold SIGTERM and Ctrl-C back inside the block; processes started in it hold them until they watch for them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, which has no process groups of that kind either
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release_signals() -> None:
    """Let SIGTERM and Ctrl-C through again, in a process that was started while they were held back."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def signals_going_to(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let ``handler`` take SIGTERM and Ctrl-C inside the block, also those that were held back before.

    In a thread other than the main one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    held = signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if held is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        for number, previous in before.items():
            signal.signal(number, previous)


class Processes:
    """Who answers for this process, which the command line and the starter of several processes set.

    Attributes:
        is_own: It belongs to kinema's command line, so that a second request to stop may end it at once.
        has_starter: The process that started it decides when to end it; this one only saves and returns.
    """

    is_own = False
    has_starter = False


ECHO_SEC = 0.05
"""Two signals so close are one request: timeout(1) and some schedulers send theirs twice, to process and group."""

FORWARDED_ECHO_SEC = 1.0
"""The same where torchrun or srun has started the process, which hand on what the terminal has sent already."""


class Impatience:
    """Tells the first request to stop from the second, however long the main thread is busy.

    Python runs signal handlers between two instructions, so two signals during one backward pass are seen late and as
    one. Here a thread reads them as they come.

    Args:
        first: Called with the signal's number at the first request.
        second: Called at every request after that.
        echo_sec: Time after the first in which others count as the same request.
    """

    def __init__(
        self, first: Callable[[int], None], second: Callable[[int], None], *, echo_sec: float = ECHO_SEC
    ) -> None:
        self._first, self._second, self._echo_sec = first, second, echo_sec
        self._since = 0.0

    def heard(self, number: int) -> None:
        """Count one signal."""
        now = time.monotonic()
        if not self._since:
            self._since = now
            self._first(number)
        elif now - self._since > self._echo_sec:
            self._second(number)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count the signals of the process inside the block; elsewhere than in the main thread nothing happens."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        hearing, telling = socket.socketpair()
        telling.setblocking(False)
        before = signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
        listener = threading.Thread(target=self._listen, args=(hearing,), daemon=True)
        listener.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            telling.close()
            listener.join()
            hearing.close()

    def _listen(self, hearing: socket.socket) -> None:
        while numbers := hearing.recv(64):
            for number in numbers:
                if number in SIGNALS:
                    self.heard(number)


def end_at_once(number: int) -> None:
    """End this process and those that it has started, without tidying up: whoever asks twice does not want to wait."""
    for child in active_children():
        child.kill()
    sys.stderr.flush()
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\x1b[?25h")  # a bar hides the cursor
    os._exit(128 + number)
