"""Keeps frames of a file that cannot be sought in, for requests that overlap the one before."""

from __future__ import annotations

from collections import OrderedDict

from av.video.frame import VideoFrame

MAX_BYTES = 512 << 20
"""Decoded frames that are kept: 512 MiB, about 6 seconds of 1920 x 1080 pixels at 25 per second."""


class RecentFrames:
    """The frames decoded last, from the first one of the current request on; the oldest go where they are too many.

    Attributes:
        active: Frames are kept; only once a request has gone back, for most files are asked once.
    """

    def __init__(self) -> None:
        self.active = False
        self._frames: OrderedDict[int, VideoFrame] = OrderedDict()
        self._bytes = 0

    def add(self, position: int, frame: VideoFrame) -> None:
        """Keep the next frame."""
        self._frames[position] = frame
        self._bytes += _bytes_of(frame)
        while self._bytes > MAX_BYTES:
            self._drop_oldest()

    def get(self, position: int) -> VideoFrame | None:
        """The frame at a position if it is kept."""
        return self._frames.get(position)

    def forget_before(self, position: int) -> None:
        """Let go of the frames before ``position``."""
        while self._frames and next(iter(self._frames)) < position:
            self._drop_oldest()

    def clear(self) -> None:
        """Let go of all frames."""
        self._frames.clear()
        self._bytes = 0

    def _drop_oldest(self) -> None:
        self._bytes -= _bytes_of(self._frames.popitem(last=False)[1])


def _bytes_of(frame: VideoFrame) -> int:
    """How much memory the pixels of a frame take."""
    return sum(plane.buffer_size for plane in frame.planes)
