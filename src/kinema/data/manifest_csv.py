"""Reading a manifest's CSV, with the classes file that goes with it; everything that is wrong in one message."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from kinema.data.classes_file import classes_file_of, how_to_change_classes, is_classes_file, read_classes
from kinema.data.columns import SPLITS, Array, Columns, TextBuilder
from kinema.data.manifest_table import ManifestTable
from kinema.data.table_text import HOW_TO_UTF8, find_format, not_utf8, open_table, readable
from kinema.data.validate import find_problems, problems_error
from kinema.errors import UserError
from kinema.wording import some_of

REQUIRED = ("video_id", "path", "label", "split")
NUMBERS = {"num_frames": 0, "fps": 0.0, "start": float("nan"), "end": float("nan"), "damaged": 0}
"""Columns of numbers and what an empty cell means."""
COLUMNS = (*REQUIRED, *NUMBERS, "group")
_NOT_TEXT = "values are not UTF-8 text"
CHUNK = 500
"""Rows turned from strings into arrays at once; so few stay in the processor's cache, three times as fast as 50,000."""


def read_manifest(path: Path) -> ManifestTable:
    """Read a manifest CSV; see ``kinema.Manifest.read``."""
    if is_classes_file(path):
        raise UserError(f"{path} lists the classes; give the manifest CSV that lies beside it.")
    classes_file = classes_file_of(path)
    listed = read_classes(classes_file) if classes_file else None
    try:
        table = find_format(path)
        reader = _Reader(path, listed[0] if listed else None, classes_file, decimal_comma=table.delimiter == ";")
        with open_table(path, table) as rows:
            reader.read(rows)
    except FileNotFoundError:
        if re.match(r"\w{2,}:/", path.as_posix()):  # an address, of whose slashes Path has kept one
            raise UserError(
                f"{path}: a manifest lies on this machine; copy it here with its classes file. The paths in it "
                "may be remote: kinema data pack --url writes such a manifest."
            ) from None
        raise UserError(_no_such_file(path)) from None
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV file ({error}).") from None
    manifest = reader.manifest(path, listed[1] if listed else ())
    if reader.problems or not len(manifest):
        found = find_problems(manifest) if reader.has_columns else []
        raise problems_error(str(path), [*reader.problems, *found])
    return manifest


def _no_such_file(path: Path) -> str:
    """What to say where there is no manifest: files of that name nearby, or names like it."""
    text = f"{path}: no such file; give a manifest CSV or a folder of class folders."
    nearby = [] if path.is_absolute() else [folder / path for folder in Path.cwd().parents[:2]]
    nearby = [path for path in nearby if path.exists()]
    if path.parent.is_dir():
        nearby += sorted(path.parent.glob(f"*/{path.name}"))
        there = [entry.name for entry in path.parent.iterdir() if entry.is_dir() or entry.suffix.lower() == ".csv"]
        nearby += [path.with_name(name) for name in difflib.get_close_matches(path.name, there, cutoff=0.75)]
    if nearby:
        return f"{text} Did you mean {some_of([str(path) for path in nearby], 3)}?"
    return text if path.is_absolute() else f"{text} The working directory is {Path.cwd()}."


def _some_rows(rows: Sequence[int]) -> str:
    if len(rows) <= 3:
        return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows))}"
    return f"rows {rows[0]}, {rows[1]} and {len(rows) - 2:,} more"


class _Reader:
    """Turns rows of strings into columns, chunk by chunk, and remembers what was wrong instead of stopping."""

    def __init__(
        self, path: Path, classes: Sequence[str] | None, classes_file: Path | None, *, decimal_comma: bool
    ) -> None:
        self.problems: list[str] = []
        self.has_columns = False
        self._path = path
        self._classes_file = classes_file
        self._decimal_comma = decimal_comma
        self._classes_known = classes is not None
        self._index = {name: position for position, name in enumerate(classes or ())}
        self._splits = {name: position for position, name in enumerate(SPLITS)}
        self._wrong: dict[str, dict[str, list[int]]] = {}
        self._texts = {name: TextBuilder() for name in ("video_id", "path", "group")}
        self._arrays: dict[str, list[Array]] = {name: [] for name in ("label", "split", *NUMBERS)}
        self._num_rows = 0

    def read(self, rows: Iterator[list[str]]) -> None:
        header = [name.strip() for name in next(rows, [])]
        if any(map(not_utf8, header)):
            self.problems.append(f"the first line is not UTF-8 text: {readable(','.join(header))[:200]}; {HOW_TO_UTF8}")
            return
        if not all(map(str.isprintable, header)):  # a video, an archive; its bytes would fill the screen
            self.problems.append("not a CSV file: the first line is not text")
            return
        unknown = [name for name in header if name not in COLUMNS]
        absent = [name for name in REQUIRED if name not in header]
        if unknown or absent or len(set(header)) < len(header):
            self._header_problems(header, unknown, absent)
        self.has_columns = not absent
        if absent:
            return
        while chunk := list(islice(rows, CHUNK)):
            self._add([row for row in chunk if row], header)
        for kind, wrong_rows in self._wrong.items():
            items = [f"{what} ({_some_rows(found)})" for what, found in wrong_rows.items()]
            advice = f"; {HOW_TO_UTF8}" if kind == _NOT_TEXT else ""
            if kind == self._label_kind and self._classes_file:
                advice = f"; {how_to_change_classes(self._path, self._classes_file)}"
            self.problems.append(f"{sum(map(len, wrong_rows.values())):,} {kind}: {some_of(items)}{advice}")

    def _header_problems(self, header: list[str], unknown: list[str], absent: list[str]) -> None:
        if unknown and not absent:
            self.problems.append(f"unknown columns: {', '.join(map(repr, unknown))}; allowed: {', '.join(COLUMNS)}")
        if absent:
            self.problems.append(
                f"the first line must name the columns; missing: {', '.join(absent)}. A list of another form becomes a "
                f"manifest by: kinema data make csv {self._path} --path COLUMN --label COLUMN --out NEW.csv"
            )
        doubled = sorted({name for name in header if header.count(name) > 1})
        if doubled:
            self.problems.append(f"columns given twice: {', '.join(doubled)}")

    def _add(self, rows: list[list[str]], header: list[str]) -> None:
        width = len(header)
        if set(map(len, rows)) - {width}:
            for number, row in enumerate(rows):
                if len(row) != width:
                    self._note(f"rows do not have {width} columns", number, f"{len(row)}")
            rows = [(row + [""] * width)[:width] for row in rows]
        if not rows:
            return
        columns = dict(zip(header, zip(*rows, strict=True), strict=True))
        self._check_text(columns)
        for name, builder in self._texts.items():
            builder.extend(columns.get(name, [""] * len(rows)))
        self._arrays["split"].append(
            self._codes(columns["split"], self._splits, f"splits are not among {', '.join(SPLITS)}")
        )
        if not self._classes_known:
            for label in columns["label"]:
                self._index.setdefault(label, len(self._index))
            self._index.pop("", None)
        self._arrays["label"].append(self._codes(columns["label"], self._index | {"": -1}, self._label_kind))
        for name, empty in NUMBERS.items():
            self._arrays[name].append(self._numbers(name, columns.get(name), empty, len(rows)))
        self._num_rows += len(rows)

    @property
    def _label_kind(self) -> str:
        return f"labels are not among the {len(self._index)} classes of {self._classes_file}"

    def _check_text(self, columns: Mapping[str, Sequence[str]]) -> None:
        """Note labels that are not UTF-8, unless their video's path is not either: file names may be any bytes."""
        for name in ("label", "group", "video_id"):
            texts = columns.get(name, ())
            if not "".join(texts).isascii():
                for number, (text, path) in enumerate(zip(texts, columns["path"], strict=False)):
                    if not_utf8(text) and not not_utf8(path):
                        self._note(_NOT_TEXT, number, repr(readable(text)))

    def _codes(self, texts: Sequence[str], table: Mapping[str, int], kind: str) -> Array:
        try:
            return np.fromiter(map(table.__getitem__, texts), np.int32, len(texts))
        except KeyError:
            for number, text in enumerate(texts):
                if text not in table:
                    self._note(kind, number, repr(text))
            fallback = -1 if "" in table else 0
            return np.array([table.get(text, fallback) for text in texts], np.int32)

    def _numbers(self, name: str, texts: Sequence[str] | None, empty: float, count: int) -> Array:
        kind: type[int] | type[float] = int if name in ("num_frames", "damaged") else float
        if texts is None or not any(texts):
            return np.full(count, empty, kind)
        try:
            return np.fromiter(map(kind, texts), kind, count)
        except ValueError:
            return np.array([self._number(name, text, empty, kind, row) for row, text in enumerate(texts)], kind)

    def _number(self, name: str, text: str, empty: float, kind: Callable[[str], float], row: int) -> float:
        if not text.strip():
            return empty
        try:
            return kind(text.replace(",", ".") if self._decimal_comma else text)
        except ValueError:
            self._note(f"values of {name} are no {'whole numbers' if kind is int else 'numbers'}", row, repr(text))
            return empty

    def _note(self, kind: str, row: int, what: str) -> None:
        self._wrong.setdefault(kind, {}).setdefault(what, []).append(self._num_rows + row + 1)

    def manifest(self, path: Path, no_flip: Iterable[str]) -> ManifestTable:
        arrays = {
            name: np.concatenate(chunks) if chunks else np.zeros(0, np.int64) for name, chunks in self._arrays.items()
        }
        classes, labels = list(self._index), arrays["label"]
        if not self._classes_known:  # met in the order of the rows; put them into alphabetical order
            order = sorted(range(len(classes)), key=classes.__getitem__)
            new_index = np.full(len(classes) + 1, -1, np.int32)  # the last one serves -1, unlabelled
            new_index[order] = np.arange(len(classes), dtype=np.int32)
            labels = new_index[labels]
            classes = [classes[index] for index in order]
        columns = Columns(
            video_id=self._texts["video_id"].build(),
            path=self._texts["path"].build(),
            label=labels.astype(np.int32),
            split=arrays["split"].astype(np.int8),
            num_frames=arrays["num_frames"],
            fps=arrays["fps"],
            start=arrays["start"],
            end=arrays["end"],
            group=self._texts["group"].build(),
            damaged=arrays["damaged"],
        )
        return ManifestTable(columns, classes=classes, root=path.parent, no_flip=no_flip, source=str(path))
