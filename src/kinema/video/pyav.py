"""Reads video files with PyAV (FFmpeg), seeking to the key frame before the wanted frame wherever that is exact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame

from kinema.errors import VideoError
from kinema.video.cursor import FrameCursor
from kinema.video.decoder import Decoder
from kinema.video.packet_index import PacketIndex, read_packet_index
from kinema.video.scaling import Scaling

MIN_SKIP = 2
"""Frames that a seek must save; below, decoding on is faster (benchmarks/decoding.py)."""

UNTIMED_FORMATS = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo", "mjpeg"})
"""Formats without presentation times: their frames are spaced evenly at the stream's rate."""


class _IndexMismatchError(Exception):
    """The decoder gave another frame than the packets had announced."""


class PyAVDecoder(Decoder):
    """A video file read through PyAV; see ``Decoder`` and ``open_video``.

    Positions are proved, not assumed. Reading from the first frame counts what comes out. After a seek, the packet
    landed on must be a known key frame, and every frame that follows must have the presentation time that the
    packets announce for its position; otherwise the file is read from the start from then on.

    Args:
        path: The video file.
        scaling: The size of the frames that are returned.
        num_frames: The number of frames that a full decode found earlier, if it is known.
        threads: Codec threads; 0 lets FFmpeg choose.

    Raises:
        VideoError: When the file is no video, or (unless ``num_frames`` is known) no frame can be decoded.
    """

    def __init__(self, path: Path, *, scaling: Scaling, num_frames: int | None = None, threads: int = 1) -> None:
        self.path = path
        self.scaling = scaling
        self._num_frames = num_frames
        self._cursor = FrameCursor(path, threads)
        stream = self._cursor.stream
        self._coded_size = (stream.codec_context.height, stream.codec_context.width)
        self._time_base = stream.time_base or Fraction(1)
        self._untimed = bool(UNTIMED_FORMATS & set(self._cursor.container.format.name.split(",")))
        self._index: PacketIndex | None = None
        self._can_seek: bool | None = None
        self._frames: Iterator[VideoFrame] | None = None
        self._next = 0
        self._head: VideoFrame | None = None
        self._first_pts: int | None = None
        if num_frames is None:
            try:
                self._read_head()
            except VideoError:
                self.close()
                raise

    @property
    def fps(self) -> float:
        """See ``Decoder``."""
        stream = self._cursor.stream
        return float(stream.average_rate or stream.guessed_rate or 0)

    @property
    def size(self) -> tuple[int, int]:
        """See ``Decoder``."""
        height, width = self._coded_size
        return (width, height) if _quarter_turns(self._read_head()) % 2 else (height, width)

    @property
    def duration_sec(self) -> float:
        """See ``Decoder``."""
        stream, container = self._cursor.stream, self._cursor.container
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        if container.duration:
            return container.duration / 1_000_000  # FFmpeg gives a container's length in microseconds
        return len(self) / self.fps if self.fps else 0.0

    def __len__(self) -> int:
        if self._num_frames is None:
            index = self._seek_index()
            if index is not None and self._tail_agrees(index):
                self._num_frames = len(index)
            else:
                self.count_frames()
        assert self._num_frames is not None
        return self._num_frames

    def count_frames(self) -> int:
        """See ``Decoder``."""
        self._restart()
        assert self._frames is not None
        times = [frame.pts for frame in self._frames]
        self._frames = None
        if not times:
            raise VideoError(self.path, "not one frame of it can be decoded; copy or download it again")
        self._num_frames = len(times)
        index = self._packet_index()
        self._can_seek = index.seekable and times == index.pts.tolist()
        return self._num_frames

    def close(self) -> None:
        """See ``Decoder``."""
        self._frames = self._head = None
        self._cursor.close()

    def _decode(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            return self._collect(positions)
        except _IndexMismatchError:
            self._can_seek = False
            self._frames = None
            return self._collect(positions)

    def _collect(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decode and convert the frames at ascending ``positions``."""
        pixels: np.ndarray | None = None
        times_sec = np.empty(len(positions), np.float64)
        for place, position in enumerate(positions.tolist()):
            frame = self._frame_at(position)
            picture = self._to_rgb(frame)
            if pixels is None:
                pixels = np.empty((len(positions), *picture.shape), np.uint8)
            pixels[place] = picture
            times_sec[place] = self._time_of(frame, position)
        assert pixels is not None
        return pixels, times_sec

    def _frame_at(self, position: int) -> VideoFrame:
        """Move to ``position`` and return its frame; the next frame is then the one after it."""
        self._approach(position)
        assert self._frames is not None
        for frame in self._frames:
            here, self._next = self._next, self._next + 1
            if here == 0 and self._first_pts is None:
                self._first_pts = frame.pts
            if here == position:
                return frame
        num_frames = self._next
        self._frames = None
        if num_frames == 0:
            raise VideoError(self.path, "not one frame of it can be decoded; copy or download it again")
        raise VideoError(
            self.path,
            f"has {num_frames} frames that can be decoded (0 to {num_frames - 1}), but frame {position} was asked for; "
            "if the number came from a manifest, scan the file again",
        )

    def _approach(self, position: int) -> None:
        """Make sure that decoding on from here reaches ``position``, by a seek where that saves work."""
        behind = self._frames is None or position < self._next
        if not behind and position - self._next < MIN_SKIP:
            return
        index = self._seek_index() if behind or position > self._next else None
        if index is None:
            if self._frames is None or position < self._next:
                self._restart()
            return
        key = index.key_before(position)
        behind = self._frames is None or position < self._next  # building the index may have moved the file
        if not behind and (key < 0 or index.key_positions[key] - self._next < MIN_SKIP):
            return
        if key < 0 or not self._land(index, key):
            self._restart()

    def _land(self, index: PacketIndex, key: int) -> bool:
        """Seek to key frame number ``key``, or one before it; False when the file does not allow it."""
        for timestamp in (index.key_pts[key], index.key_dts[key]):
            try:
                self._cursor.seek(timestamp)
            except FFmpegError:
                continue
            packets = self._cursor.packets()
            first = next(packets, None)
            landed = index.key_at(first.pts) if first is not None and first.is_keyframe else None
            if first is not None and landed is not None and landed <= key:
                self._frames = self._checked(chain([first], packets), index, landed)
                self._next = index.key_positions[landed]
                return True
        return False

    def _checked(self, packets: Iterable[Packet[Any]], index: PacketIndex, key: int) -> Iterator[VideoFrame]:
        """Yield the frames from key frame ``key`` on, as long as they are the announced ones."""
        position = index.key_positions[key]
        for packet in packets:
            for frame in self._cursor.decode(packet):
                if frame.pts is not None and frame.pts < index.key_pts[key]:
                    continue  # shown before the key frame but stored after it (open group of pictures)
                if position >= len(index) or frame.pts != index.pts[position]:
                    raise _IndexMismatchError
                position += 1
                yield frame
        if position != len(index):
            raise _IndexMismatchError

    def _restart(self) -> None:
        """Go back to the first frame."""
        if not self._cursor.fresh:
            self._cursor.close()
            self._cursor.open()
        self._frames = self._cursor.frames()
        self._next = 0

    def _read_head(self) -> VideoFrame:
        """The first frame, decoded once; the walk goes on from there."""
        if self._head is None:
            self._restart()
            self._head = self._frame_at(0)
            assert self._frames is not None
            self._frames = chain([self._head], self._frames)
            self._next = 0
        return self._head

    def _packet_index(self) -> PacketIndex:
        """The packets' index, read once; from a second opening unless this one was not used yet."""
        if self._index is None:
            own = self._cursor if self._cursor.fresh and self._frames is None else None
            cursor = own or FrameCursor(self.path, 1)
            try:
                cursor.fresh = False
                self._index = read_packet_index(cursor.container, cursor.stream)
            finally:
                if own is None:
                    cursor.close()
        return self._index

    def _seek_index(self) -> PacketIndex | None:
        """The index by which one may seek; None when the file must be read from the start."""
        if self._can_seek is None:
            index = self._packet_index()
            if self._num_frames is not None:
                self._can_seek = index.seekable and len(index) == self._num_frames
            else:
                self._can_seek = index.trusted and self._first_pts == index.pts[0]
        return self._index if self._can_seek else None

    def _tail_agrees(self, index: PacketIndex) -> bool:
        """Whether the last group of pictures decodes to the very end that the packets announce."""
        try:
            if not self._land(index, len(index.key_pts) - 1):
                self._can_seek = False
            else:
                assert self._frames is not None
                for _ in self._frames:
                    pass
        except _IndexMismatchError:
            self._can_seek = False
        self._frames = None
        return bool(self._can_seek)

    def _to_rgb(self, frame: VideoFrame) -> np.ndarray:
        """Convert, scale and turn a decoded frame: ``h w c``, uint8, RGB."""
        turns = _quarter_turns(frame)
        height, width = self._coded_size
        target = self.scaling.target((width, height) if turns % 2 else (height, width))
        height, width = target[::-1] if turns % 2 else target
        # Bilinear in FFmpeg's scaler widens its filter when it shrinks, so nothing is aliased. One scaling thread:
        # with more, starting them costs more than they save on pictures of this size.
        picture = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BILINEAR", threads=1)
        return np.rot90(picture, turns)

    def _time_of(self, frame: VideoFrame, position: int) -> float:
        """Seconds from the first frame of the video to this one."""
        if self._first_pts is None and self._can_seek and self._index is not None:
            self._first_pts = int(self._index.pts[0])
        if self._untimed or frame.pts is None or self._first_pts is None:
            return position / self.fps if self.fps else 0.0
        return float((frame.pts - self._first_pts) * self._time_base)


def _quarter_turns(frame: VideoFrame) -> int:
    """Quarter turns to the left that set the picture upright, 0 to 3."""
    return round(frame.rotation / 90) % 4
