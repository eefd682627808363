"""Where the videos of anybody's list lie, and what to call them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from kinema.data.folder import VIDEO_SUFFIXES
from kinema.data.manifest import Record
from kinema.data.sources.files import FileIndex
from kinema.data.sources.listing import Entry
from kinema.data.table_text import HOW_TO_UTF8, not_utf8, readable
from kinema.data.validate import nearby_folder
from kinema.errors import UserError
from kinema.video.location import below, is_remote
from kinema.video.storage import missing_videos
from kinema.wording import some_of


class VideoFinder:
    """Finds the videos of a list on disk.

    Args:
        file: The list; its folder is where relative paths begin, unless ``videos`` is given.
        videos: The folder of videos.
    """

    def __init__(self, file: Path, videos: Path | None) -> None:
        if videos is not None and not videos.is_dir():
            raise UserError(f"{videos}: no such folder of videos.")
        self.root = file.parent if videos is None else videos
        self._file = file
        self._index = FileIndex(videos) if videos is not None else None

    def find(self, path: str) -> str | None:
        """Return the path for the manifest, relative to ``root`` or absolute; None when there is no such video."""
        for text in dict.fromkeys((path, path.replace("\\", "/"))):
            if is_remote(text) or (text and not missing_videos([below(self.root, text)])):
                return text
        if self._index is None or not path:
            return None
        listed = PurePosixPath(path.replace("\\", "/"))
        locations = (str(listed),) if not listed.is_absolute() else (listed.name,)
        return self._index.find(Entry(path, locations, "", ""))

    def text_problems(self, paths: Sequence[str]) -> list[str]:
        """Paths that are not UTF-8 and no file's name either: the list was saved in another encoding."""
        foreign = [readable(path) for path in paths if not_utf8(path) and self.find(path) is None]
        if not foreign:
            return []
        return [
            f"{len(foreign):,} paths are not UTF-8 text: {some_of(foreign, 5)}; give the encoding, such as --encoding "
            f"cp1252, or {HOW_TO_UTF8}"
        ]

    def advice(self, absent: list[str]) -> str:
        """What to do about videos that are not there: the folder where they are, if it is near."""
        folder = nearby_folder(self.root, absent[:20])
        if folder:
            return f" Below {folder} they are there: give --videos {folder}"
        if self._index is None:
            return " Relative paths begin at the folder of the CSV; --videos DIR gives another"
        return ""


def video_ids(records: Sequence[Record]) -> list[str]:
    """Name the videos by their paths without endings, and segments by their seconds too."""
    paths = [PurePosixPath(record.path) for record in records]
    top = _common_folder([path for path in paths if path.is_absolute() and not is_remote(str(path))])
    inside = [path.relative_to(top) if path.is_absolute() and top else path for path in paths]
    full = ["/".join(part for part in path.parts if part not in ("/", "..", ".")) for path in inside]
    bare = [name[: -len(PurePosixPath(name).suffix)] if _is_video(name) else name for name in full]
    times = Counter(dict.fromkeys(zip(bare, full, strict=True)).keys())
    files = Counter(name for name, _ in times)
    names = [short if files[short] == 1 else long for short, long in zip(bare, full, strict=True)]
    return [_with_seconds(name, record) for name, record in zip(names, records, strict=True)]


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def _common_folder(paths: Sequence[PurePosixPath]) -> PurePosixPath | None:
    if not paths:
        return None
    common = paths[0].parent
    while not all(path.is_relative_to(common) for path in paths):
        common = common.parent
    return common


def _with_seconds(name: str, record: Record) -> str:
    if record.start != record.start and record.end != record.end:
        return name
    start = 0.0 if record.start != record.start else record.start
    return f"{name}@{start:g}-" + ("" if record.end != record.end else f"{record.end:g}")
