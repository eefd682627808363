"""Reads optical flow stored in 8 bits, one file per video, as a video whose frames have the channels x and y.

Two kinds of file, both with their description inside:

- ``NAME.flow.zip``: a zip archive, not compressed further, with the grey JPEGs ``x_000000.jpg`` and ``y_000000.jpg`` of
  every field and ``description.json`` as the last entry.
- ``NAME.flow.mkv``: lossless grey FFV1 video, the plane x above the plane y, 25 fields per second, the description in
  the tag ``KINEMA_FLOW`` and the CRC-32 of every packet, 8 hexadecimal digits each, in ``KINEMA_FLOW_CRC32``.

A value q stands for ``q * 2 * bound / 255 - bound`` pixels of the frames that the flow was computed on, x to the right,
y downwards.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from abc import abstractmethod
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kinema.errors import VideoError
from kinema.video.decoder import FLOW_SUFFIXES, Decoder
from kinema.video.scaling import Scaling

DESCRIPTION = "description.json"
TAG = "KINEMA_FLOW"
CHECKSUMS_TAG = "KINEMA_FLOW_CRC32"
FIELDS_PER_SEC = 25
"""Of the lossless video; its milliseconds are whole, so every field is found by its time."""

_HALF_WRITTEN = "is damaged or was not written to its end; delete it and extract it again"


@dataclass(frozen=True, kw_only=True)
class FlowDescription:
    """How the flow of a store was made.

    Attributes:
        method: ``tvl1``, ``farneback`` or ``dis``.
        backend: Whose code computed it.
        version: Of that code and its parameters.
        bound: Displacement in pixels that the largest value stands for; beyond it fields were clipped.
        kind: ``jpeg`` or ``video``.
        step: Frames from one used frame to the next: field i leads from frame ``i * step`` to ``(i + 1) * step``.
        size: Height and width of the fields.
        num_fields: Number of fields.
        fps: Fields per second of the original video; 0 when it does not say.
        short_side: Shorter side that was asked for, in pixels; 0 for the video's own.
        quality: Of the JPEGs, 1 to 100; 0 for lossless video.
        source: Id of the video.
        times_sec: When each field is shown, in seconds from the first, where they are not evenly spaced; else empty.
    """

    method: str
    backend: str
    version: str
    bound: float
    kind: str
    step: int
    size: tuple[int, int]
    num_fields: int
    fps: float
    short_side: int
    quality: int
    source: str
    times_sec: tuple[float, ...] = ()

    def to_json(self) -> str:
        """Write as JSON; ``from_json`` gives an equal description back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(path: Path, text: str | bytes) -> FlowDescription:
        """Read what ``to_json`` wrote.

        Raises:
            VideoError: The text is something else.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["size"] = tuple(values["size"])
            values["times_sec"] = tuple(values.get("times_sec", ()))
            known = {field.name for field in fields(FlowDescription)}
            return FlowDescription(**{name: value for name, value in values.items() if name in known})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VideoError(path, f"has no readable description of its flow ({error}); extract it again") from error


def open_flow_store(path: str | Path, *, scaling: Scaling | None = None) -> FlowStore:
    """Open a store; its fields are read as frames with two channels.

    Args:
        path: The file.
        scaling: Size of the fields that are returned. Values stay displacements in stored pixels.

    Raises:
        VideoError: The file is missing, damaged, half written or no store.
    """
    path = Path(path)
    kind = JpegStore if path.name.endswith(FLOW_SUFFIXES["jpeg"]) else LosslessStore
    if not path.is_file():
        raise VideoError(path, "no such file; check the path")
    if path.stat().st_size == 0:
        raise VideoError(path, _HALF_WRITTEN)
    return kind(path, scaling=scaling or Scaling())


class FlowStore(Decoder):
    """The stored flow of one video; see ``Decoder``. Frames are fields: axes ``t h w c`` with c = x, y.

    Attributes:
        description: How the flow was made.
    """

    description: FlowDescription
    holds_flow = True

    @property
    def fps(self) -> float:
        """Fields per second; see ``Decoder``."""
        return self.description.fps

    @property
    def size(self) -> tuple[int, int]:
        """See ``Decoder``."""
        return self.description.size

    @property
    def duration_sec(self) -> float:
        """See ``Decoder``."""
        return len(self) / self.fps if self.fps else 0.0

    def __len__(self) -> int:
        return self.description.num_fields

    def count_frames(self) -> int:
        """Decode every field; see ``Decoder``."""
        for _ in self.iter_frames():
            pass
        return len(self)

    def frame_times(self) -> np.ndarray:
        """When each field is shown, in seconds from the first one; see ``Decoder``."""
        return self._times_of(np.arange(len(self)))

    @abstractmethod
    def _field(self, position: int) -> np.ndarray:
        """One field as stored, axes ``h w c``, uint8."""

    def _decode(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if positions[-1] >= len(self):
            reason = f"has {len(self)} fields (0 to {len(self) - 1}), but field {positions[-1]} was asked for"
            raise VideoError(self.path, reason)
        height, width = self.scaling.target(self.size)
        pixels = np.empty((len(positions), height, width, 2), np.uint8)
        for target, position in zip(pixels, positions.tolist(), strict=True):
            field = self._field(position)
            if field.shape[:2] == (height, width):
                target[...] = field
            else:
                shrinks = field.shape[0] * field.shape[1] > height * width
                how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
                cv2.resize(field, (width, height), dst=target, interpolation=how)
        return pixels, self._times_of(positions)

    def _times_of(self, positions: np.ndarray) -> np.ndarray:
        if self.description.times_sec:
            return np.asarray(self.description.times_sec, np.float64)[positions]
        return positions / self.fps if self.fps else np.zeros(len(positions))


class JpegStore(FlowStore):
    """Pairs of grey JPEGs in one archive; see ``open_flow_store``."""

    def __init__(self, path: Path, *, scaling: Scaling) -> None:
        self.path, self.scaling = path, scaling
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise VideoError(path, _HALF_WRITTEN) from error
        try:
            text = self._archive.read(DESCRIPTION)
        except (KeyError, zipfile.BadZipFile, OSError) as error:
            self.close()
            raise VideoError(path, _HALF_WRITTEN) from error
        self.description = FlowDescription.from_json(path, text)

    def _field(self, position: int) -> np.ndarray:
        height, width = self.size
        field = np.empty((height, width, 2), np.uint8)
        for channel, axis in enumerate("xy"):
            try:
                data = self._archive.read(entry_name(axis, position))
            except (KeyError, zipfile.BadZipFile, OSError) as error:
                raise VideoError(self.path, _HALF_WRITTEN) from error
            plane = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
            if plane is None or plane.shape != self.size:
                raise VideoError(self.path, _HALF_WRITTEN)
            field[..., channel] = plane
        return field

    def close(self) -> None:
        """See ``Decoder``."""
        self._archive.close()


class LosslessStore(FlowStore):
    """Lossless grey video, x above y; see ``open_flow_store``."""

    def __init__(self, path: Path, *, scaling: Scaling) -> None:
        from kinema.video.cursor import FrameCursor  # here, for it loads PyAV, which archives do not need

        self.path, self.scaling = path, scaling
        if not _is_whole_matroska(path):
            raise VideoError(path, _HALF_WRITTEN)
        self._cursor = FrameCursor(path, threads=1)
        tags = self._cursor.container.metadata
        self.description = FlowDescription.from_json(path, tags.get(TAG, ""))
        self._checksums = tags.get(CHECKSUMS_TAG, "")
        if len(self._checksums) != 8 * self.description.num_fields:
            self.close()
            raise VideoError(path, _HALF_WRITTEN)
        self._next = 0
        self._packets = self._cursor.packets()

    def _field(self, position: int) -> np.ndarray:
        if position != self._next:
            time_base = self._cursor.stream.time_base or Fraction(1, 1000)
            self._cursor.seek(round(position / FIELDS_PER_SEC / time_base))
            self._packets = self._cursor.packets()
        self._next = position + 1
        packet = next(self._packets, None)
        # FFmpeg paints over what it finds damaged and says nothing, so the checksums are our own.
        wanted = self._checksums[8 * position : 8 * position + 8]
        if packet is None or checksum(bytes(packet)) != wanted:
            raise VideoError(self.path, _HALF_WRITTEN)
        frames = self._cursor.decode(packet)
        height, width = self.size
        if len(frames) != 1 or (frames[0].height, frames[0].width) != (2 * height, width):
            raise VideoError(self.path, _HALF_WRITTEN)
        planes = frames[0].to_ndarray()
        return np.stack([planes[:height], planes[height:]], axis=-1)

    def close(self) -> None:
        """See ``Decoder``."""
        self._cursor.close()


def checksum(packet: bytes) -> str:
    """CRC-32 of an encoded field, 8 hexadecimal digits."""
    return f"{zlib.crc32(packet):08x}"


def entry_name(axis: str, position: int) -> str:
    """Name of a JPEG inside an archive."""
    return f"{axis}_{position:06d}.jpg"


def _is_whole_matroska(path: Path) -> bool:
    """Whether a Matroska file is as long as it says. The length is written last, and a copy cut short misses it."""
    segment = b"\x18\x53\x80\x67"  # the element that holds everything; its length follows in 1 + 7 bytes
    with path.open("rb") as file:
        head = file.read(4096)
    position = head.find(segment)
    start = position + len(segment) + 8
    if position < 0 or len(head) < start or head[start - 8] != 1:
        return False
    return start + int.from_bytes(head[start - 7 : start], "big") <= path.stat().st_size
