"""Anybody's list of videos, a CSV or TSV with a column of paths and one of labels, as a manifest."""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from kinema.data.folder import SPLIT_FOLDERS
from kinema.data.hold_out import HOLDOUT, hold_out_of_unsplit
from kinema.data.manifest import Manifest, Record
from kinema.data.sources.find_videos import VideoFinder, video_ids
from kinema.data.sources.make import MissingVideosError
from kinema.data.sources.own_labels import name_classes
from kinema.data.sources.own_table import Table, read_table
from kinema.data.validate import find_problems, problems_error
from kinema.errors import UserError, one_of
from kinema.wording import some_of

log = logging.getLogger("kinema")
NAN = float("nan")
_LIKELY = {
    "split": ("split", "subset", "partition", "usage", "fold", "set"),
    "group": ("group", "actor", "subject", "person", "scene", "participant", "source"),
}
"""Column names that most likely hold a split or a group, for a hint."""


@dataclasses.dataclass(frozen=True)
class CsvColumns:
    """Which columns of a list mean what: names from its first line, or numbers counted from 1; "" where there is none.

    Attributes:
        path: Where each video lies.
        label: Name or number of its class.
        split: train, val or test, or words such as ``training``.
        group: Videos of one group never lie in two splits.
        start: Where the part of the video that is meant begins, in seconds.
        end: Where it ends.
    """

    path: str = "path"
    label: str = "label"
    split: str = ""
    group: str = ""
    start: str = ""
    end: str = ""

    def given(self) -> dict[str, str]:
        """The columns that are asked for, by what they mean."""
        return {name: column for name, column in dataclasses.asdict(self).items() if column}


@dataclasses.dataclass(frozen=True)
class OwnList:
    """A manifest made from a list, and the paths of the list that are not on disk and were left out."""

    manifest: Manifest
    missing: list[str]


def read_own_csv(
    file: str | Path,
    columns: CsvColumns = CsvColumns(),
    *,
    videos: str | Path | None = None,
    delimiter: str = "",
    encoding: str = "",
    classes: Sequence[str] = (),
    missing: str = "error",
) -> OwnList:
    """Make a manifest of a list of videos.

    Args:
        file: The CSV. Without a first line of names, columns are given by number.
        columns: Which of its columns mean what.
        videos: The folder to which relative paths refer; by default the folder of the CSV. With it, videos that are not
            where the list says are looked for by name.
        delimiter: What stands between the cells, or its name; comma, semicolon and tab are recognised.
        encoding: Such as ``cp1252``; UTF-8 by default, and UTF-16 where a byte order mark says so.
        classes: Only these classes, in this order. Where the labels are numbers these are their names.
        missing: ``"error"`` refuses when listed videos are not on disk, ``"drop"`` goes on without them.

    Returns:
        The manifest. Where no split is named, 20 % of each class are held out as ``val``, and a warning says so.

    Raises:
        UserError: Columns are unknown, or cells are wrong; the message lists all of it.
        MissingVideosError: Videos are missing and are not to be dropped.
    """
    file = Path(file)
    one_of("choice for missing videos", missing, ("error", "drop"))
    wanted = columns.given()
    for name in ("path", "label"):
        if name not in wanted:
            raise UserError(f"{file}: say which column holds the {name}: --{name} COLUMN")
    table = read_table(file, wanted, delimiter=delimiter, encoding=encoding)
    _hint_at_columns(file, table, wanted)
    rows = _Rows(table, decimal_comma=table.delimiter == ";")
    finder = VideoFinder(file, Path(videos) if videos is not None else None)
    found = [finder.find(path) for path in table.cells["path"]]
    rows.problems += finder.text_problems(table.cells["path"])
    if rows.problems:
        raise problems_error(str(file), rows.problems)
    absent = list(
        dict.fromkeys(path for path, location in zip(table.cells["path"], found, strict=True) if location is None)
    )
    _refuse_missing(finder, absent, len(set(table.cells["path"])), drop=missing == "drop")
    records = [record._replace(path=location) for record, location in zip(rows.records, found, strict=True) if location]
    records, names = name_classes(str(file), records, classes)
    records = _without_repetition(file, records)
    manifest = Manifest.from_records(records, classes=names, root=finder.root, source=str(file))
    problems = find_problems(manifest, check_files=False)
    if problems:
        raise problems_error(str(file), problems)
    because = f"{file}: no column for the split is given"
    return OwnList(manifest if "split" in wanted else hold_out_of_unsplit(manifest, HOLDOUT, because), absent)


class _Rows:
    """The cells of a table as records, and what is wrong with them."""

    def __init__(self, table: Table, *, decimal_comma: bool) -> None:
        self.problems: list[str] = []
        self._table, self._decimal_comma = table, decimal_comma
        count = len(table.lines)
        empty = [""] * count
        cells = table.cells
        self._note("have no path", [row for row, path in enumerate(cells["path"]) if not path])
        splits = self._splits() if "split" in cells else ["train"] * count
        starts, ends = (self._seconds(name) if name in cells else [NAN] * count for name in ("start", "end"))
        self._note("have a start that is not before the end", [row for row in range(count) if starts[row] >= ends[row]])
        unlabelled = [row for row, label in enumerate(cells["label"]) if not label]
        if unlabelled and len(unlabelled) < count:
            self._note("have no label; give one, or leave the rows out", unlabelled)
        groups = cells.get("group", empty)
        self.records = [
            Record("", path, label, split=split, start=start, end=end, group=group)
            for path, label, split, start, end, group in zip(
                cells["path"], cells["label"], splits, starts, ends, groups, strict=True
            )
        ]

    def _splits(self) -> list[str]:
        texts = self._table.cells["split"]
        wrong = [row for row, text in enumerate(texts) if text.lower() not in SPLIT_FOLDERS]
        allowed = "allowed are train, val (valid, validation) and test"
        self._note(f"have a split that is none; {allowed}", wrong, texts)
        return [SPLIT_FOLDERS.get(text.lower(), "train") for text in texts]

    def _seconds(self, name: str) -> list[float]:
        numbers, wrong = [], []
        for row, text in enumerate(self._table.cells[name]):
            try:
                numbers.append(float(text.replace(",", ".") if self._decimal_comma else text) if text else NAN)
            except ValueError:
                numbers.append(NAN)
                wrong.append(row)
        self._note(f"have a {name} that is no number of seconds", wrong, self._table.cells[name])
        return numbers

    def _note(self, what: str, rows: list[int], texts: Sequence[str] = ()) -> None:
        if rows:
            lines = [f"line {self._table.lines[row]}" + (f" {texts[row]!r}" if texts else "") for row in rows]
            self.problems.append(f"{len(rows):,} rows {what}: {some_of(lines, 5)}")


def _hint_at_columns(file: Path, table: Table, wanted: dict[str, str]) -> None:
    """Name a column that looks like splits or groups and is not used; without it videos may leak."""
    for meaning, names in _LIKELY.items():
        likely = [name for name in table.header if name.lower() in names and name not in wanted.values()]
        if likely and meaning not in wanted:
            log.warning(f"{file} has a column {likely[0]!r}, which is not used; --{meaning} {likely[0]} uses it")


def _refuse_missing(finder: VideoFinder, absent: list[str], num_listed: int, *, drop: bool) -> None:
    if not absent:
        return
    count = f"{len(absent):,} of the {num_listed:,} listed videos are not in {finder.root.absolute()}"
    advice = finder.advice(absent)
    if not drop or len(absent) == num_listed:
        others = "" if len(absent) == num_listed else " Or leave them out: --missing drop"
        raise MissingVideosError(f"{count}: {some_of(absent, 5)}.{advice}{others}", absent)
    log.warning(f"{count} and were left out: {some_of(absent, 5)}.")


def _without_repetition(file: Path, records: list[Record]) -> list[Record]:
    """Give each row its id, count repeated rows once, and refuse rows that contradict each other."""
    once = list({repr(record): record for record in records}.values())
    if len(once) < len(records):
        log.warning(f"{file}: {len(records) - len(once):,} repeated rows were counted once")
    once = [record._replace(video_id=name) for record, name in zip(once, video_ids(once), strict=True)]
    by_id: dict[str, list[Record]] = defaultdict(list)
    for record in once:
        by_id[record.video_id].append(record)
    clashes = [name for name, rows in by_id.items() if len(rows) > 1]
    if clashes:
        described = [f"{name} ({' / '.join(_describe(record) for record in by_id[name])})" for name in clashes]
        raise UserError(
            f"{file}: {len(clashes):,} videos have several rows that differ: {some_of(described, 5)}. "
            "A video has one label and one split; keep one row of each"
        )
    return once


def _describe(record: Record) -> str:
    return ", ".join(part for part in (record.label, record.split, record.group) if part)
