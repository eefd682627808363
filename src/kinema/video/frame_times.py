"""When the frames of a file are shown, from its packets where they tell, else from decoding it."""

from __future__ import annotations

import numpy as np

from kinema.video.clock import frame_rate
from kinema.video.packet_index import PacketIndex
from kinema.video.walk import Walk


class FrameTimes:
    """The times of the frames that a ``Walk`` finds; see ``FileClock`` for what they mean.

    Args:
        walk: The file.
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    @property
    def fps(self) -> float:
        """Average frames per second, found without decoding; 0.0 when the file does not say."""
        walk, clock = self._walk, self._walk.clock
        index = walk.packet_index()
        if walk.num_frames is not None and len(clock.ticks) == walk.num_frames and not clock.by_position:
            ticks = np.asarray(clock.ticks, np.int64)
        else:
            ticks = index.clock if index.runs else np.empty(0, np.int64)
        if not clock.is_timed or len(ticks) == 0:
            return clock.header_fps
        return frame_rate(clock.scale.seconds(ticks, int(ticks[0])), clock.header_fps)

    def of_all(self) -> np.ndarray:
        """Seconds of every frame, axis ``t``; decodes the file to its end where its packets do not tell."""
        self._walk.seek_index()
        return self.at(np.arange(self._walk.length()))

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Seconds of frames that were read, at ascending ``positions``."""
        walk, clock = self._walk, self._walk.clock
        if not clock.is_timed:
            return clock.spaced(positions)
        count = int(positions[-1]) + 1
        needs_packets = clock.by_position or walk.damaged or not clock.is_even(count)
        index = walk.packet_index() if needs_packets else walk.index
        same = index is None or clock.ticks[:count] == index.clock[:count].tolist()
        if index is not None and index.trusted and not (walk.can_seek or same):
            walk.length()  # settles whether the packets have the number of frames that are decoded
        if index is None or not self._tells(index, int(positions[-1])):
            if positions[-1] >= len(clock.ticks):
                walk.count()
            ticks = np.array([clock.ticks[position] for position in positions.tolist()], np.int64)
            return clock.scale.seconds(ticks, clock.ticks[0])
        return clock.scale.seconds(index.clock[positions], int(index.clock[0]))

    def _tells(self, index: PacketIndex, last: int) -> bool:
        """Whether frame ``last`` and those before it are shown when the packets say."""
        if last >= len(index.clock):
            return False
        counted = self._walk.num_frames == len(index.clock)
        return self._walk.can_seek or (index.runs and (self._walk.clock.by_position or counted))
