"""The frames of a file as its packets announce them, read without decoding anything."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from kinema.video.packet_table import PacketSurvey

TRUSTED_FORMATS = frozenset({"mov", "matroska", "webm"})
"""Containers that give every packet its presentation time, so that the packets alone tell the order of the frames."""

SEEKABLE_FORMATS = TRUSTED_FORMATS | {"avi", "flv"}
"""Containers whose seeking lands on the packet that was asked for, once their packets agree with a full decode."""

SETTINGS = ("palette", "new_extradata", "param_change")
"""Side data that sets up the decoder. A container gives it once, with the packet from which it holds."""


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """Presentation times of the packets that should give a frame, and where decoding can start.

    Attributes:
        pts: Presentation times in ascending order, int64, in units of the stream's time base; one per expected frame.
        key_positions: For each key frame, the position of the first frame shown at or after it; ascending.
        key_pts: Presentation time of each key frame.
        key_dts: Decoding time of each key frame.
        orderly: Every packet has its own presentation time and nothing is marked as damaged; all can be decoded with
            what the first packet brings.
        formats: Names of the container format.
        clock: When frames are shown, ascending, int64, in units of the time base. In AVI, which knows no presentation
            times, the places of the chunks in the file, empty chunks counted; elsewhere ``pts``.
        runs: Every packet has a time, and the clock does not restart.
        has_settings: Some packet carries settings of the decoder; reading on from there, they are lost to the next.
    """

    pts: np.ndarray
    key_positions: list[int]
    key_pts: list[int]
    key_dts: list[int]
    orderly: bool
    formats: frozenset[str]
    clock: np.ndarray
    runs: bool
    has_settings: bool

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

    @cached_property
    def _key_numbers(self) -> dict[int, int]:
        return {key: number for number, key in enumerate(self.key_pts)}

    @cached_property
    def _positions(self) -> dict[int, int]:
        return {time: position for position, time in enumerate(self.pts.tolist())}

    def key_before(self, position: int) -> int:
        """Number of the last key frame from which the frame at ``position`` can be decoded; -1 when there is none."""
        return bisect_right(self.key_positions, position) - 1

    def key_at(self, pts: int | None) -> int | None:
        """Number of the key frame with exactly this presentation time, if there is one."""
        return None if pts is None else self._key_numbers.get(pts)

    def position_of(self, pts: int | None) -> int | None:
        """Position of the frame with exactly this presentation time, if there is one."""
        return None if pts is None else self._positions.get(pts)


def positions_of_keys(pts: np.ndarray, key_pts: list[int]) -> list[int]:
    """For each key frame the position of the first frame shown at or after it; see ``PacketIndex``."""
    return np.searchsorted(pts, np.asarray(key_pts, dtype=np.int64), side="left").tolist()


def read_packet_index(
    container: InputContainer, stream: VideoStream, survey: PacketSurvey | None = None
) -> PacketIndex:
    """Read every packet of ``stream`` once; the container then stands at its end.

    Args:
        container: The open file.
        stream: Its video stream.
        survey: Takes in the packets too.
    """
    pts: list[int] = []
    dts: list[int | None] = []
    keys: list[tuple[int, int]] = []
    settings: list[int] = []
    formats = frozenset(container.format.name.split(","))
    # AVI has no presentation times: what stands in for them is wrong as soon as frames are stored out of order.
    orderly = not ("avi" in formats and stream.codec_context.has_b_frames)
    num_untimed = 0
    gives_frame = _frame_test(stream)
    try:
        for number, packet in enumerate(container.demux(stream)):
            if packet.size == 0:
                continue
            for side in packet.iter_sidedata():
                if side.data_type in SETTINGS:
                    settings.append(number)
            if survey is not None:
                survey.add(packet)
            shown, time, is_discard = gives_frame(packet), packet.pts, packet.is_discard
            if shown is not False and not is_discard:
                dts.append(packet.dts)
            if time is None or packet.is_corrupt or shown is None:
                orderly = False
                num_untimed += time is None
                continue
            if packet.is_keyframe:
                keys.append((time, time if packet.dts is None else packet.dts))
            if shown and not is_discard:
                pts.append(time)
    except FFmpegError:
        orderly = False
    times = np.sort(np.asarray(pts, dtype=np.int64))
    known = np.asarray([time for time in dts if time is not None], np.int64)
    orderly = orderly and bool(np.all(np.diff(times) > 0)) and not any(settings)
    is_avi = "avi" in formats
    keys.sort()
    key_pts = [key[0] for key in keys]
    return PacketIndex(
        pts=times,
        key_positions=positions_of_keys(times, key_pts),
        key_pts=key_pts,
        key_dts=[key[1] for key in keys],
        orderly=orderly,
        formats=formats,
        clock=known if is_avi else times,
        runs=bool(np.all(np.diff(known) >= 0)) and (len(known) == len(dts) if is_avi else num_untimed == 0),
        has_settings=bool(settings),
    )


def _frame_test(stream: VideoStream) -> Callable[[Packet[Any]], bool | None]:
    """A function that says whether the decoder gives a frame for a packet; None where the packet is broken."""
    is_vp8 = stream.codec_context.name in ("vp8", "libvpx")
    length_bytes = _unit_length_bytes(stream)

    def is_sound(packet: Packet[Any]) -> bool | None:
        return True if _is_whole(packet, length_bytes) else None

    if length_bytes:
        return is_sound
    return (lambda packet: not _is_hidden_vp8(packet)) if is_vp8 else lambda packet: True


def _is_hidden_vp8(packet: Packet[Any]) -> bool:
    """Whether a VP8 packet holds an alternate reference frame, which is decoded but never shown (RFC 6386, 9.1)."""
    return not memoryview(packet)[0] >> 4 & 1


def _unit_length_bytes(stream: VideoStream) -> int:
    """How many bytes give the length of each unit in H.264 and HEVC packets; 0 where packets are not built so.

    From the configuration record before the first packet (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1).
    """
    record = stream.codec_context.extradata or b""
    position = {"h264": 4, "hevc": 21}.get(stream.codec_context.name)
    if position is None or len(record) <= position or record[0] != 1:
        return 0
    return (record[position] & 3) + 1


def _is_whole(packet: Packet[Any], length_bytes: int) -> bool:
    """Whether the units of an H.264 or HEVC packet fill it exactly; the decoder rejects a packet where they do not."""
    data = memoryview(packet)
    position, end = 0, len(data)
    while position + length_bytes <= end:
        position += length_bytes + int.from_bytes(data[position : position + length_bytes], "big")
    return position == end
