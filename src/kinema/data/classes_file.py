"""The file that fixes the classes of a manifest: their order, and which of them must not be mirrored.

The classes of ``clips.csv`` are in ``clips.classes.csv`` beside it. Where that is absent, a plain ``classes.csv`` in
the folder is read, which several manifests may share; without either, the classes are the labels in alphabetical order.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from kinema.data.columns import ENCODING_ERRORS
from kinema.data.validate import class_problems, problems_error
from kinema.errors import UserError

CLASSES_FILE = "classes.csv"
"""Name of the file that the manifests of a folder share; older versions wrote no other."""
_MARKS = {"": False, "0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}
_HEADERS = (["name"], ["name", "no_flip"])


def own_classes_file(manifest: Path) -> Path:
    """The classes file that belongs to one manifest alone, whether it is there or not."""
    return manifest.with_name(f"{manifest.stem}.{CLASSES_FILE}")


def classes_file_of(manifest: Path) -> Path | None:
    """The classes file that is read with a manifest: its own, else the one that its folder shares, else None."""
    candidates = (own_classes_file(manifest), manifest.with_name(CLASSES_FILE))
    return next((path for path in candidates if path.exists()), None)


def is_classes_file(path: Path) -> bool:
    """Whether a file has the name of a classes file."""
    return path.name == CLASSES_FILE or path.name.endswith(f".{CLASSES_FILE}")


def read_classes(path: Path) -> tuple[list[str], list[str]] | None:
    """Read a classes file: names in label order, and those marked ``no_flip``; None when there is no file.

    Raises:
        UserError: The columns are not ``name`` and ``no_flip``, a mark is unclear, or two classes have one name.
    """
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8-sig", errors=ENCODING_ERRORS) as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows or rows[0] not in _HEADERS:
        first = f"it is {','.join(rows[0])}" if rows else "the file is empty"
        raise UserError(
            f"{path}: this name is that of a classes file, whose first line must be name,no_flip; {first}. "
            "Correct it, or rename the file if it is something else."
        )
    names = [row[0] for row in rows[1:]]
    marks = [(row[1:] or [""])[0].strip().lower() for row in rows[1:]]
    problems = class_problems(names)
    unclear = sorted(set(marks) - _MARKS.keys())
    if unclear:
        problems.append(f"no_flip must be empty, 0 or 1 (or no, yes, false, true), it is {', '.join(unclear)}")
    if problems:
        raise problems_error(str(path), problems)
    return names, [name for name, mark in zip(names, marks, strict=True) if _MARKS[mark]]


def how_to_change_classes(manifest: Path, classes_file: Path) -> str:
    """What to do about labels that a classes file lacks, as the end of a message."""
    advice = f"correct these labels, or give {classes_file} a line for each new class"
    if classes_file == own_classes_file(manifest):
        return f"{advice}; without that file the classes are the labels in alphabetical order"
    own = own_classes_file(manifest).name
    return f"{advice}. If it belongs to other manifests of the folder, list the classes of this one in {own}"


def class_rows(classes: Sequence[str], no_flip: frozenset[str]) -> list[list[str]]:
    """The rows of a classes file, header included."""
    return [["name", "no_flip"], *([name, "1" if name in no_flip else ""] for name in classes)]
