"""Compact columns for manifests: a million rows as a few byte buffers.

A list of a million Python objects is copied page by page into every loader worker, because reading an object writes
its reference count. These columns hold no object per row: text is one byte buffer with offsets, the rest plain arrays,
so that workers share the memory of the process that opened the manifest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

ENCODING_ERRORS = "surrogateescape"
"""File names are bytes on Linux; those that are not UTF-8 survive reading and writing this way."""

SPLITS = ("train", "val", "test")
"""The names a split may have, in the order in which they are listed."""

Array: TypeAlias = "np.ndarray"


class TextColumn:
    """Strings in one UTF-8 buffer: ``buffer`` uint8 and ``offsets`` int64, one more than there are strings."""

    def __init__(self, buffer: Array, offsets: Array) -> None:
        assert len(offsets) >= 1
        assert offsets[-1] == len(buffer)
        self.buffer = buffer
        self.offsets = offsets

    @classmethod
    def of(cls, texts: Iterable[str]) -> TextColumn:
        """Pack strings."""
        builder = TextBuilder()
        builder.extend(list(texts))
        return builder.build()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        start, end = self.offsets[row], self.offsets[row + 1]
        return self.buffer[start:end].tobytes().decode("utf-8", ENCODING_ERRORS)

    def take(self, rows: Array) -> list[str]:
        """Return the strings of ``rows`` as a list; for short-lived work over a whole column."""
        data = self.buffer.tobytes()
        starts, ends = self.offsets[rows].tolist(), self.offsets[rows + 1].tolist()
        return [data[start:end].decode("utf-8", ENCODING_ERRORS) for start, end in zip(starts, ends, strict=True)]

    def is_empty(self, rows: Array) -> Array:
        """Tell for each of ``rows`` whether its string is empty; a bool array."""
        return self.offsets[rows] == self.offsets[rows + 1]


class TextBuilder:
    """Collects chunks of strings and joins them into a TextColumn; a chunk's strings are freed at once."""

    def __init__(self) -> None:
        self._buffers: list[bytes] = []
        self._lengths: list[Array] = []

    def extend(self, texts: Sequence[str]) -> None:
        """Append strings."""
        joined = "".join(texts)
        encoded = joined.encode("utf-8", ENCODING_ERRORS)
        if len(encoded) == len(joined):  # ASCII: characters are bytes, which is the usual and the fast case
            lengths = map(len, texts)
        else:
            lengths = (len(text.encode("utf-8", ENCODING_ERRORS)) for text in texts)
        self._buffers.append(encoded)
        self._lengths.append(np.fromiter(lengths, np.int64, len(texts)))

    def build(self) -> TextColumn:
        """Return everything appended so far as one column."""
        lengths = np.concatenate([np.zeros(1, np.int64), *self._lengths])
        buffer = np.frombuffer(b"".join(self._buffers), np.uint8)
        return TextColumn(buffer, np.cumsum(lengths))


@dataclasses.dataclass(frozen=True)
class Columns:
    """Every column of a manifest, all of the same length.

    ``label`` is the class index (-1 unlabelled), ``split`` an index into ``SPLITS``; ``start`` and ``end`` are seconds,
    nan when the whole video is meant.
    """

    video_id: TextColumn
    path: TextColumn
    label: Array
    split: Array
    num_frames: Array
    fps: Array
    start: Array
    end: Array
    group: TextColumn
    damaged: Array

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in dataclasses.fields(self)}
        assert len(set(lengths.values())) == 1, lengths

    def __len__(self) -> int:
        return len(self.label)
