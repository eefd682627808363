"""What can be wrong with a manifest, all of it at once."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinema.data.table_text import HOW_TO_UTF8, not_utf8
from kinema.errors import UserError
from kinema.video.location import below, is_remote
from kinema.video.storage import missing_videos
from kinema.wording import LISTED, some_of

if TYPE_CHECKING:
    from kinema.data.manifest_table import ManifestTable

MISSING_LISTED = 5
"""How many missing files are named; mostly all are missing, for one reason."""


def problems_error(source: str, problems: Sequence[str]) -> UserError:
    """Build the one error that lists every problem of a manifest."""
    if len(problems) == 1:
        return UserError(f"{source}: {problems[0]}")
    return UserError("\n  - ".join([f"{source}: {len(problems)} problems:", *problems]))


def same_name(name: str) -> str:
    """Reduce a class name to what makes it the same name on some file system: Unicode form, case, outer spaces."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def class_problems(classes: Sequence[str], no_flip: Iterable[str] = ()) -> list[str]:
    """Find class names that are empty or the same, and ``no_flip`` names that are no classes."""
    problems = []
    if any(not name.strip() for name in classes):
        problems.append("a class has an empty name")
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[same_name(name)].append(name)
    clashes = [" = ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if clashes:
        problems.append(f"two classes have one name ({some_of(clashes)}); rename or merge them")
    strangers = sorted(set(no_flip) - set(classes))
    if strangers:
        problems.append(f"no_flip names that are no classes: {some_of(strangers)}")
    return problems


def find_problems(manifest: ManifestTable, *, check_files: bool = True) -> list[str]:
    """List everything that is wrong with a manifest, one sentence for each kind of mistake."""
    problems = class_problems(manifest.classes, manifest.no_flip)
    if not len(manifest):
        return [*problems, "no videos"]
    ids = manifest.video_ids
    repeated = [video_id for video_id, count in Counter(ids).items() if count > 1]
    if repeated:
        problems.append(f"{len(repeated):,} video_ids appear more than once: {some_of(repeated)}")
    problems += _label_problems(manifest, ids)
    problems += _number_problems(manifest, ids)
    problems += _group_problems(manifest)
    if check_files:
        missing = missing_files(manifest)
        if missing:
            named = some_of(list(dict.fromkeys(missing)), MISSING_LISTED)
            problems.append(f"{len(missing):,} of {len(manifest):,} files are missing: {named}{_where(manifest)}")
    return problems


def missing_files(manifest: ManifestTable) -> list[str]:
    """Return the paths that are not there; for videos in archives, what is wrong with the archive.

    Raises:
        StorageError: Remote storage does not answer.
        MissingExtraError: A package for the protocol is missing.
    """
    return missing_videos(below(manifest.root, path) for path in manifest.columns.path.take(manifest.rows))


def _where(manifest: ManifestTable) -> str:
    """Say where relative paths begin, and in which folder near it the videos are, if they are."""
    paths = manifest.columns.path.take(manifest.rows[:MISSING_LISTED])
    if any(is_remote(path) or Path(path).is_absolute() for path in paths):
        return ""
    text = f"; paths begin at {manifest.root.absolute()}"
    folder = nearby_folder(manifest.root, paths)
    if folder:
        return f"{text}, but below {folder} there are such files: move the manifest there"
    if any(not_utf8(path) for path in paths):
        return f"{text}. They are not UTF-8 text: {HOW_TO_UTF8}"
    return text


def nearby_folder(root: Path, paths: Sequence[str]) -> Path | None:
    """Find the folder below which all of some relative paths lead to files: the working directory, or one near root."""
    root = root.absolute()
    below_root = sorted(path for path in root.iterdir() if path.is_dir())[:LISTED] if root.is_dir() else []
    near = dict.fromkeys([Path.cwd(), *root.parents[:2], *below_root])
    return next((folder for folder in near if all((folder / path).exists() for path in paths)), None)


def _label_problems(manifest: ManifestTable, ids: list[str]) -> list[str]:
    labels, limit = manifest.labels, len(manifest.classes)
    outside = np.flatnonzero((labels >= limit) | (labels < -1))
    if not len(outside):
        return []
    named = [f"{ids[row]} ({labels[row]})" for row in outside]
    return [f"{len(named):,} labels are out of range, allowed are 0 to {limit - 1}: {some_of(named)}"]


def _number_problems(manifest: ManifestTable, ids: list[str]) -> list[str]:
    columns, rows = manifest.columns, manifest.rows
    frames, fps, start, end = (column[rows] for column in (columns.num_frames, columns.fps, columns.start, columns.end))
    empty_paths = columns.path.is_empty(rows)
    checks = [
        ("have no video_id", columns.video_id.is_empty(rows)),
        ("have no path", empty_paths),
        ("have a negative num_frames", frames < 0),
        ("have a negative number of damaged frames", manifest.columns.damaged[rows] < 0),
        ("have an fps that is negative or not finite", ~(np.isfinite(fps) & (fps >= 0))),
        ("have a start or end that is negative or infinite", (start < 0) | np.isinf(start) | (end < 0) | np.isinf(end)),
        ("have a start that is not before the end", start >= end),
    ]
    return [
        f"{int(wrong.sum()):,} rows {what}: {some_of([ids[row] or f'row {row + 1}' for row in np.flatnonzero(wrong)])}"
        for what, wrong in checks
        if wrong.any()
    ]


def _group_problems(manifest: ManifestTable) -> list[str]:
    if manifest.columns.group.is_empty(manifest.rows).all():
        return []
    homes: dict[str, set[int]] = defaultdict(set)
    for group, split in zip(manifest.groups, manifest.columns.split[manifest.rows].tolist(), strict=True):
        if group:
            homes[group].add(split)
    torn = [group for group, splits in homes.items() if len(splits) > 1]
    if not torn:
        return []
    named = some_of(torn)
    return [f"{len(torn):,} groups lie in more than one split: {named}; put each into one, or leave the groups out"]
