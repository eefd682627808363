"""Finds the bytes of a video by its path: on a disk, in a tar archive or on remote storage."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kinema.errors import StorageError, VideoError
from kinema.video.location import StoredVideo, is_remote, split_archive


def find_video(path: str | Path) -> Path | StoredVideo:
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


def missing_videos(paths: Iterable[str]) -> list[str]:
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
        find_video(path)
