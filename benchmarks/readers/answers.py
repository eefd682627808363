"""What a reader answers about one file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from marked_frames import Seen


@dataclass(slots=True)
class Answer:
    """What a reader gave for one file.

    Attributes:
        count: Frames that it says the file has; -1 when it does not say.
        seen: What the picture at each index showed, by index; those that it refuses are missing.
        sequential: What the pictures showed that it gives when it reads from the first to the last.
        times_sec: Time of each frame in ``seen``'s order; empty when the reader tells none.
        fps: Its frame rate.
        segment: First and last frame of the seconds 1 to 2, for readers that know segments.
        other: Names of other ways of asking that gave other pictures.
        error: Why it gave nothing.
    """

    count: int = 0
    seen: dict[int, Seen] = field(default_factory=dict)
    sequential: list[Seen] = field(default_factory=list)
    times_sec: dict[int, float] = field(default_factory=dict)
    fps: float = 0.0
    segment: tuple[int, int] | None = None
    other: list[str] = field(default_factory=list)
    error: str = ""


MAX_ERROR = 60
"""Characters of an error's text that a cell has room for."""

Read = Callable[[Path, list[int], Callable[[np.ndarray], Seen]], Answer]


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without the paths and places in it, and not all of a long one."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = re.sub(r"\[[^]]*\] ?|\S*/\S+:? ?|\w+\.\w+:\d+,? ?|^\w+, ", "", line).strip()
    return line if len(line) <= MAX_ERROR else line[:MAX_ERROR].rsplit(" ", 1)[0] + " …"
