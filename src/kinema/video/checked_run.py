"""Decodes from a key frame on, and proves each frame to be the one that the packets announce."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from av.packet import Packet
from av.video.frame import VideoFrame

from kinema.video.cursor import FrameCursor
from kinema.video.h264_order import OrderCheck, SequenceHead
from kinema.video.packet_index import PacketIndex

Answer = TypeVar("Answer")


class IndexMismatchError(Exception):
    """The decoder gave another frame than announced, or a damaged one; the file is to be read from its start."""


def retried(read: Callable[[], Answer]) -> Answer:
    """Read; once more where what was decoded is not what had been announced."""
    try:
        return read()
    except IndexMismatchError:
        return read()


class CheckedRun:
    """The frames from a key frame on, with their positions, as long as they are the announced ones and whole.

    Unwanted frames before the last wanted one are left to the decoder to drop, if no other frame needs them.

    Args:
        cursor: Stands behind the first of ``packets``.
        index: Of the file.
        key: Number of the key frame.
        packets: From the key frame to the end of the file.
        h264: Sequence parameters of H.264, the one codec that marks the frames that no other frame needs in a way that
            is safe to act on; None decodes every frame.

    Attributes:
        wanted: Positions that will be asked for.
        last_wanted: The last of them.
        next: Position of the next frame; at the end the number of frames.
    """

    def __init__(
        self,
        cursor: FrameCursor,
        index: PacketIndex,
        key: int,
        packets: Iterable[Packet[Any]],
        h264: SequenceHead | None,
    ) -> None:
        self.wanted: frozenset[int] = frozenset()
        self.last_wanted = 0
        self._cursor, self._index = cursor, index
        self._begin = index.key_pts[key]
        self.next = index.key_positions[key]
        self._dropped: set[int] = set()
        self._order = OrderCheck(h264) if h264 is not None else None
        self._last_fed = -1
        # No generator of this object's own: it would keep the open file until Python looks for cycles.
        self._packets = iter(packets)
        self._ready: deque[tuple[int, VideoFrame]] = deque()

    def __iter__(self) -> Iterator[tuple[int, VideoFrame]]:
        return self

    def __next__(self) -> tuple[int, VideoFrame]:
        while not self._ready:
            if not self._decode_on():
                raise StopIteration
        return self._ready.popleft()

    def settle(self, *, goes_on: bool) -> bool:
        """Prove that the frames given so far are right although others were dropped.

        Dropped frames cannot be checked, so pictures must be stored with the times at which the decoder shows them.
        And a frame may be built on one that is shown later and still held back by the decoder: where that one is
        damaged, the decoder has repaired it with what came before, and so without the dropped frames.

        Args:
            goes_on: Decode a few frames more so that the run can go on; else the decoder is emptied.

        Returns:
            Whether the run can go on.

        Raises:
            IndexMismatchError: They may be others.
        """
        if not self._dropped or self._order is None:
            return True
        if goes_on:
            last = self._last_fed  # more packets are fed meanwhile, whose frames are not waited for
            while self.next <= last and self._decode_on():
                pass
        else:
            num_rejected = self._cursor.num_rejected
            held = self._cursor.drain()
            if self._cursor.num_rejected > num_rejected or any(frame.is_corrupt for frame in held):
                raise IndexMismatchError
        if not self._order.agrees():
            raise IndexMismatchError
        if goes_on and self.next < len(self._index):
            self._order.forget(int(self._index.pts[self.next - 1]))
        return goes_on

    def _decode_on(self) -> bool:
        """Decode the next packet; False at the end."""
        packet = next(self._packets, None)
        if packet is None:
            while self.next in self._dropped:
                self.next += 1
            if self.next != len(self._index):
                raise IndexMismatchError
            return False
        num_rejected = self._cursor.num_rejected
        frames = self._cursor.decode(packet, drop=self._may_drop(packet))
        if self._cursor.num_rejected > num_rejected and (packet.pts is None or packet.pts >= self._begin):
            raise IndexMismatchError
        for frame in frames:
            if frame.pts is not None and frame.pts < self._begin:
                continue  # shown before the key frame but stored after it (open group of pictures)
            position = self._index.position_of(frame.pts)
            while self.next in self._dropped and position != self.next:
                self.next += 1
            if position != self.next or frame.is_corrupt:
                raise IndexMismatchError
            self._ready.append((self.next, frame))
            self.next += 1
        return True

    def _may_drop(self, packet: Packet[Any]) -> bool:
        """Whether the decoder need not decode a packet."""
        if self._order is None or packet.pts is None or (position := self._index.position_of(packet.pts)) is None:
            return False
        self._last_fed = max(self._last_fed, position)
        is_needed = not self._order.add(memoryview(packet), packet.pts)
        if is_needed or position >= self.last_wanted or position in self.wanted:
            return False
        self._dropped.add(position)
        return True
