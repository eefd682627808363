"""Manifest files: reading and writing the CSV and the ``classes.csv`` beside it."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from kinema.data.columns import ENCODING_ERRORS, SPLITS, Array, Columns, TextBuilder
from kinema.data.manifest import Manifest
from kinema.data.validate import class_problems, find_problems, problems_error, some_of
from kinema.errors import UserError
from kinema.files import whole_file
from kinema.video.place import is_remote

REQUIRED = ("video_id", "path", "label", "split")
NUMBERS = {"num_frames": 0, "fps": 0.0, "start": float("nan"), "end": float("nan")}
"""Columns of numbers and what an empty cell means."""
COLUMNS = (*REQUIRED, *NUMBERS, "group")
CLASSES_FILE = "classes.csv"
CHUNK = 500
"""Rows turned from strings into arrays at once; so few stay in the processor's cache, three times as fast as 50,000."""


def read_manifest(path: Path) -> Manifest:
    """Read a manifest CSV; see ``Manifest.read``."""
    listed = read_classes(path.parent / CLASSES_FILE)
    if path.name == CLASSES_FILE:
        raise UserError(f"{path} lists the classes; give the manifest CSV that lies beside it.")
    reader = _Reader(listed[0] if listed else None)
    try:
        with path.open(newline="", encoding="utf-8-sig", errors=ENCODING_ERRORS) as file:
            reader.read(csv.reader(file))
    except FileNotFoundError:
        if re.match(r"\w{2,}:/", path.as_posix()):  # an address, of whose slashes Path has kept one
            raise UserError(
                f"{path}: a manifest lies on this machine; copy it here with its {CLASSES_FILE}. The paths in it "
                "may be remote: kinema data pack --url writes such a manifest."
            ) from None
        raise UserError(f"{path}: no such file; give a manifest CSV or a folder of class folders.") from None
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV file ({error}).") from None
    manifest = reader.manifest(path, listed[1] if listed else ())
    if reader.problems or not len(manifest):
        found = find_problems(manifest) if reader.has_columns else []
        raise problems_error(str(path), [*reader.problems, *found])
    return manifest


def _some_rows(rows: Sequence[int]) -> str:
    if len(rows) <= 3:
        return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows))}"
    return f"rows {rows[0]}, {rows[1]} and {len(rows) - 2:,} more"


class _Reader:
    """Turns rows of strings into columns, chunk by chunk, and remembers what was wrong instead of stopping."""

    def __init__(self, classes: Sequence[str] | None) -> None:
        self.problems: list[str] = []
        self.has_columns = False
        self._classes_known = classes is not None
        self._index = {name: position for position, name in enumerate(classes or ())}
        self._splits = {name: position for position, name in enumerate(SPLITS)}
        self._wrong: dict[str, dict[str, list[int]]] = {}
        self._texts = {name: TextBuilder() for name in ("video_id", "path", "group")}
        self._arrays: dict[str, list[Array]] = {name: [] for name in ("label", "split", *NUMBERS)}
        self._num_rows = 0

    def read(self, rows: Iterator[list[str]]) -> None:
        header = [name.strip() for name in next(rows, [])]
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
        for kind, places in self._wrong.items():
            items = [f"{what} ({_some_rows(found)})" for what, found in places.items()]
            self.problems.append(f"{sum(map(len, places.values())):,} {kind}: {some_of(items)}")

    def _header_problems(self, header: list[str], unknown: list[str], absent: list[str]) -> None:
        if unknown:
            self.problems.append(f"unknown columns: {', '.join(map(repr, unknown))}; allowed: {', '.join(COLUMNS)}")
        if absent:
            self.problems.append(f"the first line must name the columns; missing: {', '.join(absent)}")
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
        for name, builder in self._texts.items():
            builder.extend(columns.get(name, [""] * len(rows)))
        self._arrays["split"].append(
            self._codes(columns["split"], self._splits, f"splits are not among {', '.join(SPLITS)}")
        )
        if not self._classes_known:
            for label in columns["label"]:
                self._index.setdefault(label, len(self._index))
            self._index.pop("", None)
        kind = f"labels are not among the {len(self._index)} classes"
        self._arrays["label"].append(self._codes(columns["label"], self._index | {"": -1}, kind))
        for name, empty in NUMBERS.items():
            self._arrays[name].append(self._numbers(name, columns.get(name), empty, len(rows)))
        self._num_rows += len(rows)

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
        kind: type[int] | type[float] = int if name == "num_frames" else float
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
            return kind(text)
        except ValueError:
            self._note(f"values of {name} are no {'whole numbers' if kind is int else 'numbers'}", row, repr(text))
            return empty

    def _note(self, kind: str, row: int, what: str) -> None:
        self._wrong.setdefault(kind, {}).setdefault(what, []).append(self._num_rows + row + 1)

    def manifest(self, path: Path, no_flip: Iterable[str]) -> Manifest:
        arrays = {
            name: np.concatenate(chunks) if chunks else np.zeros(0, np.int64) for name, chunks in self._arrays.items()
        }
        classes, labels = list(self._index), arrays["label"]
        if not self._classes_known:  # met in the order of the rows; put them into alphabetical order
            order = sorted(range(len(classes)), key=classes.__getitem__)
            places = np.full(len(classes) + 1, -1, np.int32)  # the last place serves -1, unlabelled
            places[order] = np.arange(len(classes), dtype=np.int32)
            labels = places[labels]
            classes = [classes[place] for place in order]
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
        )
        return Manifest(columns, classes=classes, root=path.parent, no_flip=no_flip, source=str(path))


def read_classes(path: Path) -> tuple[list[str], list[str]] | None:
    """Read a ``classes.csv``: names in label order, and those marked ``no_flip``; None when there is no file.

    Raises:
        UserError: The columns are not ``name`` and ``no_flip``, a mark is unclear, or two classes have one name.
    """
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8-sig", errors=ENCODING_ERRORS) as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows or rows[0] not in (["name"], ["name", "no_flip"]):
        raise UserError(f"{path}: the first line must be name,no_flip, it is {','.join(rows[0]) if rows else 'absent'}")
    names = [row[0] for row in rows[1:]]
    marks = [(row[1:] or [""])[0].strip().lower() for row in rows[1:]]
    problems = class_problems(names)
    unclear = sorted(set(marks) - _MARKS.keys())
    if unclear:
        problems.append(f"no_flip must be empty, 0 or 1 (or no, yes, false, true), it is {', '.join(unclear)}")
    if problems:
        raise problems_error(str(path), problems)
    return names, [name for name, mark in zip(names, marks, strict=True) if _MARKS[mark]]


_MARKS = {"": False, "0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}


def write_manifests(manifests: Mapping[Path, Manifest]) -> None:
    """Write manifests, and beside them the classes they share.

    Raises:
        UserError: The manifests of one folder, those already there included, do not agree on the classes.
    """
    folders: dict[Path, Manifest] = {}
    for path, manifest in manifests.items():
        if path.suffix.lower() != ".csv" or path.name == CLASSES_FILE:
            raise UserError(f"{path}: a manifest's name must end in .csv and cannot be {CLASSES_FILE}.")
        other = folders.setdefault(path.parent, manifest)
        if _class_rows(other) != _class_rows(manifest):
            raise UserError(
                f"{path.parent}: manifests of one folder share {CLASSES_FILE}, but these differ in classes."
            )
    for folder, manifest in folders.items():
        _check_neighbours(folder, manifest, {path.name for path in manifests})
    for folder, manifest in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        if manifest.classes:
            _write_csv(folder / CLASSES_FILE, [["name", "no_flip"], *_class_rows(manifest)])
    for path, manifest in manifests.items():
        _write_csv(path, _rows(manifest, path.parent))


def _class_rows(manifest: Manifest) -> list[list[str]]:
    return [[name, "1" if name in manifest.no_flip else ""] for name in manifest.classes]


def _check_neighbours(folder: Path, manifest: Manifest, replaced: set[str]) -> None:
    there = read_classes(folder / CLASSES_FILE)
    if (
        there is None
        or not manifest.classes
        or (there[0] == list(manifest.classes) and set(there[1]) == manifest.no_flip)
    ):
        return
    for neighbour in sorted(folder.glob("*.csv")):
        if neighbour.name in replaced or neighbour.name == CLASSES_FILE:
            continue
        with neighbour.open(encoding="utf-8-sig", errors=ENCODING_ERRORS) as file:
            if file.readline().startswith("video_id,"):
                raise UserError(
                    f"{folder / CLASSES_FILE} belongs to {neighbour.name} and lists {len(there[0])} classes, other than"
                    f" the {len(manifest.classes)} of the new manifest; write it into another folder."
                )


def _rows(manifest: Manifest, folder: Path) -> Iterator[Sequence[object]]:
    columns, rows = manifest.columns, manifest.rows
    optional = [name for name in ("start", "end") if not np.isnan(getattr(columns, name)[rows]).all()]
    if not columns.group.is_empty(rows).all():
        optional.append("group")
    yield [*REQUIRED, "num_frames", "fps", *optional]
    stays = manifest.root.absolute() == folder.absolute()
    home = str(folder.absolute()) + os.sep
    for row in rows.tolist():
        path, label = columns.path[row], int(columns.label[row])
        if not stays and not is_remote(path):
            path = str((manifest.root / path).absolute()).removeprefix(home)
        cells: list[object] = [columns.video_id[row], path, manifest.classes[label] if label >= 0 else ""]
        cells += [SPLITS[columns.split[row]], int(columns.num_frames[row]) or "", _plain(columns.fps[row]) or ""]
        cells += [columns.group[row] if name == "group" else _plain(getattr(columns, name)[row]) for name in optional]
        yield cells


def _plain(number: float) -> object:
    """The shortest text that reads back as the same number: 25, not 25.0; nothing for nan."""
    if np.isnan(number):
        return ""
    return int(number) if float(number).is_integer() else float(number)


def _write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8", errors=ENCODING_ERRORS) as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
