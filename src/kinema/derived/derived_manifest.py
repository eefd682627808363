"""The manifest of files made from the videos of a data set: its labels and splits, and the new paths and lengths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from kinema.data.classes_file import is_classes_file
from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError
from kinema.wording import some_of


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


def refuse_other_data_set(manifest: Manifest, folder: Path, name: str, what: str) -> None:
    """Make sure, before hours of work, that a folder does not hold another data set whose files would be mixed up.

    Manifests of one data set, such as official splits or a later version with other labels, share videos and classes.
    Another data set may lie in the folder too, as long as its videos and its manifest have other names.

    Args:
        manifest: Of the videos.
        folder: For the new files and their manifest.
        name: Of the new manifest.
        what: What is made of a video, for the message.

    Raises:
        UserError: A manifest in the folder would be replaced, or its files taken for those of this data set.
    """
    if not manifest.classes:
        return
    ids, classes = set(manifest.video_ids), set(manifest.classes)
    for path in sorted(path for path in folder.glob("*.csv") if not is_classes_file(path)):
        try:
            there = Manifest.read(path)
        except UserError:
            continue
        same_videos, same_classes = bool(ids & set(there.video_ids)), bool(classes & set(there.classes))
        clash = not (same_videos and same_classes) if path.name == name else same_videos and not same_classes
        if clash and there.classes:
            raise UserError(
                f"{path} lists {what} of another data set, with the classes {some_of(there.classes, 3)}; "
                f"{manifest.name} has {some_of(manifest.classes, 3)}. Give another --out."
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
