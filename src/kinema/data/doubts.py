"""What a data set may hold and yet is probably a mistake: videos that leak from one split into another, lonely classes.

None of it is refused, since some data sets are so on purpose; it is said before it shows in a score.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinema.data.columns import SPLITS
from kinema.data.manifest import Manifest, Record
from kinema.wording import some_of

END_BYTES = 65536
"""Of files that are equally long, this much of both ends is compared before they are read whole."""
SHOWN = 5


class Doubt(NamedTuple):
    """Something that is probably a mistake.

    Attributes:
        text: What it is, which videos or classes, and what to do.
        is_serious: Whether scores cannot be trusted: a video is in two splits, or has two labels.
    """

    text: str
    is_serious: bool = False


def find_doubts(manifest: Manifest) -> list[Doubt]:
    """List everything doubtful about a data set whose videos lie on a local disk.

    Files are compared by their contents, at little cost: only those of one length are opened, and of these only the
    ones whose ends agree are read whole. Videos in archives, on remote storage and folders of images are compared by
    their paths alone.
    """
    return [*copy_doubts(manifest), *class_doubts(manifest)]


def copy_doubts(manifest: Manifest) -> list[Doubt]:
    """Find the same video, or the same seconds of it, in two splits, under two labels, or twice."""
    torn, relabelled, twice = [], [], []
    for rows in same_content(manifest):
        for alike in _overlapping([manifest[row] for row in rows]):
            if len({record.split for record in alike}) > 1:
                torn.append(" = ".join(f"{record.video_id} ({record.split})" for record in alike))
            if len({record.label for record in alike}) > 1:
                relabelled.append(" = ".join(f"{record.video_id} ({record.label or 'no label'})" for record in alike))
            elif len({record.split for record in alike}) == 1:
                twice.append(" = ".join(record.video_id for record in alike))
    found = []
    if torn:
        found.append(
            Doubt(
                f"{_videos(torn)} in more than one split, as the same file or a copy of it: {some_of(torn, SHOWN)}. "
                "Scores would count videos that were trained on; keep one of each, or all in one split",
                is_serious=True,
            )
        )
    if relabelled:
        found.append(
            Doubt(
                f"{_videos(relabelled)} there with more than one label: {some_of(relabelled, SHOWN)}. "
                "Correct the label, or keep one of each",
                is_serious=True,
            )
        )
    if twice:
        found.append(Doubt(f"{_videos(twice)} there more than once in one split: {some_of(twice, SHOWN)}"))
    return found


def class_doubts(manifest: Manifest) -> list[Doubt]:
    """Find classes with a single video, and classes that are tested and never trained."""
    labels, splits = manifest.labels, manifest.columns.split[manifest.rows]
    size = len(manifest.classes)
    total = np.bincount(labels[labels >= 0], minlength=size)
    trained = np.bincount(labels[(labels >= 0) & (splits == SPLITS.index("train"))], minlength=size)
    found = []
    single = [manifest.classes[index] for index in np.flatnonzero(total == 1)]
    if single and len(manifest) > 1:
        others = [name for name in manifest.classes if name not in single]
        close = difflib.get_close_matches(single[0], others, n=1, cutoff=0.75)
        maybe = f" (or is that {close[0]}?)" if close else ""
        which = f"the class {single[0]}{maybe} has" if len(single) == 1 else f"{len(single):,} classes have"
        names = "" if len(single) == 1 else f": {some_of(single)}"
        found.append(
            Doubt(
                f"{which} a single video{names}. It can be trained on or tested, not both; add videos, or leave the "
                "class out"
            )
        )
    unseen = [manifest.classes[index] for index in np.flatnonzero((trained == 0) & (total > 0))]
    if unseen and trained.any():
        names = some_of(unseen)
        found.append(Doubt(f"no video to train on for {names}, which {_has(unseen)} others; move some into train"))
    return found


def same_content(manifest: Manifest) -> list[list[int]]:
    """Find the rows whose videos are the same bytes.

    Returns:
        The rows of each such video, in order; only where there are two or more.
    """
    records = list(manifest)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, record in enumerate(records):
        rows_of[os.path.normpath(record.path) if "://" not in record.path else record.path].append(row)
    paths = list(rows_of)
    sizes = {path: size for path in paths if (size := _size(path))}
    alike = _same(_same(_same([list(sizes)], sizes.__getitem__), _hash_of_ends), _hash)
    joined = {path for group in alike for path in group}
    groups = [*alike, *([path] for path in paths if path not in joined)]
    found = [sorted(row for path in group for row in rows_of[path]) for group in groups]
    return sorted(rows for rows in found if len(rows) > 1)


def _same(groups: Iterable[list[str]], key: Callable[[str], Hashable]) -> list[list[str]]:
    """Divide groups of paths by a key, and keep what is still two or more."""
    divided: list[list[str]] = []
    for group in groups:
        by_key: dict[Hashable, list[str]] = defaultdict(list)
        for path in group:
            by_key[key(path)].append(path)
        divided += [paths for paths in by_key.values() if len(paths) > 1]
    return divided


def _size(path: str) -> int:
    """Bytes of a file; 0 for whatever is no local file, which other checks report."""
    try:
        status = Path(path).stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _hash_of_ends(path: str) -> Hashable:
    try:
        with Path(path).open("rb") as file:
            start = file.read(END_BYTES)
            file.seek(-min(END_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return hashlib.blake2b(start + file.read()).digest()
    except OSError:
        return path  # like no other


def _hash(path: str) -> Hashable:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except OSError:
        return path


def _overlapping(records: list[Record]) -> list[list[Record]]:
    """Divide rows of one video into those that share seconds; a row without start and end has all of them."""
    spans = [(0.0 if r.start != r.start else r.start, float("inf") if r.end != r.end else r.end) for r in records]
    order = sorted(range(len(records)), key=lambda row: (*spans[row], row))
    found: list[list[int]] = []
    reach = -1.0
    for row in order:
        start, end = spans[row]
        if not found or start >= reach:
            found.append([])
            reach = end
        found[-1].append(row)
        reach = max(reach, end)
    return [[records[row] for row in sorted(rows)] for rows in found if len(rows) > 1]


def _videos(items: list[str]) -> str:
    return f"{len(items):,} video{'s are' if len(items) > 1 else ' is'}"


def _has(names: list[str]) -> str:
    return "have" if len(names) > 1 else "has"
