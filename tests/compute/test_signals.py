"""Two requests to stop are told apart even while the main thread is deep in a long computation."""

import os
import signal
import subprocess
import sys
import time

import pytest

from kinema.compute.signals import Impatience

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no such signals")

BUSY = """
import hashlib, os, signal, sys
from kinema.compute.signals import Impatience, end_at_once, signals_going_to
heard = Impatience(lambda number: os.write(1, b"first\\n"), end_at_once)
with heard.listening(), signals_going_to(lambda number, frame: None):
    os.write(1, b"busy\\n")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000_000)  # minutes without one instruction of Python
"""


def test_the_second_signal_ends_a_busy_process_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "first\n"
        time.sleep(0.1)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 128 + signal.SIGINT
        assert time.monotonic() - start < 10


@pytest.mark.parametrize(("pause", "second"), [(0.0, 0), (0.05, 1)])
def test_an_echo_is_not_a_second_request(pause: float, second: int) -> None:
    """Schedulers send one request twice, to the process and to its group."""
    calls: list[str] = []
    heard = Impatience(lambda number: calls.append("first"), lambda number: calls.append("second"), echo_sec=0.02)
    heard.heard(signal.SIGTERM)
    time.sleep(pause)
    heard.heard(signal.SIGTERM)
    assert calls == ["first", *["second"] * second]


def test_listening_gives_the_signals_back() -> None:
    before = signal.set_wakeup_fd(-1)
    calls: list[int] = []
    handler = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        with Impatience(calls.append, calls.append).listening():
            os.kill(os.getpid(), signal.SIGTERM)
            deadline = time.monotonic() + 10
            while not calls and time.monotonic() < deadline:
                time.sleep(0.01)
        assert calls == [signal.SIGTERM]
        assert signal.set_wakeup_fd(-1) == before
    finally:
        signal.signal(signal.SIGTERM, handler)
