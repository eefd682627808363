"""The manifest of flow stores: the labels and splits of the videos, the paths and lengths of their flow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kinema.data.manifest import Manifest, Record
from kinema.data.manifest_csv import CLASSES_FILE, read_classes
from kinema.data.validate import some_of
from kinema.errors import UserError, VideoError
from kinema.video.flow_store import open_flow_store


def manifest_name(manifest: Manifest) -> str:
    """File name of the stores' manifest: that of the videos' CSV, or ``flow.csv`` for a folder."""
    source = Path(manifest.source)
    return source.name if source.suffix.lower() == ".csv" else "flow.csv"


def refuse_other_classes(manifest: Manifest, folder: Path) -> None:
    """Make sure, before hours of work, that the manifest of the stores can be written into a folder.

    Raises:
        UserError: The folder belongs to a data set with other classes.
    """
    listed = read_classes(folder / CLASSES_FILE)
    if listed and listed[0] and manifest.classes and tuple(listed[0]) != manifest.classes:
        raise UserError(
            f"{folder} holds flow of a data set with {len(listed[0])} other classes ({some_of(listed[0], 3)}); "
            f"{manifest.name} has {len(manifest.classes)} ({some_of(manifest.classes, 3)}). Give another --out."
        )


def write_store_manifest(manifest: Manifest, target: Path, place: Callable[[str], Path]) -> Path | None:
    """Write the manifest of all stores that are complete.

    Other processes may finish theirs meanwhile and write the manifest too. It is written again until no store has been
    added while that went on, so whoever comes last leaves the complete one.

    Args:
        manifest: The videos.
        target: The CSV to write.
        place: From a video's id to its store.

    Returns:
        The CSV; None when there is not one store.
    """
    while True:
        there = [record for record in manifest if place(record.video_id).exists()]
        records = [kept for record in there if (kept := _stored(record, place(record.video_id), target.parent))]
        if not records:
            return None
        stores = Manifest.from_records(
            records, classes=manifest.classes, root=target.parent, no_flip=manifest.no_flip, source=str(target)
        )
        stores.write(target)
        if sum(place(record.video_id).exists() for record in manifest) == len(there):
            return target


def _stored(record: Record, path: Path, folder: Path) -> Record | None:
    """The row of a store; None when it is damaged."""
    try:
        with open_flow_store(path) as store:
            num_fields, fps = len(store), store.fps
    except VideoError:
        return None
    nowhere = float("nan")  # a store has the fields of its segment only
    path = path.relative_to(folder)
    return record._replace(path=str(path), num_frames=num_fields, fps=fps, start=nowhere, end=nowhere)
