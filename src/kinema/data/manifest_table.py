"""The manifest in memory: which videos a data set has, their labels and splits, as a few arrays.

``kinema.data.manifest`` reads, writes and checks it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from kinema.data.columns import SPLITS, Array, Columns, TextColumn
from kinema.errors import UserError, unknown_name
from kinema.video.location import below
from kinema.wording import counted

NAN = float("nan")


class Record(NamedTuple):
    """One row of a manifest: a video, or the part of it from ``start`` to ``end`` seconds (half open).

    ``label`` is the class name and ``label_index`` its position among the classes ("" and -1 when unlabelled).
    ``num_frames`` and ``fps`` are what a scan measured, 0 before; ``damaged`` is the number of damaged frames that it
    found, and such a video is read from its start. ``start`` and ``end`` are nan when the whole video is meant. Videos
    of one ``group`` (the same actor, scene or recording) never lie in two splits; "" means no group.
    """

    video_id: str
    path: str
    label: str = ""
    label_index: int = -1
    split: str = "train"
    num_frames: int = 0
    fps: float = 0.0
    start: float = NAN
    end: float = NAN
    group: str = ""
    damaged: int = 0


class ManifestTable:
    """The videos of a data set, in a fixed order, with their classes.

    ``classes`` are the names in label order, ``no_flip`` those whose meaning a mirror image changes, and ``root`` is
    the folder to which relative paths refer. Indexing and iterating give ``Record``s; ``select`` shares the memory of
    the whole.
    """

    def __init__(
        self,
        columns: Columns,
        *,
        classes: Sequence[str],
        root: str | Path,
        no_flip: Iterable[str] = (),
        rows: Array | None = None,
        source: str = "",
    ) -> None:
        self.columns = columns
        self.rows = np.arange(len(columns)) if rows is None else rows
        self.classes = tuple(classes)
        self.no_flip = frozenset(no_flip)
        self.root = Path(root)
        self.source = source

    @classmethod
    def from_records(
        cls,
        records: Iterable[Record],
        *,
        classes: Sequence[str],
        root: str | Path,
        no_flip: Iterable[str] = (),
        source: str = "",
    ) -> Self:
        """Build a manifest from rows; ``label`` decides the class and ``label_index`` is worked out from it.

        Raises:
            UserError: A label is not among ``classes``, or a split is not train, val or test.
        """
        rows = list(records)
        index = {name: position for position, name in enumerate(classes)} | {"": -1}
        codes = {name: code for code, name in enumerate(SPLITS)}
        for record in rows:
            if record.label not in index:
                raise unknown_name(f"label of video {record.video_id!r}", record.label, classes)
            if record.split not in codes:
                raise unknown_name(f"split of video {record.video_id!r}", record.split, SPLITS)
        columns = Columns(
            video_id=TextColumn.of(record.video_id for record in rows),
            path=TextColumn.of(record.path for record in rows),
            label=np.array([index[record.label] for record in rows], np.int32),
            split=np.array([codes[record.split] for record in rows], np.int8),
            num_frames=np.array([record.num_frames for record in rows], np.int64),
            fps=np.array([record.fps for record in rows], np.float64),
            start=np.array([record.start for record in rows], np.float64),
            end=np.array([record.end for record in rows], np.float64),
            group=TextColumn.of(record.group for record in rows),
            damaged=np.array([record.damaged for record in rows], np.int64),
        )
        return cls(columns, classes=classes, root=root, no_flip=no_flip, source=source)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        columns, row = self.columns, int(self.rows[index])
        label = int(columns.label[row])
        return Record(
            video_id=columns.video_id[row],
            path=below(self.root, columns.path[row]),
            label=self.classes[label] if label >= 0 else "",
            label_index=label,
            split=SPLITS[columns.split[row]],
            num_frames=int(columns.num_frames[row]),
            fps=float(columns.fps[row]),
            start=float(columns.start[row]),
            end=float(columns.end[row]),
            group=columns.group[row],
            damaged=int(columns.damaged[row]),
        )

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {self.count(name):,}" for name in self.splits)
        numbers = (
            f"{counted(len(self), 'video')}, {counted(len(self.classes), 'class', 'classes')}, {counts or 'empty'}"
        )
        return f"{type(self).__name__}({numbers}, root={self.root})"

    @property
    def labels(self) -> Array:
        """Class indices of all rows, int64, -1 where unlabelled."""
        return self.columns.label[self.rows].astype(np.int64)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have videos, in the order train, val, test."""
        present = np.bincount(self.columns.split[self.rows], minlength=len(SPLITS))
        return tuple(name for name, count in zip(SPLITS, present, strict=True) if count)

    @property
    def video_ids(self) -> list[str]:
        """The ids of all rows; builds a list, so keep it short-lived for large sets."""
        return self.columns.video_id.take(self.rows)

    @property
    def groups(self) -> list[str]:
        """The groups of all rows, "" where a video has none."""
        return self.columns.group.take(self.rows)

    def count(self, split: str) -> int:
        """Count the videos of a split."""
        return int((self.columns.split[self.rows] == SPLITS.index(split)).sum())

    def select(self, split: str | None = None, indices: Sequence[int] | Array | None = None) -> Self:
        """Return the rows of one split, or those at ``indices``, or of both together (first the split, then indices).

        Raises:
            UserError: No such split, or nothing is left.
        """
        rows = self.rows
        if split is not None:
            if split not in SPLITS:
                raise unknown_name("split", split, SPLITS)
            rows = rows[self.columns.split[rows] == SPLITS.index(split)]
            if not len(rows):
                here = ", ".join(self.splits) or "nothing at all"
                raise UserError(f"{self.name} has no videos in the split {split!r}; it has {here}.")
        if indices is not None:
            rows = rows[np.asarray(indices, np.int64)]
        if not len(rows):
            raise UserError(f"{self.name}: the selection leaves no videos.")
        return self._with(rows=rows)

    def with_splits(self, splits: Sequence[str]) -> Self:
        """Return the same rows with the given split names."""
        assert len(splits) == len(self)
        column = self.columns.split.copy()
        column[self.rows] = [SPLITS.index(name) for name in splits]
        return self._with(columns=dataclasses.replace(self.columns, split=column))

    def with_counts(
        self, num_frames: Sequence[int] | Array, fps: Sequence[float] | Array, damaged: Sequence[int] | Array = ()
    ) -> Self:
        """Return the same rows with measured frame counts, frame rates and, where given, numbers of damaged frames."""
        counts = {"num_frames": num_frames, "fps": fps} | ({"damaged": damaged} if len(damaged) else {})
        columns = {}
        for name, values in counts.items():
            assert len(values) == len(self)
            columns[name] = getattr(self.columns, name).copy()
            columns[name][self.rows] = values
        return self._with(columns=dataclasses.replace(self.columns, **columns))

    def without_groups(self) -> Self:
        """Return the same rows, no video belonging to a group."""
        return self._with(columns=dataclasses.replace(self.columns, group=TextColumn.of([""] * len(self.columns))))

    @property
    def name(self) -> str:
        """What to call this manifest in a message: the file or folder it came from."""
        return self.source or str(self.root)

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of what is asked of a model: classes, ids, labels, splits, segments, groups.

        Where the videos lie and what a scan measured do not count, so that copies on two machines agree.
        """
        columns, rows = self.columns, self.rows
        state = hashlib.sha256()
        for texts in (list(self.classes), sorted(self.no_flip), self.video_ids, self.groups):
            state.update("\0".join(texts).encode("utf-8", "surrogateescape") + f"\n{len(texts)}\n".encode())
        state.update(columns.label[rows].astype("<i4").tobytes())
        state.update(columns.split[rows].astype("<i1").tobytes())
        for seconds in (columns.start[rows], columns.end[rows]):
            # nan has many bit patterns and -0.0 equals 0.0; milliseconds are exact enough for a segment
            state.update(np.where(np.isnan(seconds), -1, np.rint(seconds * 1000)).astype("<i8").tobytes())
        return state.hexdigest()

    def with_no_flip(self, no_flip: Iterable[str]) -> Self:
        """Return the same rows, with other classes whose meaning a mirror image changes."""
        return self._with(no_flip=no_flip)

    def _with(
        self, *, columns: Columns | None = None, rows: Array | None = None, no_flip: Iterable[str] | None = None
    ) -> Self:
        return type(self)(
            self.columns if columns is None else columns,
            classes=self.classes,
            root=self.root,
            no_flip=self.no_flip if no_flip is None else no_flip,
            rows=self.rows if rows is None else rows,
            source=self.source,
        )
