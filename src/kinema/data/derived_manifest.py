"""The manifest of files made from the videos of a data set: its labels and splits, and the new paths and lengths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from kinema.data.manifest import Manifest, Record
from kinema.data.manifest_csv import CLASSES_FILE, read_classes
from kinema.data.validate import some_of
from kinema.errors import UserError


def manifest_name(manifest: Manifest, otherwise: str) -> str:
    """File name of the new manifest: that of the videos' CSV, or another one for a folder."""
    source = Path(manifest.source)
    return source.name if source.suffix.lower() == ".csv" else otherwise


def file_name(video_id: str, suffix: str) -> str:
    """A file's name for a video: its id, slashes making folders, with odd characters written as %XX.

    Args:
        video_id: Of the manifest.
        suffix: Ending of the name.

    Returns:
        A relative path with slashes that never leads out of a folder; different ids give different names.
    """
    parts = [quote(part, safe=" +,;=@()[]'&") for part in video_id.split("/")]
    parts = [part.replace(".", "%2E") if not part.strip(".") else part for part in parts]
    return "/".join(part or "%00" for part in parts) + suffix


def refuse_other_classes(manifest: Manifest, folder: Path, what: str) -> None:
    """Make sure, before hours of work, that the new manifest can be written into a folder.

    Args:
        manifest: Of the videos.
        folder: For the new one.
        what: What is made of a video, for the message.

    Raises:
        UserError: The folder belongs to a data set with other classes.
    """
    listed = read_classes(folder / CLASSES_FILE)
    if listed and listed[0] and manifest.classes and tuple(listed[0]) != manifest.classes:
        raise UserError(
            f"{folder} holds {what} of a data set with {len(listed[0])} other classes ({some_of(listed[0], 3)}); "
            f"{manifest.name} has {len(manifest.classes)} ({some_of(manifest.classes, 3)}). Give another --out."
        )


def write_derived_manifest(
    manifest: Manifest,
    target: Path,
    *,
    find_all: Callable[[], dict[str, str]],
    read: Callable[[Record, str], Record | None],
) -> Path | None:
    """Write the manifest of all new files that are complete.

    Other processes may finish theirs meanwhile and write the manifest too. It is written again until no file has been
    added while that went on, so whoever comes last leaves the complete one.

    Args:
        manifest: The videos.
        target: The CSV to write.
        find_all: Lists the paths of all new files that are there now, by the videos' ids.
        read: The new row of a video whose new file has this path; None when the file is damaged.

    Returns:
        The CSV; None when there is not one file.
    """
    while True:
        there = find_all()
        found = [record for record in manifest if record.video_id in there]
        records = [row for record in found if (row := read(record, there[record.video_id]))]
        if not records:
            return None
        made = Manifest.from_records(
            records, classes=manifest.classes, root=target.parent, no_flip=manifest.no_flip, source=str(target)
        )
        made.write(target)
        if find_all() == there:
            return target
