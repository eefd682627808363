"""Says in a few words what is wrong with a reader's answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

from answers import Answer
from made_files import Made
from marked_frames import Seen

RIGHT = "right"
COLOR_TOLERANCE = 3.5
"""In levels of 255: rounding to 8 bits on the way costs up to 3."""

SHIFT_TOLERANCE = 0.02
"""As a part of the width."""

TIME_TOLERANCE_SEC = 0.0015
"""Containers that count milliseconds round twice."""


def frames_cell(made: Made, answer: Answer) -> str:
    """Whether every index gave its frame, upright, in its size and colours."""
    if not answer.seen:
        return f"fails: {answer.error or 'no frame'}"
    if len(answer.seen) > 1 and len({seen.digest for seen in answer.seen.values()}) == 1:
        return "no picture"
    for wrong in ("mirrored", "turned"):
        if sum(seen.lies == wrong for seen in answer.seen.values()) > len(answer.seen) / 2:
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
    if missing:
        words.append(f"{len(missing)} of {len(made.numbers)} refused")
    return ", ".join(words) or _wrong_end(made, answer)


def _wrong_end(made: Made, answer: Answer) -> str:
    """Whether the frames after the damage are all there when the file is read in order."""
    after = [number for number in made.numbers if made.damaged and number >= made.damaged.stop]
    if not after:
        return ""
    found = [seen.number for seen in answer.sequential][-len(after) :]
    return f"{sum(a != b for a, b in zip_longest(after, found))} after the damage wrong" if after != found else ""


def _wrong_count(made: Made, answer: Answer) -> str:
    if answer.count == -1:
        return ""
    if not made.damaged:
        return "" if answer.count == len(made.numbers) else f"says {answer.count} of {len(made.numbers)} frames"
    if answer.count != len(answer.sequential):
        return f"says {answer.count} frames, reads {len(answer.sequential)}"
    return ""


def _unsteady(made: Made, answer: Answer) -> str:
    """Indices that give another picture than reading in order, or another one when asked in another way."""
    if answer.other:
        return f"other picture or time: {answer.other[0]}"
    if not made.damaged:
        return ""
    changed = sum(not same_picture(answer.seen.get(place), seen) for place, seen in enumerate(answer.sequential))
    return f"{changed} of {len(answer.sequential)} other than in order" if changed else ""


def same_picture(first: Seen | None, second: Seen | None) -> bool:
    """Whether two pictures are the same to the last bit."""
    return first is not None and second is not None and first.digest == second.digest


def _wrong_look(made: Made, answer: Answer) -> str:
    whole = [seen for place, seen in answer.seen.items() if _number(made, place) not in made.damaged]
    sizes = {seen.size for seen in whole}
    if sizes != {made.size}:
        height, width = next(iter(sizes - {made.size}))
        return f"{width} x {height} instead of {made.size[1]} x {made.size[0]}"
    if max(seen.shift for seen in whole) > SHIFT_TOLERANCE:
        return "squeezed or shifted"
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
    expected = _expected_times(made, answer)
    known = {place: time for place, time in answer.times_sec.items() if place in expected}
    if not known:
        return "fails"
    if any(math.isnan(time) for time in known.values()):
        return "none"
    off = [time - expected[place] for place, time in known.items()]
    words = []
    if max(map(abs, off)) > TIME_TOLERANCE_SEC:
        words.append(_wrong_times(off))
    if answer.segment is not None and not made.damaged:
        words += _wrong_segment(made.times_sec, answer)
    if made.damaged:
        return ", ".join(words) or RIGHT
    span = made.times_sec[-1] - made.times_sec[0]
    fps = (len(made.times_sec) - 1) / span
    if abs(answer.fps / fps - 1) > 0.03:
        words.append(f"{answer.fps:.4g} fps for {fps:.4g}")
    return ", ".join(words) or RIGHT


def _wrong_times(off: list[float]) -> str:
    if max(map(abs, off)) > NONSENSE_SEC:
        return "nonsense"
    if max(off) - min(off) <= 2 * TIME_TOLERANCE_SEC:
        return f"all {off[0]:+.2f} s"
    return f"up to {max(map(abs, off)):.2f} s off"


NONSENSE_SEC = 1e6
"""No file of these is as long."""


def _expected_times(made: Made, answer: Answer) -> dict[int, float]:
    """Times by index; in a damaged file, those of the frames before and after the damage."""
    assert made.times_sec is not None
    if not made.damaged:
        return dict(enumerate(made.times_sec))
    after = [time for number, time in zip(made.numbers, made.times_sec, strict=True) if number >= made.damaged.stop]
    last = len(answer.sequential)
    return {
        **dict(enumerate(made.times_sec[: made.damaged.start])),
        **dict(zip(range(last - len(after), last), after, strict=True)),
    }


def _wrong_segment(times_sec: Sequence[float], answer: Answer) -> list[str]:
    inside = [place for place, time in enumerate(times_sec) if 1 <= time + 1e-6 < 2]
    if answer.segment == (inside[0], inside[-1]):
        return []
    return [f"second 1 to 2 is {answer.segment}, not {(inside[0], inside[-1])}"]
