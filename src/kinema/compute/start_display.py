"""What is said while the processes of a run start: each loads PyTorch, which takes a minute on a small machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console


def show_start(folder: Path, num_processes: int, *, is_over: Callable[[], bool]) -> None:
    """Say how far the start has come, until all processes have found each other.

    Args:
        folder: Where each process leaves a file ``loaded-RANK`` when it runs, and ``joined-RANK`` when it has found the
            others.
        num_processes: How many there are.
        is_over: Waits a moment; says whether they have ended already.
    """
    console = Console(stderr=True)
    begin = time.monotonic()
    if not console.is_terminal:
        print(f"starting {num_processes} processes", file=sys.stderr, flush=True)
    with console.status("", spinner="line") as status:
        while len(list(folder.glob("joined-*"))) < num_processes:
            loaded = len(list(folder.glob("loaded-*")))
            stage = f"{loaded} have loaded PyTorch" if loaded < num_processes else "they are finding each other"
            status.update(f"starting {num_processes} processes: {stage} ({time.monotonic() - begin:.0f} s)")
            if is_over():
                return
    print(f"{num_processes} processes started in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
