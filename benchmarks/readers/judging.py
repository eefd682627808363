"""Says in a few words what is wrong with a reader's answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

from made_files import Made
from marked_frames import Seen
from reading import Answer

RIGHT = "right"
COLOR_TOLERANCE = 4.0
"""In levels of 255: rounding to 8 bits on the way costs up to 3."""

TIME_TOLERANCE_SEC = 0.0015
"""Containers that count milliseconds round twice."""


def frames_cell(made: Made, answer: Answer) -> str:
    """Whether every index gave its frame, upright, in its size and colours."""
    if not answer.seen:
        return f"fails: {answer.error or 'no frame'}"
    expected = made.numbers
    whole = [place for place, number in enumerate(expected) if number not in made.damaged]
    for wrong in ("black", "mirrored", "turned", "unclear"):
        found = [place for place, seen in answer.seen.items() if seen.lies == wrong and place in whole]
        if len(found) > len(whole) / 2:
            return wrong
    return (
        _wrong_numbers(made, answer)
        or _wrong_count(made, answer)
        or _unsteady(made, answer)
        or _wrong_look(made, answer)
        or RIGHT
    )


def _wrong_numbers(made: Made, answer: Answer) -> str:
    """Frames that came at the wrong index, where the file is whole."""
    before = [place for place, number in enumerate(made.numbers) if not made.damaged or number < made.damaged.start]
    missing = [place for place in before if place not in answer.seen]
    off = [
        abs(answer.seen[place].number - made.numbers[place]) if answer.seen[place].number >= 0 else 0
        for place in before
        if place in answer.seen and answer.seen[place].number != made.numbers[place]
    ]
    words = [f"{len(off)} of {len(made.numbers)} off by up to {max(off)}"] if off else []
    if off and max(off) == 0:
        words = [f"{len(off)} of {len(made.numbers)} unreadable"]
    if missing and len(missing) < len(made.numbers):
        words.append(f"{len(missing)} of {len(made.numbers)} refused")
    return ", ".join(words)


def _wrong_count(made: Made, answer: Answer) -> str:
    if not made.damaged:
        return "" if answer.count == len(made.numbers) else f"says {answer.count} of {len(made.numbers)} frames"
    if answer.count != len(answer.sequential):
        return f"says {answer.count} frames, reads {len(answer.sequential)}"
    return ""


def _unsteady(made: Made, answer: Answer) -> str:
    """Indices that give another picture than reading in order, or another one when asked in another way."""
    if answer.other:
        return f"other pictures: {answer.other[0]}"
    pairs = zip_longest((answer.seen.get(place) for place in range(answer.count)), answer.sequential)
    changed = sum(not same_picture(*pair) for pair in pairs) if made.damaged else 0
    return f"{changed} of {answer.count} other than in order" if changed else ""


def same_picture(first: Seen | None, second: Seen | None) -> bool:
    """Whether two pictures are the same to the last bit."""
    return first is not None and second is not None and first.digest == second.digest


def _wrong_look(made: Made, answer: Answer) -> str:
    whole = [seen for place, seen in answer.seen.items() if _number(made, place) not in made.damaged]
    sizes = {seen.size for seen in whole}
    if sizes != {made.size}:
        height, width = next(iter(sizes - {made.size}))
        return f"{width} x {height} instead of {made.size[1]} x {made.size[0]}"
    error = max(seen.color_error for seen in whole)
    return f"colours {error:.0f} levels off" if error > COLOR_TOLERANCE else ""


def _number(made: Made, place: int) -> int:
    return made.numbers[place] if place < len(made.numbers) else -1


def seconds_cell(made: Made, answer: Answer) -> str:
    """Whether the frames' times, the frame rate and a segment of seconds are right."""
    if made.times_sec is None:
        return ""
    if not answer.times_sec:
        return "" if answer.seen else "fails"
    known = {place: time for place, time in answer.times_sec.items() if place < len(made.times_sec)}
    if any(math.isnan(time) for time in known.values()):
        return "none"
    off = [time - made.times_sec[place] for place, time in known.items()]
    words = []
    if max(map(abs, off)) > TIME_TOLERANCE_SEC:
        even = max(off) - min(off) <= 2 * TIME_TOLERANCE_SEC
        words.append(f"all {off[0]:+.2f} s" if even else f"up to {max(map(abs, off)):.2f} s off")
    if answer.segment is not None or answer.other:
        words += _wrong_segment(made.times_sec, answer)
    span = made.times_sec[-1] - made.times_sec[0]
    fps = (len(made.times_sec) - 1) / span
    if abs(answer.fps / fps - 1) > 0.03:
        words.append(f"{answer.fps:.4g} fps for {fps:.4g}")
    return ", ".join(words) or RIGHT


def _wrong_segment(times_sec: Sequence[float], answer: Answer) -> list[str]:
    inside = [place for place, time in enumerate(times_sec) if 1 <= time + 1e-6 < 2]
    if answer.segment == (inside[0], inside[-1]):
        return []
    return [f"second 1 to 2 is {answer.segment}, not {(inside[0], inside[-1])}"]
