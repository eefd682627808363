"""Which processes a launch of this process has started, as the system lists them."""

from contextlib import suppress
from multiprocessing import active_children
from pathlib import Path


def rank_processes() -> list[int]:
    """Numbers of the processes that the starter of the others has started, in the order of their ranks."""
    found: list[int] = []
    for starter in active_children():
        with suppress(OSError):  # it has just ended
            found += map(int, Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split())
    return found
