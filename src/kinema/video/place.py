"""Where the bytes of a video lie: in a file of its own, inside a tar archive, or on remote storage.

A video inside an archive is written as if the archive were a folder: ``shards/000003.tar/wave/a.mp4``. A remote one has
its protocol in front: ``s3://bucket/videos/a.mp4``, or, inside an archive, ``s3://bucket/shards/000003.tar/wave/a.mp4``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from kinema.errors import StorageError, VideoError

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
    place = text.find(f"{ARCHIVE_SUFFIX}/")
    if place < 0:
        return None
    end = place + len(ARCHIVE_SUFFIX)
    if not is_remote(text) and Path(text[:end]).is_dir():  # a folder may have such a name
        return None
    return text[:end], text[end + 1 :]


def below(root: Path, path: str) -> str:
    """The path of a manifest's row: below the manifest's folder, unless it is absolute or remote."""
    return path if is_remote(path) else str(root / path)


def ffmpeg_name(path: Path) -> str:
    """Name a local file for FFmpeg, which would take what stands before a colon for a protocol."""
    return f"file:{path}"


def find_place(path: str | Path) -> Path | StoredVideo:
    """Find the bytes of a video.

    Args:
        path: A file or folder, a video inside a tar archive, or the address of a remote one.

    Returns:
        A local path as it is, anything else as something that can be opened.

    Raises:
        VideoError: There is nothing, or the archive or its index is damaged.
        MissingExtraError: A package for the protocol is missing.
    """
    if is_remote(path):
        from kinema.video.remote import find_remote

        return find_remote(str(path))
    inside = split_archive(path)
    if inside is not None:
        from kinema.video.archive import find_member

        return find_member(*inside)
    path = Path(path)
    if not path.exists():
        raise VideoError(path, "no such file or folder; check the path")
    return path


def missing_places(paths: Iterable[str]) -> list[str]:
    """Say what is missing of some videos.

    An archive that cannot be read is asked for once, however many of the videos lie in it.

    Returns:
        For each video that is missing its path, or what is wrong with its archive or the storage.

    Raises:
        StorageError: Remote storage does not answer; each further video would only wait for it again.
        MissingExtraError: A package for the protocol is missing.
    """
    missing: list[str] = []
    broken: dict[str, str] = {}
    for path in paths:
        inside = split_archive(path)
        if inside is None and not is_remote(path):
            missing += [] if Path(path).exists() else [path]
        elif inside is not None and inside[0] in broken:
            missing.append(broken[inside[0]])
        else:
            try:
                _require(path, inside)
            except StorageError:
                raise
            except VideoError as error:
                missing.append(str(error))
                if inside is not None and error.path != path:
                    broken[inside[0]] = str(error)
    return missing


def _require(path: str, inside: tuple[str, str] | None) -> None:
    if inside is None:
        from kinema.video.remote import require_remote

        require_remote(path)
    else:
        find_place(path)
