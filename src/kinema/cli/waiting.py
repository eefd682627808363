"""A word on the terminal while a command loads what it needs, so that nobody takes the wait for a standstill."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def loading(what: str = "PyTorch") -> Generator[None]:
    """Say that something is loaded inside the block, on a terminal only; the line is taken back afterwards."""
    is_watched = sys.stderr.isatty()
    if is_watched:
        print(f"loading {what} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if is_watched:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
