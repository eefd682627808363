"""What an annotation folder says before anybody looks for the videos, and how its files are read."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from kinema.errors import UserError

NAN = float("nan")
_MIRRORED = {"left": "right", "right": "left", "clockwise": "counterclockwise", "counterclockwise": "clockwise"}


class Entry(NamedTuple):
    """One listed video.

    ``locations`` says where it may lie below the folder of videos, best first; the extension does not matter, nor do
    the folders above when the name alone is enough.
    """

    video_id: str
    locations: tuple[str, ...]
    label: str
    split: str
    start: float = NAN
    end: float = NAN
    group: str = ""
    fps: float = 0.0
    num_frames: int = 0


@dataclasses.dataclass(frozen=True)
class Listing:
    """One official split of a data set.

    ``unlabelled`` are ids that a list names and no annotation gives a class; ``images`` tells that each file is an
    image, a video of one frame. ``no_flip`` are the classes that a mirror image turns into another class.
    """

    name: str
    classes: tuple[str, ...]
    entries: list[Entry]
    no_flip: frozenset[str] = frozenset()
    unlabelled: tuple[str, ...] = ()
    images: bool = False


def class_key(name: str) -> str:
    """Reduce a class name to its letters and digits: lists and folders write ``air drumming`` as ``air_drumming``."""
    return re.sub(r"\W|_", "", name).casefold()


def mirrored(classes: Iterable[str]) -> frozenset[str]:
    """Find the classes that become another class when the picture is mirrored.

    These are the names that stay class names, but other ones, when left and right (or clockwise and counterclockwise)
    change places. Idioms such as "pulling it right out" have no such partner.
    """
    by_key = {class_key(name): name for name in classes}
    found = set()
    for name in by_key.values():
        words = re.split(r"([^a-zA-Z]+)", name)
        other = class_key("".join(_MIRRORED.get(word.lower(), word) for word in words))
        if other != class_key(name) and other in by_key:
            found.add(name)
    return frozenset(found)


def find_files(folder: Path, *patterns: str) -> list[Path]:
    """Return the files below ``folder`` that match the first pattern that any file matches, in alphabetical order."""
    for pattern in patterns:
        found = sorted(path for path in folder.rglob(pattern) if path.is_file() and not path.name.startswith("."))
        if found:
            return found
    return []


def find_file(folder: Path, *patterns: str) -> Path:
    """Return the one file to read for ``patterns``, the one nearest to the top when there are several.

    Raises:
        UserError: There is none.
    """
    found = find_files(folder, *patterns)
    if not found:
        raise UserError(f"{folder}: no annotation file named {' or '.join(patterns)} in it or below it.")
    return min(found, key=lambda path: (len(path.parts), path))


def read_lines(path: Path) -> list[str]:
    """Read a text file without its empty lines and outer spaces."""
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def read_rows(path: Path, *, delimiter: str = ",") -> list[list[str]]:
    """Read a CSV without a header, leaving out empty lines."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return [row for row in csv.reader(file, delimiter=delimiter) if row]


def at_index(classes: Sequence[str], index: str, path: Path, *, first: int = 0) -> str:
    """Look a class up by the number in an annotation file, which counts from ``first``.

    Raises:
        UserError: It is no number, or out of range.
    """
    last = first + len(classes) - 1
    if not index.isdecimal() or not first <= int(index) <= last:
        raise UserError(f"{path}: label {index!r} is out of range; the {len(classes)} classes are {first} to {last}.")
    return classes[int(index) - first]
