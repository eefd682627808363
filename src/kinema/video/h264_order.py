"""The order in which H.264 pictures are shown, read from the heads of their slices without decoding.

A decoder shows pictures by their picture order count, whatever the times in the container say. Where both agree, times
tell which picture a packet holds; in files made without times, and in damaged ones, they may not.
Source: ITU-T H.264, 7.3.2.1 (sequence parameters), 7.3.3 (slice head), 8.2.1 (picture order count).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

SLICE, IDR_SLICE, SEQUENCE = 1, 5, 7
"""Kinds of units."""

B_SLICE = 1
"""Type of a slice, modulo 5."""

HEAD_BYTES = 24
"""So much of a slice holds the beginning of its head."""

_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles whose sequence parameters say how colours are stored."""


class _Bits:
    """Reads numbers from the bits of a unit, without the bytes that only keep start codes out."""

    def __init__(self, unit: bytes) -> None:
        data = unit.replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)
        self._length = self._left

    @property
    def taken(self) -> int:
        """How many bits were read."""
        return self._length - self._left

    def take(self, count: int) -> int:
        """The next ``count`` bits as a number without sign."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the unit ends before its head does")
        return self._value >> self._left & (1 << count) - 1

    def number(self) -> int:
        """A number in Exp-Golomb code (9.1)."""
        rest = self._value & (1 << self._left) - 1
        zeros = self._left - rest.bit_length()
        return self.take(2 * zeros + 1) - 1


class PictureHead(NamedTuple):
    """What a slice says about its picture.

    Attributes:
        starts_sequence: The count starts again with it.
        is_reference: Other pictures may be built on it.
        is_b: It is built on pictures shown before and after it.
        low_bits: Of its order count.
    """

    starts_sequence: bool
    is_reference: bool
    is_b: bool
    low_bits: int


@dataclass(frozen=True, slots=True)
class SequenceHead:
    """What the sequence parameters say about the heads of slices.

    Attributes:
        frame_num_bits: Length of the number of reference frames in a slice head.
        order_bits: Length of the order count there; 0 when pictures are shown in the order of decoding.
        may_have_fields: Slices say whether they belong to a field.
        separate_planes: Slices say to which colour they belong.
        length_bytes: How many bytes give the length of each unit in a packet.
    """

    frame_num_bits: int
    order_bits: int
    may_have_fields: bool
    separate_planes: bool
    length_bytes: int

    def picture_of(self, packet: memoryview) -> PictureHead | None:
        """The head of the first slice in a packet; None when there is none that can be read."""
        start, end = self.length_bytes, len(packet)
        while start < end:
            kind = packet[start] & 31
            if kind in (SLICE, IDR_SLICE):
                return self._slice(bytes(packet[start + 1 : start + HEAD_BYTES]), kind, packet[start] & 96 > 0)
            begin = start
            start += int.from_bytes(packet[start - self.length_bytes : start], "big") + self.length_bytes
            if kind == SEQUENCE:
                unit = bytes(packet[begin + 1 : max(begin, start - self.length_bytes)])
                if _parsed(unit, self.length_bytes) != self:  # joined from differently made streams
                    return None
        return None

    def _slice(self, head: bytes, kind: int, is_reference: bool) -> PictureHead | None:
        """Read the head of a slice; without ``_Bits`` in a quarter of its time, for this is done for every packet."""
        start = _slice_start(head[:2]) or _slice_start(head)
        if start is None:
            return None
        slice_type, taken = start
        data = head.replace(b"\0\0\3", b"\0\0")
        value, left = int.from_bytes(data, "big"), 8 * len(data) - taken
        left -= self.frame_num_bits + 2 * self.separate_planes
        if self.may_have_fields and left > 0:
            left -= 1 + (value >> left - 1 & 1)
        if kind == IDR_SLICE and left > 0:
            rest = value & (1 << left) - 1
            left -= 2 * (left - rest.bit_length()) + 1
        left -= self.order_bits
        if left < 0:
            return None
        low_bits = value >> left & (1 << self.order_bits) - 1
        return PictureHead(kind == IDR_SLICE, is_reference, slice_type % 5 == B_SLICE, low_bits)


@lru_cache(maxsize=4096)
def _slice_start(head: bytes) -> tuple[int, int] | None:
    """The type of a slice, and how many bits hold it and its neighbours; None when there are more bits.

    Two bytes nearly always hold them, and few pairs of bytes begin slices.
    """
    bits = _Bits(head)
    try:
        bits.number()  # first macroblock
        slice_type = bits.number()
        bits.number()  # picture parameters
    except ValueError:
        return None
    return slice_type, bits.taken


def read_sequence_head(record: bytes) -> SequenceHead | None:
    """Read the sequence parameters in a configuration record (ISO/IEC 14496-15, 5.3.3.1).

    Returns:
        None when there is not exactly one set of them, or pictures are ordered in a way that is not read here.
    """
    if len(record) < 9 or record[0] != 1 or record[5] & 31 != 1:
        return None
    length = int.from_bytes(record[6:8], "big")
    return _parsed(record[9 : 8 + length], (record[4] & 3) + 1)


@lru_cache(maxsize=64)
def _parsed(unit: bytes, length_bytes: int) -> SequenceHead | None:
    """Read sequence parameters, without the byte that says what they are; None when they cannot be read here."""
    try:
        return _sequence_head(unit, length_bytes)
    except ValueError:
        return None


def _sequence_head(unit: bytes, length_bytes: int) -> SequenceHead | None:
    bits = _Bits(unit)
    profile = bits.take(8)
    bits.take(16)  # constraints and level
    bits.number()  # its id
    separate_planes = False
    if profile in _WITH_CHROMA:
        if bits.number() == 3:
            separate_planes = bool(bits.take(1))
        bits.number(), bits.number(), bits.take(1)  # bits of brightness and colour, a way to code losslessly
        if bits.take(1):
            return None  # scaling matrices, which no common encoder writes here
    frame_num_bits = bits.number() + 4
    order_type = bits.number()
    if order_type == 1:
        return None
    order_bits = bits.number() + 4 if order_type == 0 else 0
    bits.number(), bits.take(1), bits.number(), bits.number()  # reference frames, gaps, width, height
    return SequenceHead(frame_num_bits, order_bits, not bits.take(1), separate_planes, length_bytes)


class OrderCheck:
    """Holds the times of packets against the order counts of their pictures.

    Args:
        head: Of the stream.
    """

    def __init__(self, head: SequenceHead) -> None:
        self._head = head
        self._period = 1 << head.order_bits
        self._reference = 0
        self._sequence = 0
        self._num_pictures = 0
        self._seen: list[tuple[int, int, int]] = []
        self._is_readable = True

    def add(self, packet: memoryview, pts: int) -> bool:
        """Take in the next packet in the order of storing.

        Returns:
            Whether no other picture is built on this one: it is no reference, and of a kind that seldom is one.
        """
        picture = self._head.picture_of(packet)
        if picture is None:
            self._is_readable = False
            return False
        if picture.starts_sequence:
            self._sequence, self._reference = self._sequence + 1, 0
        # Only low bits are stored: the count is the one nearest to that of the reference picture before.
        half = self._period // 2
        order = self._reference + (picture.low_bits - self._reference + half) % self._period - half
        if not self._head.order_bits:  # shown in the order of decoding
            order = self._num_pictures
        self._num_pictures += 1
        if picture.is_reference:
            self._reference = order
        self._seen.append((pts, self._sequence, order))
        return picture.is_b and not picture.is_reference

    def agrees(self) -> bool:
        """Whether the pictures taken in are shown in the order of their times, as far as their heads can be read."""
        seen = sorted(self._seen)
        return self._is_readable and all(before[1:] < after[1:] for before, after in itertools.pairwise(seen))

    def forget(self, before: int) -> None:
        """Forget the pictures shown before a time, once those taken in agree and any to come is shown after it."""
        self._seen = [picture for picture in self._seen if picture[0] >= before]
