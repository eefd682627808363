"""Timing takes the way that costs least, in turns, and gives up early what is far behind."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kinema.models import timing
from kinema.models.timing import fastest

CLIP = torch.zeros(1)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_fastest_takes_least(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One odd call does not count: on one thread the least time does, of processor time; on several the median."""
    now, calls = 0.0, Counter[str]()
    costs = {"steady": [2.0] * 30, "odd": [9.0, 2.5, *[1.5] * 28], "hopeless": [4.0] * 30}

    def way(name: str) -> Callable[[Tensor], None]:
        def run(clip: Tensor) -> None:
            nonlocal now
            assert clip is CLIP
            now += costs[name][calls[name]] / 1000
            calls[name] += 1

        return run

    def clock() -> float:
        return now

    def wrong() -> float:
        raise AssertionError("the other clock")

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(timing.time, "thread_time", clock if threads == 1 else wrong)
    monkeypatch.setattr(timing.time, "perf_counter", wrong if threads == 1 else clock)
    best, seconds = fastest({name: way(name) for name in costs}, CLIP)
    assert best == "odd"
    assert seconds == pytest.approx({"steady": 0.002, "odd": 0.0015, "hopeless": 0.004})
    assert calls["hopeless"] == 2 < calls["steady"] <= 16
