"""Where the packets of a file lie, so that those of a few frames can be read without opening its container again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.packet import Packet

from kinema.video.h264_order import OrderCheck, SequenceHead

MAX_HEAD_BYTES = 32
"""So far behind the position that a container tells may the bytes of its packet begin: Matroska tells its block's."""

COMPARED_BYTES = 64 << 10
"""Packets up to this length are compared with the file whole, longer ones at both ends."""

SMALL_BYTES = 4 << 20
"""Files up to this length are read whole for that, which saves a call of the system for each packet."""


@dataclass(frozen=True, eq=False, slots=True)
class PacketTable:
    """The packets of a stream in the order of storing, all of which give a frame; every array has the axis ``t``.

    Attributes:
        begins: Places of their first bytes in the file, int64.
        sizes: Their lengths in bytes, int64.
        pts: When their frames are shown, int64, in units of the stream's time base.
        are_keys: Which hold key frames, bool.
        are_needed: Which hold frames that others are built on, bool.
    """

    begins: np.ndarray
    sizes: np.ndarray
    pts: np.ndarray
    are_keys: np.ndarray
    are_needed: np.ndarray

    def __len__(self) -> int:
        return len(self.pts)


class PacketSurvey:
    """Takes in all packets of a stream while they are read once, and proves that they can be read from the file.

    That takes: each packet lies in the file as the container gives it out, gives a frame with a time of its own, and in
    H.264 says by its slices that it is shown in the order of these times.

    Args:
        path: The file.
        head: Sequence parameters of H.264; None for other codecs, whose frames all count as needed.
    """

    def __init__(self, path: Path, head: SequenceHead | None) -> None:
        self._file: int | None = os.open(path, os.O_RDONLY)
        self._contents = os.pread(self._file, SMALL_BYTES, 0) if os.fstat(self._file).st_size <= SMALL_BYTES else b""
        self._order = OrderCheck(head) if head is not None else None
        self._rows: list[tuple[int, int, int, bool, bool]] = []

    def add(self, packet: Packet[Any]) -> None:
        """Take in the next packet."""
        if self._file is None:
            return
        data, pts = bytes(packet), packet.pts
        if pts is None or packet.is_discard or (begin := self._find(self._file, data, packet.pos)) is None:
            self.close()
            return
        is_needed = self._order is None or not self._order.add(memoryview(data), pts)
        self._rows.append((begin, len(data), pts, packet.is_keyframe, is_needed))

    def table(self) -> PacketTable | None:
        """What was taken in; None when it is not proved."""
        if self._file is None or not self._rows or (self._order is not None and not self._order.agrees()):
            return None
        begins, sizes, pts, are_keys, are_needed = (np.array(column) for column in zip(*self._rows, strict=True))
        return PacketTable(begins, sizes, pts, are_keys, are_needed)

    def close(self) -> None:
        """Release the file; what was taken in counts as not proved. Closing twice is allowed."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _find(self, file: int, data: bytes, position: int | None) -> int | None:
        """Where a packet begins, given about where; None when it is not there."""
        if position is None or position < 0:
            return None
        if self._contents:
            if self._contents.startswith(data, position):
                return position
            begin = self._contents.find(data, position, position + len(data) + MAX_HEAD_BYTES)
            return begin if begin >= 0 else None
        if len(data) > COMPARED_BYTES:
            begin, end = self._find(file, data[:COMPARED_BYTES], position), data[-COMPARED_BYTES:]
            is_there = begin is not None and os.pread(file, len(end), begin + len(data) - len(end)) == end
            return begin if is_there else None
        offset = os.pread(file, len(data) + MAX_HEAD_BYTES, position).find(data)
        return position + offset if offset >= 0 else None
