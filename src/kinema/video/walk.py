"""Finds frames of a file by position: decodes forward, and seeks where the outcome can be proved."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NoReturn

from av.error import FFmpegError
from av.video.frame import VideoFrame

from kinema.video.checked_run import CheckedRun, IndexMismatchError, retried
from kinema.video.clock import FileClock
from kinema.video.codec_settings import CodecSettings
from kinema.video.cursor import FrameCursor, ends_early
from kinema.video.h264_order import read_sequence_head
from kinema.video.location import StoredVideo
from kinema.video.packet_index import PacketIndex
from kinema.video.packet_table import PacketTable
from kinema.video.recent_frames import RecentFrames
from kinema.video.survey import read_packets

MIN_SKIP = 4
"""Frames that a seek must save. Measured on 340 x 256 H.264: with 2, every third frame takes a quarter longer."""


class Walk:
    """A position in one video file, moved by ``frame_at``.

    Positions are proved, not assumed. Reading from the first frame counts what comes out. After a seek, the packet
    landed on must be a known key frame, every frame that follows must have the presentation time that the packets
    announce for its position, and nothing may be damaged, since a decoder repairs damage with what it has seen before;
    otherwise the file is read from the start, by one thread, from then on.

    Args:
        path: The video file.
        num_frames: The number of frames that a full decode found earlier, if it is known.
        damaged: Damaged frames were found earlier, so that the file is read from its start.
        threads: Codec threads; 0 lets FFmpeg choose.
        index: The packets' index if it was read earlier.

    Attributes:
        cursor: The open file.
        codec: What its container tells the decoder.
        index: The packets' index, once it was read.
        packets: Where the packets lie, if that was proved.
        ends_checked: The number of frames was found in the file itself.
        clock: Knows when the frames that were read from the start on are shown.
        num_frames: The number of frames, once it is known.
        damaged: Damaged frames were found earlier.
        num_damaged: Damaged or lost frames, and those with another one's time, once ``count`` has found them.
    """

    def __init__(
        self,
        path: Path | StoredVideo,
        *,
        num_frames: int | None,
        damaged: bool,
        threads: int,
        index: PacketIndex | None = None,
    ) -> None:
        self.path = path
        self.num_frames = num_frames
        self.packets: PacketTable | None = None
        self.ends_checked = False
        self.damaged = damaged
        self.num_damaged = 0
        self.cursor = FrameCursor(path, 1 if damaged else threads)
        self.codec = CodecSettings.of(self.cursor.stream.codec_context)
        self._h264 = read_sequence_head(self.codec.extradata) if self.codec.name == "h264" else None
        self.clock = FileClock(self.cursor.container, self.cursor.stream)
        self.index = index
        self._can_seek: bool | None = False if damaged else None
        self._frames: Iterator[tuple[int, VideoFrame]] | None = None
        self._next = 0
        self._head: VideoFrame | None = None
        self._recent = RecentFrames()
        self._wanted: list[int] = [0]
        self._num_requests = 0

    def want(self, positions: list[int]) -> None:
        """Say which frames will be asked for, in ascending order, so that others need not be decoded."""
        self._wanted = positions
        self._num_requests += 1
        self._recent.forget_before(positions[0])
        if isinstance(self._frames, CheckedRun):
            self._tell(self._frames)

    def frame_at(self, position: int) -> VideoFrame:
        """Move to ``position`` and return its frame; the walk then stands before the next one.

        Raises:
            IndexMismatchError: When a seek led elsewhere; all frames of the current request are to be read again.
            VideoError: When the video ends before ``position``.
        """
        if (kept := self._recent.get(position)) is not None:
            return kept
        self._approach(position)
        while (item := self._advance()) is not None:
            if item[0] >= position:
                assert item[0] == position
                return item[1]
        self._frames = None
        raise ends_early(self.path, self._next, position)

    def settle(self) -> None:
        """Prove at the end of a request that its frames are right; see ``CheckedRun.settle``.

        A first request is mostly the only one, so it ends where it is; after it the walk goes on.
        """
        if isinstance(self._frames, CheckedRun):
            self._settle(self._frames, goes_on=self._num_requests > 1)

    def head(self) -> VideoFrame:
        """The first frame, decoded once; the walk goes on from there."""
        if self._head is None:
            self._head = retried(self._first)
            assert self._frames is not None
            self._frames, self._next = chain([(0, self._head)], self._frames), 0
        return self._head

    def any_frame(self) -> VideoFrame | None:
        """Some frame, to see how the pictures of the file lie; None when none can be had cheaply."""
        if self._head is not None:
            return self._head
        self._frames, index = None, self.packet_index()
        return self.cursor.frame_from(None if index.has_settings else index.key_pts[0])

    def is_near(self, position: int) -> bool:
        """Whether decoding on leads to ``position`` soonest."""
        return self._frames is not None and 0 < self._next <= position < self._next + MIN_SKIP

    def count(self) -> int:
        """Decode the whole file and count its frames; that settles whether seeking is safe."""
        times = retried(self._decode_all)
        if not times:
            raise ends_early(self.path, 0, 0)
        self.num_frames = len(times)
        index = self.packet_index()
        if index.seekable and len(index) == len(times):
            self.num_damaged += sum(time != announced for time, announced in zip(times, index.pts, strict=True))
        self._can_seek = self.ends_checked = index.seekable and not self.num_damaged and len(index) == len(times)
        return self.num_frames

    def length(self) -> int:
        """The number of frames: the packets' where they agree with both ends of the video, else counted."""
        if self.num_frames is None:
            index = self.seek_index()
            if index is not None and self._tail_agrees(index):
                self.num_frames, self.ends_checked = len(index), True
            else:
                self.num_frames = self.count()
        return self.num_frames

    def packet_index(self) -> PacketIndex:
        """The packets' index, read once; from a second opening of the file unless this one was not used yet."""
        if self.index is None:
            unused = self.cursor if self.cursor.fresh and self._frames is None else None
            self.index, self.packets = read_packets(self.path, unused, self._h264)
        return self.index

    @property
    def can_seek(self) -> bool:
        """Whether seeking is known to be exact."""
        return bool(self._can_seek)

    def seek_index(self) -> PacketIndex | None:
        """The index by which one may seek; None when the file must be read from the start."""
        if self._can_seek is None:
            index = self.packet_index()
            if self.num_frames is not None:
                self._can_seek = index.seekable and len(index) == self.num_frames
            else:
                self._can_seek = index.trusted and self.head().pts == index.pts[0]
        return self.index if self._can_seek else None

    def close(self) -> None:
        """Release the file."""
        self._frames = self._head = None
        self._recent.clear()
        self.cursor.close()

    def _first(self) -> VideoFrame:
        """Decode the first frame."""
        self._restart()
        return self.frame_at(0)

    def _decode_all(self) -> list[int | None]:
        """Decode the file from its first frame to its last; returns their presentation times."""
        self._restart()
        times, num_corrupt = [], 0
        while (item := self._advance()) is not None:
            times.append(item[1].pts)
            num_corrupt += item[1].is_corrupt
        self._frames = None
        self.num_damaged = num_corrupt + self.cursor.num_rejected
        return times

    def _advance(self) -> tuple[int, VideoFrame] | None:
        """The next frame with its position, or None at the end."""
        try:
            item = next(self._frames, None) if self._frames is not None else None
        except IndexMismatchError:
            self._distrust()
        if item is None:
            self._next = self._frames.next if isinstance(self._frames, CheckedRun) else self._next
            if self.cursor.threads != 1 and self._next != (self.num_frames or len(self.packet_index().clock)):
                self._distrust()  # several threads lose whole frames around a damaged one
            return None
        position, frame = item
        if position == len(self.clock.ticks) and not isinstance(self._frames, CheckedRun):
            self.clock.add(frame.pts)
        if self.cursor.threads != 1 and (frame.is_corrupt or self.cursor.num_rejected):
            self._distrust()  # several threads repair damage in other ways
        self._next = position + 1
        if self._recent.active and position >= self._wanted[0] and not isinstance(self._frames, CheckedRun):
            self._recent.add(position, frame)
        return item

    def _settle(self, run: CheckedRun, *, goes_on: bool) -> None:
        try:
            if not run.settle(goes_on=goes_on):
                self._frames = None
        except IndexMismatchError:
            self._distrust()

    def _tell(self, run: CheckedRun) -> None:
        """Tell a run which frames are wanted; only one thread gives every frame in time."""
        run.wanted, run.last_wanted = frozenset(self._wanted), self._wanted[-1] if self.cursor.threads == 1 else 0

    def _approach(self, position: int) -> None:
        """Make sure that decoding on from here reaches ``position``, by a seek where that saves work."""
        behind = self._frames is None or position < self._next
        if not behind and position - self._next < MIN_SKIP:
            return
        index = self.seek_index()
        if index is None:
            if self._frames is None or position < self._next:
                self._recent.active = self._num_requests > 1
                self._restart()
            return
        key = index.key_before(position)
        # From the very start, landing on the first key frame costs nothing and lets frames be dropped.
        behind = self._frames is None or position < self._next or self._next == 0
        if not behind and (key < 0 or index.key_positions[key] - self._next < MIN_SKIP):
            return
        if isinstance(self._frames, CheckedRun):
            self._settle(self._frames, goes_on=False)
        if key < 0 or not self._land(index, key):
            self._restart()

    def _land(self, index: PacketIndex, key: int) -> bool:
        """Seek to key frame number ``key``, or one before it; False when the file does not allow it."""
        if index.has_settings and self.cursor.fresh:
            next(self.cursor.frames(), None)  # such as the palette, which comes with the first packet only
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
                self._frames = CheckedRun(self.cursor, index, landed, chain([first], packets), self._h264)
                self._tell(self._frames)
                return True
        return False

    def _distrust(self) -> NoReturn:
        """Give up seeking in this file, and reading it by several threads."""
        self._can_seek = False
        self._frames = None
        self._recent.clear()
        self.cursor.threads = 1
        raise IndexMismatchError

    def _restart(self) -> None:
        """Go back to the first frame."""
        if not self.cursor.fresh:
            self.cursor.close()
            self.cursor.open()
        self._frames = enumerate(self.cursor.frames())
        self._next = 0
        self._recent.clear()

    def _tail_agrees(self, index: PacketIndex) -> bool:
        """Whether the last group of pictures decodes to the very end that the packets announce."""
        self._wanted = [0]  # every frame is to come out
        try:
            self._can_seek = self._land(index, len(index.key_pts) - 1)
            while self._can_seek and self._advance() is not None:
                pass
        except IndexMismatchError:
            pass
        self._frames = None
        return bool(self._can_seek)
