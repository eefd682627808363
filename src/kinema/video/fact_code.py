"""Writes ``FileFacts`` as bytes that are small and tell when they are damaged, and reads them again."""

from __future__ import annotations

import json
import zlib
from fractions import Fraction
from typing import Any

import av
import numpy as np

from kinema.video.clock import TimeScale
from kinema.video.codec_settings import CodecSettings
from kinema.video.file_facts import FileFacts, Picture
from kinema.video.orientation import Orientation
from kinema.video.packet_index import PacketIndex, positions_of_keys
from kinema.video.packet_table import PacketTable

VERSION = [1, av.__version__]
"""Of the way of writing, and of the library that found the facts out; those of another one are not believed."""

KEY, NEEDED = 1, 2
"""Bits that describe a packet."""


def encode(facts: FileFacts) -> bytes:
    """Write facts."""
    index, packets = facts.index, facts.packets
    arrays = {"key_dts": np.asarray(index.key_dts, np.int64)}
    if packets is not None:
        flags = KEY * packets.are_keys.astype(np.int64) + NEEDED * packets.are_needed
        arrays |= {"begins": packets.begins, "sizes": packets.sizes, "packets": packets.pts, "flags": flags}
    else:
        arrays |= {"pts": index.pts, "key_pts": np.asarray(index.key_pts, np.int64), "clock": index.clock}
    header = {
        "version": VERSION,
        "codec": [facts.codec.name, facts.codec.extradata.hex(), *facts.codec[2:5], list(facts.codec.colors)],
        "picture": list(facts.picture),
        "orientation": list(facts.orientation),
        "scale": [*facts.scale.time_base.as_integer_ratio(), facts.scale.zero_sec],
        "rates": [facts.fps, facts.duration_sec, facts.ends_checked],
        "index": [index.orderly, sorted(index.formats), index.runs, index.has_settings],
        "arrays": {name: len(values) for name, values in arrays.items()},
    }
    # Steps repeat, the values themselves do not.
    steps = b"".join(np.diff(values, prepend=0).astype("<i8").tobytes() for values in arrays.values())
    data = zlib.compress(json.dumps(header).encode() + b"\n" + steps, 1)
    return zlib.crc32(data).to_bytes(4, "big") + data


def decode(data: bytes) -> FileFacts | None:
    """Read facts; None when the bytes are damaged or of another version."""
    if len(data) < 4 or zlib.crc32(data[4:]) != int.from_bytes(data[:4], "big"):
        return None
    text, _, steps = zlib.decompress(data[4:]).partition(b"\n")
    header = json.loads(text)
    if header["version"] != VERSION:
        return None
    arrays, begin = {}, 0
    for name, length in header["arrays"].items():
        arrays[name] = np.cumsum(np.frombuffer(steps, "<i8", length, begin))
        begin += 8 * length
    packets = _packet_table(arrays) if "packets" in arrays else None
    name, extradata, height, width, reorder_depth, colors = header["codec"]
    numerator, denominator, zero_sec = header["scale"]
    fps, duration_sec, ends_checked = header["rates"]
    return FileFacts(
        index=_packet_index(header, arrays, packets),
        packets=packets,
        codec=CodecSettings(name, bytes.fromhex(extradata), height, width, reorder_depth, tuple(colors)),
        picture=Picture(*header["picture"]),
        orientation=Orientation(*header["orientation"]),
        scale=TimeScale(Fraction(numerator, denominator), zero_sec),
        fps=fps,
        duration_sec=duration_sec,
        ends_checked=ends_checked,
    )


def _packet_table(arrays: dict[str, np.ndarray]) -> PacketTable:
    flags = arrays["flags"]
    are_keys, are_needed = (flags & KEY > 0), (flags & NEEDED > 0)
    return PacketTable(arrays["begins"], arrays["sizes"], arrays["packets"], are_keys, are_needed)


def _packet_index(header: dict[str, Any], arrays: dict[str, np.ndarray], packets: PacketTable | None) -> PacketIndex:
    if packets is not None:
        pts = clock = np.sort(packets.pts)
        key_pts = np.sort(packets.pts[packets.are_keys]).tolist()
    else:
        pts, clock, key_pts = arrays["pts"], arrays["clock"], arrays["key_pts"].tolist()
    orderly, formats, runs, has_settings = header["index"]
    return PacketIndex(
        pts=pts,
        key_positions=positions_of_keys(pts, key_pts),
        key_pts=key_pts,
        key_dts=arrays["key_dts"].tolist(),
        orderly=orderly,
        formats=frozenset(formats),
        clock=clock,
        runs=runs,
        has_settings=has_settings,
    )
