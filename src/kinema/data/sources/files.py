"""Finding listed videos on disk, under another extension or in another folder than the list says."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from kinema.data.folder import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from kinema.data.sources.listing import Entry, class_key
from kinema.errors import UserError


class FileIndex:
    """The videos below a folder, by path and by name, both without the extension.

    The folder is only walked through when a video is not exactly where its list says.
    """

    def __init__(self, root: Path, *, images: bool = False) -> None:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder of videos.")
        self.root = root
        self._suffixes = IMAGE_SUFFIXES if images else VIDEO_SUFFIXES
        self._images = images
        self._by_path: dict[str, str] | None = None
        self._by_name: dict[str, list[str]] = {}

    def find(self, entry: Entry) -> str | None:
        """Return the path of a listed video relative to the root, or None when it is not there.

        Raises:
            UserError: Several files have its name and neither class nor split tells which one it is.
        """
        for location in entry.locations:
            if (self.root / location).exists() and self._is_video(location):
                return location
        by_path = self._walk()
        for location in entry.locations:
            if self._bare(location) in by_path:
                return by_path[self._bare(location)]
        for location in entry.locations:
            same_name = self._by_name.get(PurePosixPath(self._bare(location)).name, [])
            if same_name:
                return self._choose(same_name, entry)
        return None

    def _is_video(self, location: str) -> bool:
        """A folder with the name of a video is one only if it holds frames."""
        path = self.root / location
        if path.is_dir():
            return not self._images and any(child.suffix.lower() in IMAGE_SUFFIXES for child in path.iterdir())
        return path.suffix.lower() in self._suffixes

    def _bare(self, location: str) -> str:
        suffix = PurePosixPath(location).suffix
        return location.removesuffix(suffix) if suffix.lower() in self._suffixes else location

    def _walk(self) -> dict[str, str]:
        if self._by_path is not None:
            return self._by_path
        self._by_path = {}
        for folder, folders, files in os.walk(self.root, followlinks=True):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inside = Path(folder).relative_to(self.root)
            names = [name for name in sorted(files) if not name.startswith(".")]
            here = [inside / name for name in names if Path(name).suffix.lower() in self._suffixes]
            if not here and not self._images and any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in names):
                here = [inside]  # a folder of frames is the video
            for path in here:
                bare = self._bare(path.as_posix())
                if self._by_path.setdefault(bare, path.as_posix()) == path.as_posix():
                    self._by_name.setdefault(PurePosixPath(bare).name, []).append(path.as_posix())
        return self._by_path

    def _choose(self, paths: list[str], entry: Entry) -> str:
        for word in (entry.label, entry.split):
            if len(paths) > 1:
                narrower = [path for path in paths if class_key(word) in map(class_key, PurePosixPath(path).parts[:-1])]
                paths = narrower or paths
        if len(paths) > 1:
            raise UserError(f"{self.root}: video {entry.video_id} could be any of {', '.join(paths[:5])}; keep one.")
        return paths[0]
