"""Folders as data sets: ``DIR/class/video``, ``DIR/train/class/video``, or unlabelled ``DIR/video``.

A folder of images inside a class is a video too. Hidden files are left alone.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections import Counter
from pathlib import Path

from kinema.data.classes_file import is_classes_file
from kinema.data.hold_out import HOLDOUT, hold_out_of_unsplit
from kinema.data.manifest_table import ManifestTable, Record
from kinema.data.validate import class_problems, problems_error
from kinema.errors import UserError
from kinema.wording import some_of

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
    ".ts", ".vob", ".webm", ".wmv", ".y4m",
))
# fmt: on
IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp"))
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_UCF_NAME = re.compile(r"_(g\d+)_c\d+$")

log = logging.getLogger("kinema")


@dataclasses.dataclass(frozen=True)
class Tree:
    """What lies in a folder: video files and sub-folders by name, and whether images lie there."""

    path: Path
    videos: tuple[str, ...]
    folders: tuple[str, ...]
    has_images: bool

    @property
    def is_frame_folder(self) -> bool:
        """Whether the folder is itself a video, given as one image file for each frame."""
        return self.has_images and not self.videos and not self.folders

    def child(self, name: str) -> Tree:
        """List a sub-folder."""
        return list_folder(self.path / name)


def list_folder(path: Path) -> Tree:
    """List a folder in alphabetical order, without hidden entries."""
    videos, folders, has_images = [], [], False
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith((".", "__MACOSX")):
                continue
            suffix = Path(entry.name).suffix.lower()
            if entry.is_dir():
                folders.append(entry.name)
            elif suffix in VIDEO_SUFFIXES:
                videos.append(entry.name)
            has_images |= suffix in IMAGE_SUFFIXES
    return Tree(path, tuple(videos), tuple(folders), has_images)


def read_folder(path: str | Path, *, holdout: float = HOLDOUT) -> ManifestTable:
    """Read a folder as a data set.

    With ``train``, ``val`` (or ``validation``) and ``test`` above the classes, or below every class, these are the
    splits. Otherwise 20 % of every class are held out as ``val``, whole groups at a time; folders between class and
    video are groups, and so is the gNN in names like those of UCF101. Videos in no class folder at all make an
    unlabelled ``test`` set.

    Args:
        path: The folder.
        holdout: The fraction to hold out; 0 leaves every video in ``train``.

    Raises:
        UserError: There are no videos, two classes have one name, videos lie beside the class folders, or the class
            folders lie deeper than expected.
    """
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder.")
    top = list_folder(root)
    by_split = {name: SPLIT_FOLDERS[name.lower()] for name in top.folders if name.lower() in SPLIT_FOLDERS}
    others = [name for name in top.folders if name not in by_split and _holds_videos(top.child(name))]
    if by_split and not others:
        records = [record for name, split in by_split.items() for record in _classes(root, top.child(name), split)]
    else:
        _refuse_classes_beside_splits(top, by_split, others)
        records = _unlabelled(root, top) or _split_below_classes(root, _classes(root, top, "train"))
    if not records:
        raise UserError(f"{root}: no videos found.{_advice(root)}")
    if len({record.label for record in records if record.label}) == 1:
        _refuse_wrong_nesting(root, [top] if others or not by_split else [top.child(name) for name in by_split])
    manifest = _manifest(root, records)
    return hold_out_of_unsplit(manifest, holdout, f"{root}: there are no train and val folders")


def _holding(tree: Tree) -> list[str]:
    """The sub-folders that hold videos and are none themselves."""
    children = {name: tree.child(name) for name in tree.folders}
    return [name for name, child in children.items() if not child.is_frame_folder and _holds_videos(child)]


def _refuse_classes_beside_splits(top: Tree, by_split: dict[str, str], others: list[str]) -> None:
    """A class may be called train; but where there is a val too, and both hold folders, those are splits."""
    parts = [name for name in by_split if _holding(top.child(name)) and not top.child(name).videos]
    if len(parts) > 1 and others:
        raise UserError(
            f"{top.path}: {some_of(others, 3)} with videos lies beside the splits {', '.join(parts)}; move it into one "
            "of them, as a class, or out of this folder."
        )


def _refuse_wrong_nesting(root: Path, parts: list[Tree]) -> None:
    """Refuse class folders that lie a folder too deep, so that all videos would be of one class."""
    for part in parts:
        tree, names = part, _holding(part)
        while len(names) == 1 and not tree.videos:
            tree = tree.child(names[0])
            names = _holding(tree)
        if tree is not part and names and not tree.videos:
            advice = f"give {tree.path}" if part.path == root else f"move them into {part.path}"
            raise UserError(
                f"{part.path}: all videos lie below one folder, {tree.path}, so they would be of one class; in it are "
                f"{some_of(names, 5)}. If these are the classes or splits, {advice}"
            )


def _split_below_classes(root: Path, records: list[Record]) -> list[Record]:
    """Read CLASS/train/video and CLASS/test/video, where every video lies so, as splits rather than groups."""
    first = [record.group.partition("/")[0].lower() for record in records]
    named = [name in SPLIT_FOLDERS for name in first]
    if not all(named):
        if any(named):
            inside = some_of(sorted({name for name, known in zip(first, named, strict=True) if known}))
            log.warning(f"{root}: {inside} below the classes count as groups, since other videos lie in no such folder")
        return records
    return [
        record._replace(split=SPLIT_FOLDERS[name], group=record.group.partition("/")[2])
        for record, name in zip(records, first, strict=True)
    ]


def _manifest(root: Path, records: list[Record]) -> ManifestTable:
    classes = sorted({record.label for record in records if record.label})
    problems = class_problems(classes)
    if problems:
        raise problems_error(str(root), problems)
    times = Counter(record.video_id for record in records)  # clip.avi and clip.mp4 side by side are two videos
    records = [record._replace(video_id=record.path) if times[record.video_id] > 1 else record for record in records]
    return ManifestTable.from_records(records, classes=classes, root=root, source=str(root))


def _classes(root: Path, tree: Tree, split: str) -> list[Record]:
    """List the videos of every class folder in ``tree``."""
    if tree.videos:
        raise UserError(
            f"{tree.path}: {len(tree.videos)} videos lie beside the class folders ({some_of(tree.videos, 3)});"
            " move each into the folder of its class."
        )
    records, empty = [], []
    for name in tree.folders:
        videos = _videos(tree.child(name))
        if not videos:
            empty.append(name)
        for path, group in videos:
            relative = path.relative_to(root)
            ucf = _UCF_NAME.search(path.stem)
            group = group or (f"{name}_{ucf.group(1)}" if ucf else "")
            video_id = (relative if path.is_dir() else relative.with_suffix("")).as_posix()
            records.append(Record(video_id, relative.as_posix(), name, split=split, group=group))
    if empty and records:
        log.warning(f"{tree.path}: no videos in {some_of(empty)}, skipped as classes.")
    return records


def _videos(tree: Tree, group: str = "") -> list[tuple[Path, str]]:
    """List the videos below a class folder, each with its group: the folders between the class and the video."""
    found = [(tree.path / name, group) for name in tree.videos]
    for name in tree.folders:
        child = tree.child(name)
        if child.is_frame_folder:
            found.append((child.path, group))
        else:
            found += _videos(child, f"{group}/{name}" if group else name)
    return found


def _holds_videos(tree: Tree) -> bool:
    if tree.videos or tree.is_frame_folder:
        return True
    return any(_holds_videos(tree.child(name)) for name in tree.folders)


def _unlabelled(root: Path, tree: Tree) -> list[Record]:
    """List the videos of a folder without class folders; empty when there are classes."""
    children = [tree.child(name) for name in tree.folders]
    paths = [root / name for name in tree.videos] + [child.path for child in children if child.is_frame_folder]
    if any(not child.is_frame_folder and _holds_videos(child) for child in children):
        return []
    return [Record((path if path.is_dir() else path.with_suffix("")).name, path.name, split="test") for path in paths]


def _advice(root: Path) -> str:
    manifests = sorted(path.name for path in root.glob("*.csv") if not is_classes_file(path))
    if manifests:
        return f" To use a manifest in it, name the file: {some_of([str(root / name) for name in manifests], 5)}"
    return (
        f" Expected are CLASS/video.mp4 or train/CLASS/video.mp4 in it, or videos alone; a video may be a folder of"
        f" images; endings known: {' '.join(sorted(VIDEO_SUFFIXES))}"
    )
