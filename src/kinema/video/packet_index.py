"""The frames of a file as its packets announce them, read without decoding anything."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

TRUSTED_FORMATS = frozenset({"mov", "matroska", "webm"})
"""Containers that give every packet its presentation time, so that the packets alone tell the order of the frames."""

SEEKABLE_FORMATS = TRUSTED_FORMATS | {"avi", "flv"}
"""Containers whose seeking lands on the packet that was asked for, once their packets agree with a full decode."""


@dataclass(frozen=True, eq=False, slots=True)
class PacketIndex:
    """Presentation times of the packets that should give a frame, and where decoding can start.

    Attributes:
        pts: Presentation times in ascending order, int64, in units of the stream's time base; one per expected frame.
        key_positions: For each key frame, the position of the first frame shown at or after it; ascending.
        key_pts: Presentation time of each key frame.
        key_dts: Decoding time of each key frame.
        orderly: Every packet has its own presentation time and nothing is marked as damaged.
        formats: Names of the container format.
    """

    pts: np.ndarray
    key_positions: list[int]
    key_pts: list[int]
    key_dts: list[int]
    orderly: bool
    formats: frozenset[str]
    _key_numbers: dict[int, int] = field(repr=False)
    _positions: dict[int, int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def trusted(self) -> bool:
        """Whether the packets tell the frames without a full decode."""
        return self.orderly and len(self) > 0 and bool(self.formats & TRUSTED_FORMATS)

    @property
    def seekable(self) -> bool:
        """Whether one may seek once the number of frames is known to be ``len(self)``."""
        return self.orderly and len(self) > 0 and bool(self.formats & SEEKABLE_FORMATS)

    def key_before(self, position: int) -> int:
        """Number of the last key frame from which the frame at ``position`` can be decoded; -1 when there is none."""
        return bisect_right(self.key_positions, position) - 1

    def key_at(self, pts: int | None) -> int | None:
        """Number of the key frame with exactly this presentation time, if there is one."""
        return None if pts is None else self._key_numbers.get(pts)

    def position_of(self, pts: int | None) -> int | None:
        """Position of the frame with exactly this presentation time, if there is one."""
        return None if pts is None else self._positions.get(pts)


def read_packet_index(container: InputContainer, stream: VideoStream) -> PacketIndex:
    """Read every packet of ``stream`` once; the container then stands at its end."""
    pts: list[int] = []
    keys: list[tuple[int, int]] = []
    formats = frozenset(container.format.name.split(","))
    # AVI has no presentation times: what stands in for them is wrong as soon as frames are stored out of order.
    orderly = not ("avi" in formats and stream.codec_context.has_b_frames)
    is_vp8 = stream.codec_context.name in ("vp8", "libvpx")
    length_bytes = _unit_length_bytes(stream)
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.pts is None or packet.is_corrupt or (length_bytes and not _is_whole(packet, length_bytes)):
                orderly = False
                continue
            if packet.is_keyframe:
                keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
            if not packet.is_discard and not (is_vp8 and _is_hidden_vp8(packet)):
                pts.append(packet.pts)
    except FFmpegError:
        orderly = False
    times = np.sort(np.asarray(pts, dtype=np.int64))
    orderly = orderly and bool(np.all(np.diff(times) > 0))
    keys.sort()
    key_pts = [key[0] for key in keys]
    return PacketIndex(
        pts=times,
        key_positions=np.searchsorted(times, np.asarray(key_pts, dtype=np.int64), side="left").tolist(),
        key_pts=key_pts,
        key_dts=[key[1] for key in keys],
        orderly=orderly,
        formats=formats,
        _key_numbers={key: number for number, key in enumerate(key_pts)},
        _positions={time: position for position, time in enumerate(times.tolist())},
    )


def _is_hidden_vp8(packet: Packet[Any]) -> bool:
    """Whether a VP8 packet holds an alternate reference frame, which is decoded but never shown (RFC 6386, 9.1)."""
    return not memoryview(packet)[0] >> 4 & 1


def _unit_length_bytes(stream: VideoStream) -> int:
    """How many bytes give the length of each unit in H.264 and HEVC packets; 0 where packets are not built so.

    From the configuration record before the first packet (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1).
    """
    record = stream.codec_context.extradata or b""
    place = {"h264": 4, "hevc": 21}.get(stream.codec_context.name)
    if place is None or len(record) <= place or record[0] != 1:
        return 0
    return (record[place] & 3) + 1


def _is_whole(packet: Packet[Any], length_bytes: int) -> bool:
    """Whether the units of an H.264 or HEVC packet fill it exactly; the decoder rejects a packet where they do not."""
    data = memoryview(packet)
    place, end = 0, len(data)
    while place + length_bytes <= end:
        place += length_bytes + int.from_bytes(data[place : place + length_bytes], "big")
    return place == end
