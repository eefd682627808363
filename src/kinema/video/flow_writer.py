"""Writes the flow of one video into one file, field by field, whole or not at all."""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from glob import escape
from pathlib import Path
from typing import BinaryIO

import av
import cv2
import numpy as np

from kinema.errors import UserError, one_of
from kinema.files import whole_file
from kinema.video.decoder import FLOW_SUFFIXES
from kinema.video.flow_store import (
    CHECKSUMS_TAG,
    DESCRIPTION,
    FIELDS_PER_SEC,
    TAG,
    FlowDescription,
    checksum,
    entry_name,
)

KINDS = tuple(FLOW_SUFFIXES)
"""``jpeg`` and ``video``."""

JPEG_QUALITY = 95
"""OpenCV's own, which the two-stream papers used without saying so."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date that an archive can name; the same fields make the same bytes


class FlowWriter(ABC):
    """Takes the fields of one video in order; made by ``writing_store``."""

    num_fields = 0

    @abstractmethod
    def _add(self, field: np.ndarray) -> None:
        """Write one field, axes ``h w c``."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file, whatever state it is in."""

    @abstractmethod
    def finish(self, description: FlowDescription) -> None:
        """Write what comes after the last field."""

    def add(self, fields: np.ndarray) -> None:
        """Append fields.

        Args:
            fields: Axes ``n h w c`` with c = x, y, uint8, all of one size.
        """
        assert fields.dtype == np.uint8, "fields are stored in 8 bits"
        assert fields.shape[3] == 2, "a field has the channels x and y"
        for field in fields:
            self._add(field)
            self.num_fields += 1


class _JpegWriter(FlowWriter):
    def __init__(self, file: BinaryIO, description: FlowDescription) -> None:
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._how = [cv2.IMWRITE_JPEG_QUALITY, description.quality]

    def _add(self, field: np.ndarray) -> None:
        for channel, axis in enumerate("xy"):
            done, data = cv2.imencode(".jpg", np.ascontiguousarray(field[..., channel]), self._how)
            assert done, "grey pictures can be encoded"
            self._archive.writestr(zipfile.ZipInfo(entry_name(axis, self.num_fields), _EARLIEST), data.tobytes())

    def finish(self, description: FlowDescription) -> None:
        self._archive.writestr(zipfile.ZipInfo(DESCRIPTION, _EARLIEST), description.to_json())
        self.close()

    def close(self) -> None:
        self._archive.close()


class _LosslessWriter(FlowWriter):
    """Keeps encoded fields in memory until their number, which the description states, is known."""

    def __init__(self, file: BinaryIO, description: FlowDescription) -> None:
        height, width = description.size
        self._output = av.open(file, "w", format="matroska", container_options={"fflags": "+bitexact"})
        options = {"level": "3", "slicecrc": "1", "g": "1", "slices": "4"}  # g: every field is a key frame
        self._stream = self._output.add_stream("ffv1", rate=FIELDS_PER_SEC, options=options)
        self._stream.pix_fmt, self._stream.width, self._stream.height = "gray", width, 2 * height
        self._stream.codec_context.thread_count = 1
        self._packets: list[av.Packet] = []

    def _add(self, field: np.ndarray) -> None:
        planes = np.concatenate([field[..., 0], field[..., 1]])
        frame = av.VideoFrame.from_ndarray(planes, format="gray")
        frame.pts, frame.time_base = self.num_fields, Fraction(1, FIELDS_PER_SEC)
        self._packets += self._stream.encode(frame)

    def finish(self, description: FlowDescription) -> None:
        packets = [*self._packets, *self._stream.encode(None)]
        self._output.metadata[TAG] = description.to_json()
        self._output.metadata[CHECKSUMS_TAG] = "".join(checksum(bytes(packet)) for packet in packets)
        for packet in packets:
            self._output.mux(packet)
        self.close()

    def close(self) -> None:
        self._output.close()


@contextmanager
def writing_store(path: str | Path, description: FlowDescription) -> Iterator[FlowWriter]:
    """Write a store inside the block; the file appears, complete, when the block ends well.

    What killed processes left behind of the same store is removed first.

    Args:
        path: The file; its folder is made.
        description: How the flow is made; ``num_fields`` is counted.

    Raises:
        UserError: The kind is unknown, or the path does not end as files of that kind do.
        OSError: The file cannot be written, such as on a full disk.
    """
    one_of("kind of flow store", description.kind, KINDS)
    path = Path(path)
    if not path.name.endswith(FLOW_SUFFIXES[description.kind]):
        raise UserError(f"{path}: files of kind {description.kind!r} end in {FLOW_SUFFIXES[description.kind]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    for remains in path.parent.glob(f".{escape(path.name)}.*.part"):
        remains.unlink(missing_ok=True)
    with whole_file(path) as part, part.open("wb") as file:
        writer = (_JpegWriter if description.kind == "jpeg" else _LosslessWriter)(file, description)
        try:
            yield writer
            writer.finish(replace(description, num_fields=writer.num_fields))
        except BaseException:
            with suppress(OSError, ValueError):  # the first error is the one to tell
                writer.close()
            raise


def refuse_difference(path: str | Path, found: FlowDescription, wanted: FlowDescription) -> None:
    """Make sure that a store is what an extraction would write now.

    Raises:
        UserError: It was made otherwise; the message has both values.
    """
    for name in ("method", "backend", "version", "bound", "step", "short_side", "quality", "source"):
        if getattr(found, name) != getattr(wanted, name):
            raise UserError(
                f"{path} was made with {name.replace('_', ' ')} {getattr(found, name)!r}, "
                f"not {getattr(wanted, name)!r}; give another --out, or delete what is there"
            )
