"""Writing manifests, each with a classes file of its own where its rows alone do not give its classes."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from kinema.data.classes_file import (
    CLASSES_FILE,
    class_rows,
    classes_file_of,
    is_classes_file,
    own_classes_file,
    read_classes,
)
from kinema.data.columns import ENCODING_ERRORS, SPLITS
from kinema.data.manifest_csv import REQUIRED
from kinema.data.manifest_table import ManifestTable
from kinema.errors import UserError
from kinema.files import whole_file
from kinema.video.location import is_remote
from kinema.wording import some_of

Table = TypeVar("Table", bound=ManifestTable)

log = logging.getLogger("kinema")


def write_manifests(manifests: Mapping[Path, ManifestTable]) -> None:
    """Write manifests, so that each is read back with the classes it has.

    Nothing that belongs to another manifest of a folder is touched. ``NAME.classes.csv`` is written beside ``NAME.csv``
    when that file is there already, or when without it other classes would be read: another order than the
    alphabetical one, classes without videos, classes that must not be mirrored, or a shared ``classes.csv`` that says
    something else.

    Raises:
        UserError: A name does not end in ``.csv``, or is that of a classes file.
    """
    for path in manifests:
        if path.suffix.lower() != ".csv" or is_classes_file(path):
            raise UserError(f"{path}: a manifest's name must end in .csv, and not in {CLASSES_FILE}.")
    for path, manifest in manifests.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with _written_at_the_end(path, _rows(manifest, path.parent)):
            if _needs_own_classes(path, manifest):
                write_classes(own_classes_file(path), manifest)


def write_classes(path: Path, manifest: ManifestTable) -> None:
    """Write the classes of a manifest into a file, in one step."""
    with _written_at_the_end(path, class_rows(manifest.classes, manifest.no_flip)):
        pass


def with_earlier_marks(path: Path, manifest: Table) -> Table:
    """A manifest that is made anew keeps the ``no_flip`` marks that somebody gave its classes by hand.

    Args:
        path: Where it will be written.
        manifest: What was made; comes back as it is when it has marks of its own.
    """
    file = classes_file_of(path)
    listed = read_classes(file) if file else None
    kept = set(listed[1]) & set(manifest.classes) if listed else set()
    if not kept or manifest.no_flip:
        return manifest
    log.warning(f"{file}: its marks against mirroring are kept for {some_of(sorted(kept))}")
    return manifest.with_no_flip(kept)


def _needs_own_classes(path: Path, manifest: ManifestTable) -> bool:
    there = classes_file_of(path)
    if there is not None:
        shared = there.name == CLASSES_FILE
        if shared and not manifest.classes:
            return False  # no label is looked up in it
        try:
            listed = read_classes(there)
        except UserError:
            return True  # it is replaced, or, where it is the folder's, passed over
        return listed is None or listed[0] != list(manifest.classes) or set(listed[1]) != manifest.no_flip
    present = np.unique(manifest.labels)
    return bool(manifest.no_flip) or [manifest.classes[label] for label in present if label >= 0] != sorted(
        manifest.classes
    )


def _rows(manifest: ManifestTable, folder: Path) -> Iterator[Sequence[object]]:
    columns, rows = manifest.columns, manifest.rows
    optional = [name for name in ("start", "end") if not np.isnan(getattr(columns, name)[rows]).all()]
    if not columns.group.is_empty(rows).all():
        optional.append("group")
    if columns.damaged[rows].any():
        optional.append("damaged")
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


@contextmanager
def _written_at_the_end(path: Path, rows: Iterable[Sequence[object]]) -> Iterator[None]:
    """Write a CSV under another name, do the block, and only then put it in its place."""
    with whole_file(path) as part:
        with part.open("w", newline="", encoding="utf-8", errors=ENCODING_ERRORS) as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        yield
