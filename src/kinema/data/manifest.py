"""The manifest: which videos a data set has, their labels and splits; read, written and checked.

On disk it is a CSV with the columns ``video_id, path, label, split, num_frames, fps`` and optionally
``start, end`` (seconds, half open) and ``group``. ``NAME.classes.csv`` beside ``NAME.csv`` fixes the order of the
classes, where it is not the alphabetical one. In memory it is a few arrays, see ``kinema.data.manifest_table``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from kinema.data.folder import read_folder
from kinema.data.hold_out import HOLDOUT
from kinema.data.manifest_csv import read_manifest
from kinema.data.manifest_table import ManifestTable, Record
from kinema.data.manifest_writer import write_manifests
from kinema.data.validate import find_problems, problems_error
from kinema.errors import UserError

__all__ = ["Manifest", "Record"]


class Manifest(ManifestTable):
    """The videos of a data set, in a fixed order, with their classes.

    ``classes`` are the names in label order, ``no_flip`` those whose meaning a mirror image changes, and ``root`` is
    the folder to which relative paths refer. Get one with ``Manifest.open``, ``Manifest.read`` or
    ``Manifest.from_records``. Indexing and iterating give ``Record``s; ``select`` shares the memory of the whole.
    """

    @classmethod
    def open(cls, data: str | Path | Manifest) -> Manifest:
        """Open whatever names a data set: a manifest CSV, a folder of class folders, a folder of videos, or a manifest.

        Raises:
            UserError: The path does not exist, is neither a CSV nor a folder, or what it holds is wrong.
        """
        if isinstance(data, Manifest):
            return data
        path = Path(data)
        if path.is_dir():
            return cls.from_folder(path)
        if path.exists() and path.suffix.lower() not in {".csv", ".txt", ""}:
            raise UserError(f"{path} is no data set; give a manifest CSV or a folder with one sub-folder per class.")
        return cls.read(path)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a manifest CSV and its classes.

        These are in ``NAME.classes.csv`` beside ``NAME.csv``, else in a ``classes.csv`` that the manifests of the
        folder share; without either they are the labels in alphabetical order. Commas, semicolons and tabs between the
        cells are recognised.

        Raises:
            UserError: There is no such file, or its contents are wrong; the message lists everything that is.
        """
        return cls.of(read_manifest(Path(path)))

    @classmethod
    def from_folder(cls, path: str | Path, *, holdout: float = HOLDOUT) -> Self:
        """Read a folder of class folders, of splits with class folders, or of videos; see ``docs/data.md``.

        Args:
            path: The folder.
            holdout: The part of every class, from 0 to 1, that is held out as ``val`` where the folder has no splits.

        Raises:
            UserError: There are no videos, or the folders lie otherwise.
        """
        return cls.of(read_folder(path, holdout=holdout))

    @classmethod
    def of(cls, table: ManifestTable) -> Self:
        """Take over the rows of a table."""
        return cls(
            table.columns,
            classes=table.classes,
            root=table.root,
            no_flip=table.no_flip,
            rows=table.rows,
            source=table.source,
        )

    def write(self, path: str | Path) -> None:
        """Write the CSV, and ``NAME.classes.csv`` beside it if without that other classes would be read.

        Paths of videos below the CSV's folder are written relative to it, others as absolute paths; the paths of a
        manifest that stays in its folder are kept as they are. Each file is written in one step.

        Raises:
            UserError: The name does not end in ``.csv``, or is that of a classes file.
        """
        write_manifests({Path(path): self})

    def validate(self, check_files: bool = True) -> None:
        """Check everything, files on disk included unless told not to.

        Raises:
            UserError: Something is wrong; the message lists all of it: missing files, duplicate ids and class names,
                groups in several splits, impossible numbers, no videos.
        """
        problems = find_problems(self, check_files=check_files)
        if problems:
            raise problems_error(self.name, problems)
