"""From an official data set and the videos on disk to manifests."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from kinema.data.manifest import Manifest, Record
from kinema.data.sources.files import FileIndex
from kinema.data.sources.listing import Entry, Listing, class_key
from kinema.data.sources.table import DATA_SETS, names_with_lists
from kinema.errors import UserError, one_of, unknown_name
from kinema.wording import some_of

log = logging.getLogger("kinema")


class MissingVideosError(UserError):
    """Listed videos that are not on disk; ``missing`` has them all, the message the first ones."""

    def __init__(self, message: str, missing: list[str]) -> None:
        super().__init__(message)
        self.missing = missing


@dataclasses.dataclass(frozen=True)
class MadeManifests:
    """Manifests by name, such as ``ucf101-split1``, and the ids that were listed but are not in them."""

    manifests: dict[str, Manifest]
    missing: list[str]


def make_manifests(
    source: str,
    *,
    videos: str | Path,
    annotations: str | Path,
    classes: Sequence[str] = (),
    missing: str = "error",
) -> MadeManifests:
    """Make the manifests of an official data set.

    Args:
        source: Its name, one of ``names_with_lists``.
        videos: The folder of videos. They are found in the folders and under the names that the lists give, with any
            video extension, or by their name alone; a folder of frames counts as a video.
        annotations: The folder with the official annotation files, which may lie in folders below it.
        classes: Only these classes; their official order stays and they are numbered anew from 0.
        missing: ``"error"`` refuses when listed videos are not on disk, ``"drop"`` goes on without them.

    Returns:
        The manifests, and the ids of every listed video that was dropped.

    Raises:
        UserError: A name is unknown, an annotation file is absent or broken.
        MissingVideosError: Videos are missing and are not to be dropped.
    """
    one_of("data set", source, names_with_lists())
    one_of("choice for missing videos", missing, ("error", "drop"))
    for folder in (Path(videos), Path(annotations)):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder.")
    listings = [restrict(listing, classes) for listing in DATA_SETS[source].read(Path(annotations), Path(videos))]
    index = FileIndex(Path(videos), images=any(listing.images for listing in listings))
    made: dict[str, Manifest] = {}
    absent: dict[str, None] = {}  # an ordered set: official splits list the same videos
    listed: set[str] = set()
    for listing in listings:
        records = _locate(listing, index, absent)
        listed.update(entry.video_id for entry in listing.entries)
        absent.update(dict.fromkeys(listing.unlabelled))
        made[listing.name] = Manifest.from_records(
            records, classes=listing.classes, no_flip=listing.no_flip, root=videos, source=listing.name
        )
    if absent:
        _report(list(absent), len(listed | absent.keys()), Path(videos), drop=missing == "drop")
    for manifest in made.values():
        manifest.validate(check_files=False)
    return MadeManifests(made, list(absent))


def restrict(listing: Listing, classes: Sequence[str]) -> Listing:
    """Keep some classes of a listing, in their official order; all when ``classes`` is empty.

    Raises:
        UserError: A name is not a class of the data set.
    """
    if not classes:
        return listing
    by_key = {class_key(name): name for name in listing.classes}
    for name in classes:
        if class_key(name) not in by_key:
            raise unknown_name(f"class of {listing.name}", name, listing.classes)
    wanted = {by_key[class_key(name)] for name in classes}
    return dataclasses.replace(
        listing,
        classes=tuple(name for name in listing.classes if name in wanted),
        entries=[entry for entry in listing.entries if entry.label in wanted],
        no_flip=listing.no_flip & wanted,
    )


def _locate(listing: Listing, index: FileIndex, absent: dict[str, None]) -> list[Record]:
    """Turn the entries whose videos are on disk into records and note the ids of the others in ``absent``."""
    records: list[Record] = []
    seen: set[tuple[str, str, str]] = set()
    for entry in listing.entries:
        if (entry.video_id, entry.label, entry.split) in seen:
            continue  # the official lists of the large sets repeat lines
        seen.add((entry.video_id, entry.label, entry.split))
        path = index.find(entry)
        if path is None:
            absent[entry.video_id] = None
        else:
            records.append(_record(entry, path))
    if len(seen) < len(listing.entries):
        log.warning(
            f"{listing.name}: {len(listing.entries) - len(seen):,} repeated lines of the lists were counted once."
        )
    return records


def _record(entry: Entry, path: str) -> Record:
    return Record(
        video_id=entry.video_id,
        path=path,
        label=entry.label,
        split=entry.split,
        num_frames=entry.num_frames,
        fps=entry.fps,
        start=entry.start,
        end=entry.end,
        group=entry.group,
    )


def _report(absent: list[str], num_listed: int, videos: Path, *, drop: bool) -> None:
    count = f"{len(absent):,} of the {num_listed:,} listed videos"
    if len(absent) == num_listed:
        raise MissingVideosError(
            f"none of the {num_listed:,} listed videos is in {videos}: {some_of(absent, 3)}.", absent
        )
    if not drop:
        raise MissingVideosError(
            f"{count} are not in {videos}: {some_of(absent)}. Add them, or leave them out with --missing drop.", absent
        )
    log.warning(f"{count} are not in {videos} and were left out: {some_of(absent, 5)}.")
