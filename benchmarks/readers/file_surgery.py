"""Changes to files, byte by byte, that no encoder makes on request: orientation, missing headers, damage."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
from av.packet import Packet

FIXED = 1 << 16
"""One in the fixed-point numbers of a display matrix (16.16)."""

ORIENTATIONS: dict[str, tuple[int, int, int, int]] = {
    "turned 90": (0, 1, -1, 0),
    "turned 180": (-1, 0, 0, -1),
    "turned 270": (0, -1, 1, 0),
    "mirrored left-right": (-1, 0, 0, 1),
    "mirrored top-bottom": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transposed the other way": (0, -1, -1, 0),
}
"""a, b, c, d of the matrix: the stored pixel (x, y), y downwards, is shown at (a x + c y, b x + d y)."""


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    """Write a display matrix into the only track of an MP4 file (ISO/IEC 14496-12, 8.3.2).

    Args:
        path: The file.
        matrix: a, b, c, d, each -1, 0 or 1.
        size: Height and width as stored; the picture is moved back to where its corner lies at zero.
    """
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4
    place += 4 + (32 if data[place] == 1 else 20) + 16  # flags, times and number, layer and volume
    (height, width), (a, b, c, d) = size, matrix
    x = -min(0, a * width) - min(0, c * height)
    y = -min(0, b * width) - min(0, d * height)
    fields = (a * FIXED, b * FIXED, 0, c * FIXED, d * FIXED, 0, x * FIXED, y * FIXED, 1 << 30)
    struct.pack_into(">9i", data, place, *fields)
    path.write_bytes(data)


def remove_default_duration(path: Path) -> None:
    """Turn a WebM's DefaultDuration into an empty element of the same length, as files recorded by browsers lack it."""
    data = bytearray(path.read_bytes())
    place = data.index(b"\x23\xe3\x83")
    length = 4 + (data[place + 3] & 0x7F)
    data[place : place + length] = bytes([0xEC, 0x80 | (length - 2)]) + bytes(length - 2)
    path.write_bytes(data)


def rewrite_packets(source: Path, target: Path, change: Callable[[int, Packet[Any]], bytes | None]) -> None:
    """Copy a video packet by packet; ``change`` gets the number in stored order and gives the new bytes, None drops."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        for number, packet in enumerate(_packets(read, stream)):
            data = change(number, packet)
            if data is None:
                continue
            changed = Packet(data)
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.duration, changed.is_keyframe, changed.stream = packet.duration, packet.is_keyframe, copy
            write.mux_one(changed)


def is_needed(data: bytes) -> bool:
    """Whether others are built on the frame in an H.264 packet with units after their lengths (H.264, 7.4.1)."""
    place = 0
    while place < len(data):
        if data[place + 4] & 31 in SLICES:
            return bool(data[place + 4] >> 5 & 3)
        place += 4 + int.from_bytes(data[place : place + 4], "big")
    raise ValueError("a packet without a slice")


SLICES = (1, 5)
"""Types of H.264's units that hold pictures."""


def packet_places(path: Path) -> list[tuple[int, int]]:
    """Where the bytes of each packet of the video lie, in stored order: place and length."""
    with av.open(str(path)) as container:
        is_ts = container.format.name == "mpegts"
        # A short frame fills one packet of a transport stream from its end.
        return [
            (int(packet.pos or 0) + (max(0, TS_LENGTH - packet.size) if is_ts else 0), packet.size)
            for packet in _packets(container, container.streams.video[0])
        ]


TS_LENGTH = 188
"""Bytes of a packet of a transport stream."""


def flip_bits(path: Path, packet: int) -> None:
    """Flip one bit in each of a few bytes in the middle of a packet."""
    data = bytearray(path.read_bytes())
    place, length = packet_places(path)[packet]
    for part in (0.4, 0.55, 0.7):
        data[place + int(length * part)] ^= 0x10
    path.write_bytes(data)


def cut_inside(path: Path, packet: int) -> None:
    """Cut a file off in the middle of a packet."""
    place, length = packet_places(path)[packet]
    path.write_bytes(path.read_bytes()[: place + length // 2])


def _packets(container: Any, stream: Any) -> Iterator[Packet[Any]]:
    return (packet for packet in container.demux(stream) if packet.size)
