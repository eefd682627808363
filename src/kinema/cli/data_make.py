"""``kinema data make``: manifests from annotation files, from class folders, or from a CSV of the user's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from kinema.cli.data_doubts import print_doubts, print_manifests
from kinema.data.sources.table import names_with_lists
from kinema.errors import UserError, one_of

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest

Missing = Literal["error", "drop"]


@dataclasses.dataclass(frozen=True)
class CsvOptions:
    """How a CSV of the user's own is to be read."""

    path: Annotated[str, tyro.conf.arg(metavar="COLUMN")] = "path"
    """Column of a CSV with the path of each video."""
    label: Annotated[str, tyro.conf.arg(metavar="COLUMN")] = "label"
    """Column of a CSV with the class."""
    split: Annotated[str, tyro.conf.arg(metavar="COLUMN", help_behavior_hint="")] = ""
    """Column of a CSV with train, val or test; without it 20 % of each class are held out as val."""
    group: Annotated[str, tyro.conf.arg(metavar="COLUMN", help_behavior_hint="")] = ""
    """Column of a CSV with the actor, scene or recording; none of them is ever in two splits."""
    start: Annotated[str, tyro.conf.arg(metavar="COLUMN", help_behavior_hint="")] = ""
    """Column of a CSV with the second at which the part that is meant begins."""
    end: Annotated[str, tyro.conf.arg(metavar="COLUMN", help_behavior_hint="")] = ""
    """Column of a CSV with the second at which it ends."""
    delimiter: Annotated[str, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")] = ""
    """Between the cells of a CSV: comma, semicolon and tab are recognised; also space, pipe or the character itself."""
    encoding: Annotated[str, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")] = ""
    """Of a CSV that is not UTF-8, such as cp1252."""


def make(
    source: Positional[str],
    folder: Positional[Path | None] = None,
    *,
    out: Path,
    videos: Path | None = None,
    annotations: Path | None = None,
    classes: str = "",
    missing: Missing = "error",
    table: Annotated[CsvOptions, tyro.conf.arg(name="")] = CsvOptions(),
) -> None:
    """Write manifests from official annotation files, from a folder of class folders, or from a CSV of your own.

    Data sets: DATA_SETS. The source "folder" takes a folder DIR/CLASS/video, DIR/train/CLASS/video or DIR/video. The
    source "csv" takes a CSV or TSV with a column of paths and one of labels, by name, or by number, counted from 1,
    where the first line has no names.

    Args:
        source: Name of the data set, "folder" or "csv".
        folder: The folder of videos, as --videos; for the source "csv" the CSV.
        out: Folder for the manifests, one for each official split; for the sources "folder" and "csv" the CSV file.
        videos: The folder of videos; they are found below it by name, whatever their extension. Relative paths of a CSV
            begin there, or without it at the CSV's folder.
        annotations: The folder of official annotation files; by default the folder of videos.
        classes: Only these classes: names with commas between, or a text file with one name on a line. For a CSV whose
            labels are numbers, their names.
        missing: What to do when listed videos are not on disk.
        table: How a CSV is to be read.
    """
    from kinema.data.manifest_writer import with_earlier_marks, write_manifests

    if source == "csv":
        manifests = {out: _from_csv(folder, table, videos, annotations, _class_list(classes), missing, out)}
    elif table != CsvOptions():
        options = ", ".join(f"--{field.name}" for field in dataclasses.fields(CsvOptions))
        raise UserError(f"{options} go with the source 'csv': kinema data make csv FILE --out NEW.csv")
    elif source == "folder":
        manifests = {out: _from_folder(folder, videos, annotations or classes)}
    else:
        found = _videos_of(source, folder, videos)
        if out.suffix.lower() == ".csv":
            raise UserError(f"--out must be a folder, {source} has its own file names; {out} was given.")
        manifests = _from_lists(source, found, annotations or found, _class_list(classes), missing, out)
    if source in ("folder", "csv"):
        manifests = {out: with_earlier_marks(out, manifests[out])}
        print_doubts(manifests[out])
    write_manifests(manifests)
    print_manifests(manifests)


make.__doc__ = (make.__doc__ or "").replace("DATA_SETS", ", ".join(names_with_lists()))


def _videos_of(source: str, folder: Path | None, videos: Path | None) -> Path:
    one_of("data set", source, (*names_with_lists(), "folder", "csv"))
    found = folder or videos
    if found is None or (folder and videos):
        raise UserError(f"say once where the videos are: kinema data make {source} --videos DIR --out OUT")
    if found.suffix.lower() in (".csv", ".tsv") and not found.is_dir():
        raise UserError(f"{found} is no folder of videos; a list of your own: kinema data make csv {found} --out OUT")
    return found


def _from_folder(folder: Path | None, videos: Path | None, others: object) -> Manifest:
    from kinema.data.manifest import Manifest

    if others:
        raise UserError("--classes and --annotations go with an official data set, not with the source 'folder'.")
    return Manifest.from_folder(_videos_of("folder", folder, videos))


def _from_csv(
    file: Path | None,
    table: CsvOptions,
    videos: Path | None,
    annotations: Path | None,
    classes: list[str],
    missing: str,
    out: Path,
) -> Manifest:
    from kinema.data.sources.own_csv import CsvColumns, read_own_csv

    if file is None or annotations is not None:
        raise UserError("name the CSV once, right behind csv: kinema data make csv FILE --out NEW.csv")
    if file.is_dir():
        raise UserError(f"{file} is a folder; class folders become a manifest by: kinema data make folder {file}")
    if out.absolute() == file.absolute():
        raise UserError(f"--out {out} would replace the list itself; give another name")
    return read_own_csv(
        file,
        CsvColumns(table.path, table.label, table.split, table.group, table.start, table.end),
        videos=videos,
        delimiter=table.delimiter,
        encoding=table.encoding,
        classes=classes,
        missing=missing,
    ).manifest


def _from_lists(
    source: str, videos: Path, annotations: Path, classes: list[str], missing: str, out: Path
) -> dict[Path, Manifest]:
    from kinema.data.sources.make import MissingVideosError, make_manifests

    note = out / "missing.txt"
    try:
        made = make_manifests(source, videos=videos, annotations=annotations, classes=classes, missing=missing)
    except MissingVideosError as error:
        out.mkdir(parents=True, exist_ok=True)
        note.write_text("\n".join(error.missing) + "\n", encoding="utf-8")
        raise UserError(f"{error} All are listed in {note}.") from None
    if made.missing:
        out.mkdir(parents=True, exist_ok=True)
        note.write_text("\n".join(made.missing) + "\n", encoding="utf-8")
    else:
        note.unlink(missing_ok=True)
    return {out / f"{name}.csv": manifest for name, manifest in made.manifests.items()}


def _class_list(text: str) -> list[str]:
    """Names from the command line, or from a file, as some class names have commas in them."""
    if text and Path(text).is_file():
        from kinema.data.sources.own_labels import read_class_list

        return read_class_list(Path(text))
    return [name.strip() for name in text.split(",") if name.strip()]
