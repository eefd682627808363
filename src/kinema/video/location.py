"""Where the bytes of a video lie: in a file of its own, inside a tar archive, or on remote storage.

A video inside an archive is written as if the archive were a folder: ``shards/000003.tar/wave/a.mp4``. A remote one has
its protocol in front: ``s3://bucket/videos/a.mp4``, or, inside an archive, ``s3://bucket/shards/000003.tar/wave/a.mp4``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import BinaryIO

ARCHIVE_SUFFIX = ".tar"


class StoredVideo(ABC):
    """A video that is no file of its own, but can be read like one; ``str`` gives its path as a manifest writes it.

    Attributes:
        path: As it was given.
        name: The last part of the path; its ending tells FFmpeg what to expect.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = path.rsplit("/", 1)[-1]

    @abstractmethod
    def open(self) -> BinaryIO:
        """Open the video for reading and seeking; closing is up to the caller.

        Raises:
            VideoError: Its bytes cannot be had.
        """

    def __str__(self) -> str:
        return self.path


def is_remote(path: str | Path) -> bool:
    """Whether a path begins with a protocol, such as ``s3://``."""
    return "://" in str(path)


def split_archive(path: str | Path) -> tuple[str, str] | None:
    """Split a path into that of a tar archive and the name inside it; None when it leads through no archive."""
    text = Path(path).as_posix() if isinstance(path, Path) else path
    position = text.find(f"{ARCHIVE_SUFFIX}/")
    if position < 0:
        return None
    end = position + len(ARCHIVE_SUFFIX)
    if not is_remote(text) and Path(text[:end]).is_dir():  # a folder may have such a name
        return None
    return text[:end], text[end + 1 :]


def below(root: Path, path: str) -> str:
    """The path of a manifest's row: below the manifest's folder, unless it is absolute or remote."""
    return path if is_remote(path) else str(root / path)


def ffmpeg_name(path: Path) -> str:
    """Name a local file for FFmpeg, which would take what stands before a colon for a protocol."""
    return f"file:{path}"
