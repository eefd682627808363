"""Finds frames of a file by position: decodes forward, and seeks where the outcome can be proved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame

from kinema.errors import VideoError
from kinema.video.cursor import FrameCursor
from kinema.video.packet_index import PacketIndex, read_packet_index
from kinema.video.place import StoredVideo

MIN_SKIP = 4
"""Frames that a seek must save. Measured on 340 x 256 H.264: with 2, every third frame takes a quarter longer."""


class IndexMismatchError(Exception):
    """The decoder gave another frame than the packets had announced; ``Walk`` seeks no more, so the caller retries."""


class Walk:
    """A position in one video file, moved by ``frame_at``.

    Positions are proved, not assumed. Reading from the first frame counts what comes out. After a seek, the packet
    landed on must be a known key frame, and every frame that follows must have the presentation time that the
    packets announce for its position; otherwise the file is read from the start from then on.

    Args:
        path: The video file.
        num_frames: The number of frames that a full decode found earlier, if it is known.
        threads: Codec threads; 0 lets FFmpeg choose.

    Attributes:
        cursor: The open file.
        num_frames: The number of frames, once it is known.
        first_pts: Presentation time of the first frame, once it is known.
    """

    def __init__(self, path: Path | StoredVideo, *, num_frames: int | None, threads: int) -> None:
        self.path = path
        self.num_frames = num_frames
        self.first_pts: int | None = None
        self.cursor = FrameCursor(path, threads)
        # Only H.264 marks the frames that no other frame needs in a way that is safe to act on.
        self._can_drop = self.cursor.stream.codec_context.name == "h264" and threads == 1
        self._index: PacketIndex | None = None
        self._can_seek: bool | None = None
        self._frames: Iterator[VideoFrame] | None = None
        self._next = 0
        self._head: VideoFrame | None = None
        self._wanted: frozenset[int] = frozenset()
        self._last_wanted = 0

    def want(self, positions: list[int]) -> None:
        """Say which frames will be asked for, in ascending order, so that others need not be decoded."""
        self._wanted = frozenset(positions)
        self._last_wanted = positions[-1]

    def frame_at(self, position: int) -> VideoFrame:
        """Move to ``position`` and return its frame; the walk then stands before the next one.

        Raises:
            IndexMismatchError: When a seek led elsewhere; all frames of the current request are to be read again.
            VideoError: When the video ends before ``position``.
        """
        self._approach(position)
        while (frame := self._advance()) is not None:
            if self._next > position:
                assert self._next == position + 1
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

    def head(self) -> VideoFrame:
        """The first frame, decoded once; the walk goes on from there."""
        if self._head is None:
            self._restart()
            self._head = self.frame_at(0)
            assert self._frames is not None
            self._frames, self._next = chain([self._head], self._frames), 0
        return self._head

    def count(self) -> int:
        """Decode the whole file and count its frames; that settles whether seeking is safe."""
        self._restart()
        times = []
        while (frame := self._advance()) is not None:
            times.append(frame.pts)
        self._frames = None
        if not times:
            raise VideoError(self.path, "not one frame of it can be decoded; copy or download it again")
        self.num_frames = len(times)
        index = self.packet_index()
        self._can_seek = index.seekable and times == index.pts.tolist()
        return self.num_frames

    def length(self) -> int:
        """The number of frames: the packets' where they agree with both ends of the video, else counted."""
        if self.num_frames is None:
            index = self.seek_index()
            if index is not None and self._tail_agrees(index):
                self.num_frames = len(index)
            else:
                self.num_frames = self.count()
        return self.num_frames

    def packet_index(self) -> PacketIndex:
        """The packets' index, read once; from a second opening of the file unless this one was not used yet."""
        if self._index is None:
            own = self.cursor if self.cursor.fresh and self._frames is None else None
            cursor = own or FrameCursor(self.path, 1)
            try:
                cursor.fresh = False
                self._index = read_packet_index(cursor.container, cursor.stream)
            finally:
                if own is None:
                    cursor.close()
        return self._index

    def seek_index(self) -> PacketIndex | None:
        """The index by which one may seek; None when the file must be read from the start."""
        if self._can_seek is None:
            index = self.packet_index()
            if self.num_frames is not None:
                self._can_seek = index.seekable and len(index) == self.num_frames
            else:
                self.head()
                self._can_seek = index.trusted and self.first_pts == index.pts[0]
        if not self._can_seek:
            return None
        if self.first_pts is None and self._index is not None:
            self.first_pts = int(self._index.pts[0])
        return self._index

    def close(self) -> None:
        """Release the file."""
        self._frames = self._head = None
        self.cursor.close()

    def _advance(self) -> VideoFrame | None:
        """The next frame, or None at the end."""
        frame = next(self._frames, None) if self._frames is not None else None
        if frame is not None:
            if self._next == 0 and self.first_pts is None:
                self.first_pts = frame.pts
            self._next += 1
        return frame

    def _approach(self, position: int) -> None:
        """Make sure that decoding on from here reaches ``position``, by a seek where that saves work."""
        behind = self._frames is None or position < self._next
        if not behind and position - self._next < MIN_SKIP:
            return
        index = self.seek_index()
        if index is None:
            if self._frames is None or position < self._next:
                self._restart()
            return
        key = index.key_before(position)
        # From the very start, landing on the first key frame costs nothing and lets frames be dropped.
        behind = self._frames is None or position < self._next or self._next == 0
        if not behind and (key < 0 or index.key_positions[key] - self._next < MIN_SKIP):
            return
        if key < 0 or not self._land(index, key):
            self._restart()

    def _land(self, index: PacketIndex, key: int) -> bool:
        """Seek to key frame number ``key``, or one before it; False when the file does not allow it."""
        for timestamp in (index.key_pts[key], index.key_dts[key]):
            try:
                self.cursor.seek(timestamp)
            except FFmpegError:
                continue
            packets = self.cursor.packets()
            first = next(packets, None)
            landed = index.key_at(first.pts) if first is not None and first.is_keyframe else None
            if first is not None and landed is not None and landed <= key:
                self._next = index.key_positions[landed]
                self._frames = self._checked(chain([first], packets), index, landed)
                return True
        return False

    def _checked(self, packets: Iterable[Packet[Any]], index: PacketIndex, key: int) -> Iterator[VideoFrame]:
        """Yield the frames from key frame ``key`` on, as long as they are the announced ones.

        Frames before the last wanted one that are not wanted are left to the decoder to drop, if no other frame needs
        them; ``_next`` then moves over them.
        """
        dropped: set[int] = set()
        for packet in packets:
            place = index.position_of(packet.pts)
            drop = self._can_drop and place is not None and place < self._last_wanted and place not in self._wanted
            if drop and place is not None:
                dropped.add(place)
            for frame in self.cursor.decode(packet, drop=drop):
                if frame.pts is not None and frame.pts < index.key_pts[key]:
                    continue  # shown before the key frame but stored after it (open group of pictures)
                while self._next in dropped and frame.pts != index.pts[self._next]:
                    self._next += 1
                if self._next >= len(index) or frame.pts != index.pts[self._next]:
                    self._distrust()
                yield frame
        while self._next in dropped:
            self._next += 1
        if self._next != len(index):
            self._distrust()

    def _distrust(self) -> None:
        """Give up seeking in this file."""
        self._can_seek = False
        self._frames = None
        raise IndexMismatchError

    def _restart(self) -> None:
        """Go back to the first frame."""
        if not self.cursor.fresh:
            self.cursor.close()
            self.cursor.open()
        self._frames = self.cursor.frames()
        self._next = 0

    def _tail_agrees(self, index: PacketIndex) -> bool:
        """Whether the last group of pictures decodes to the very end that the packets announce."""
        self._last_wanted = 0  # every frame is to come out
        try:
            self._can_seek = self._land(index, len(index.key_pts) - 1)
            while self._can_seek and self._advance() is not None:
                pass
        except IndexMismatchError:
            pass
        self._frames = None
        return bool(self._can_seek)
