"""Which of several ways to compute the same thing takes least time here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

_MIN_ROUNDS, _MAX_ROUNDS = 3, 15
_ENOUGH_SEC: Final = 0.05
"""Of timing one way; short ones are repeated until then."""
_HOPELESS: Final = 1.5
"""Times the best; what has taken longer in the first round is not tried again."""


def fastest(ways: Mapping[str, Callable[[Tensor], object]], clip: Tensor) -> tuple[str, dict[str, float]]:
    """Time some ways in turn, so that a slow moment of the machine hits them all.

    On one thread of a CPU the processor time of the thread counts, of which the least is taken: waiting for a core,
    beside other work, costs nothing then. With several threads, and on a GPU, it is the median of the wall's clock.

    Args:
        ways: What to call with the clip, by name.
        clip: Given to each, on the device on which they run.

    Returns:
        The name of the fastest, and the seconds of each.
    """
    alone = clip.device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.thread_time if alone else time.perf_counter
    typical: Callable[[list[float]], float] = min if alone else statistics.median
    trials: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(clip)  # kernels are made on their first call
    tried = list(ways)
    while tried:
        for name in tried:
            trials[name].append(_seconds(ways[name], clip, clock))
        best = min(typical(times) for times in trials.values())
        tried = [name for name in tried if _open(trials[name], hopeless=typical(trials[name]) > _HOPELESS * best)]
    seconds = {name: typical(times) for name, times in trials.items()}
    return min(seconds, key=seconds.__getitem__), seconds


def _open(times: list[float], *, hopeless: bool) -> bool:
    rounds = len(times)
    return not hopeless and (rounds < _MIN_ROUNDS or (sum(times) < _ENOUGH_SEC and rounds < _MAX_ROUNDS))


def _seconds(way: Callable[[Tensor], object], clip: Tensor, clock: Callable[[], float]) -> float:
    synchronise(clip.device)
    start = clock()
    way(clip)
    synchronise(clip.device)
    return clock() - start


def synchronise(device: torch.device) -> None:
    """Wait for what was handed to a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
