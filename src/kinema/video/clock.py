"""The clock of a file, which runs forward only; the frame rate, and the frames of a stretch of time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

MAX_REORDERED = 16
"""The most frames that a decoder may hold back to put them in order (H.264, A.3.1); a longer step back is a restart."""

MAX_GAP_SEC = 10
"""In streams that may be joined, the clock of a gap longer than this was set anew; FFmpeg draws the line here too."""

JOINED_FORMATS = frozenset({"mpegts", "mpeg", "ogg"})
"""Formats of which files are made by joining others."""

UNTIMED_FORMATS = frozenset({"h264", "hevc", "m4v", "mpegvideo", "mjpeg"})
"""Formats without times: their frames are spaced evenly at the stream's rate."""

TOLERANCE_SEC = 0.00051
"""How far a frame's time may lie before a limit and still count as on it: containers round times to a millisecond."""

ROUNDING_SEC = 0.0015
"""How far frames that are evenly spaced may lie from there in a container that counts milliseconds."""

ASSUMED_RATE = Fraction(25)
"""Frames per second to go on with where a frame has no time and the file says no rate."""


class TimeScale(NamedTuple):
    """What turns places on a file's clock into seconds from its beginning.

    Attributes:
        time_base: Seconds of one unit.
        zero_sec: Where the first of the file's streams begins; None when the file does not say.
    """

    time_base: Fraction
    zero_sec: float | None

    def seconds(self, ticks: np.ndarray, first: int) -> np.ndarray:
        """Seconds from the file's beginning.

        Args:
            ticks: Places on the clock, axis ``t``.
            first: That of the first frame.
        """
        first_sec = float(first * self.time_base)
        # The container's own zero is rounded to a microsecond; without one the first frame is it.
        at_zero = self.zero_sec is None or abs(first_sec - self.zero_sec) < 2e-6
        offset_sec = 0.0 if at_zero or self.zero_sec is None else first_sec - self.zero_sec
        return (ticks - first) * float(self.time_base) + offset_sec


class FileClock:
    """Puts the frames of one file on a clock that starts where the file does and never runs backwards.

    ``add`` is told the presentation times in decoded order. A frame without a time follows one step after the frame
    before it. Where the clock restarts, as in joined files, the time goes on by one step. The time of a frame depends
    on no later frame.

    The zero is that of players: where the first of the file's streams begins. A picture that starts a second after the
    sound has its first frame at 1.0.

    Attributes:
        ticks: Where the frames told so far lie on the clock, in units of the time base.
        header_fps: Frames per second as the container says; 0 when it does not.
        is_timed: False in formats without times.
        by_position: Frames are stored out of order in AVI, which knows no presentation times: those of decoded frames
            are guesses, and the positions of the packets decide.
        scale: Turns ticks into seconds.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        formats = set(container.format.name.split(","))
        self.ticks: list[int] = []
        self.is_timed = not UNTIMED_FORMATS & formats
        self.by_position = "avi" in formats and bool(stream.codec_context.has_b_frames)
        self.header_fps = float(stream.average_rate or stream.guessed_rate or 0)
        zero_sec = container.start_time / 1_000_000 if container.start_time is not None else None
        self.scale = TimeScale(stream.time_base or Fraction(1), zero_sec)
        rate = stream.average_rate or stream.guessed_rate or ASSUMED_RATE
        self._step = max(1, round(1 / (rate * self.scale.time_base)))
        self._max_gap = round(MAX_GAP_SEC / self.scale.time_base) if JOINED_FORMATS & formats else None
        self._offset = 0

    def add(self, tick: int | None) -> None:
        """Tell the presentation time of the next frame, None when it has none."""
        if not self.ticks:
            self.ticks.append(tick or 0)
            return
        last = self.ticks[-1]
        now = last + self._step if tick is None else tick + self._offset
        restarted = now < last - MAX_REORDERED * self._step
        if restarted or (self._max_gap is not None and now > last + self._max_gap):
            self._offset += last + self._step - now
            now = last + self._step
        self.ticks.append(max(now, last))

    def is_even(self, count: int) -> bool:
        """Whether the first ``count`` frames were told, one step from each other but for rounding."""
        pairs = itertools.pairwise(self.ticks[:count])
        return count <= len(self.ticks) and all(abs(after - before - self._step) <= 1 for before, after in pairs)

    def spaced(self, positions: np.ndarray) -> np.ndarray:
        """Seconds of the frames at ``positions`` where only the rate is known; 0 where that is not."""
        return positions / self.header_fps if self.header_fps else np.zeros(len(positions))


def frame_rate(times_sec: np.ndarray, header_fps: float) -> float:
    """The average frame rate: the container's where it fits the frames, else frames divided by the time they span.

    Args:
        times_sec: Time of each frame in seconds, axis ``t``, ascending.
        header_fps: What the container says; 0 when it says nothing.

    Returns:
        Frames per second; 0.0 when neither the container nor the times say.
    """
    span = float(times_sec[-1] - times_sec[0]) if len(times_sec) > 1 else 0.0
    if span <= 0:
        return header_fps
    steps = len(times_sec) - 1
    fits = header_fps > 0 and abs(steps / header_fps - span) <= max(0.5 / header_fps, TOLERANCE_SEC)
    return header_fps if fits else steps / span


def frames_between(times_sec: np.ndarray | Sequence[float], start: float, end: float) -> range:
    """The frames whose time lies in ``[start, end)`` seconds; nan leaves a side open."""
    first = 0 if np.isnan(start) else int(np.searchsorted(times_sec, start - TOLERANCE_SEC, side="left"))
    stop = len(times_sec) if np.isnan(end) else int(np.searchsorted(times_sec, end - TOLERANCE_SEC, side="left"))
    return range(first, stop)
