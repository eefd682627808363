"""Reads videos from remote storage through fsspec (extra ``remote``), with an optional local copy of what was read.

A video is fetched whole, in one request, because clips are small and requests are slow. With the environment variable
``KINEMA_CACHE`` set to a folder, every fetched video is kept there and not fetched again; nothing is ever removed from
the folder, so it has to have room for what the run reads.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
import zlib
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from kinema.errors import MissingExtraError, StorageError, UserError, VideoError, missing_extra, one_of
from kinema.files import whole_file
from kinema.video.archive import BLOCK, INDEX_SUFFIX, INDEXES_KEPT, ArchiveIndex, ArchiveMember, check_header
from kinema.video.location import StoredVideo, split_archive

CACHE_VARIABLE = "KINEMA_CACHE"
TRIES, PAUSE_SEC = 3, 1.0
"""How often a request is made before the video counts as unreadable, and the first pause between two."""

Answer = TypeVar("Answer")

_log = logging.getLogger("kinema")


class _NamedBytes(io.BytesIO):
    """Bytes that FFmpeg can guess the format of by their name."""

    name = ""


class RemoteVideo(StoredVideo):
    """A video on remote storage, alone or inside an archive.

    Args:
        address: As it was given.
        source: Address of the file or archive that holds it.
        entry: Which part of the archive it is; None for a file of its own.
    """

    def __init__(self, address: str, source: str, entry: ArchiveMember | None) -> None:
        super().__init__(address)
        self.source, self.entry = source, entry
        self._data: bytes | None = None

    def open(self) -> BinaryIO:
        """See ``StoredVideo``."""
        copy = self._copy_path()
        if self._data is None and copy is not None and copy.exists():
            return copy.open("rb")
        if self._data is None:
            self._data = self._fetch()
            if copy is not None:
                _keep(self._data, copy)
        file = _NamedBytes(self._data)
        file.name = self.name
        return file

    def _fetch(self) -> bytes:
        if self.entry is None:
            return request(self.path, lambda system, path: system.cat_file(path))
        offset, size, crc32 = self.entry
        start = max(0, offset - BLOCK)
        data = request(self.source, lambda system, path: system.cat_file(path, start=start, end=offset + size))
        if len(data) > offset - start + size:  # a web server that knows no ranges has sent everything
            _warn_of_whole_archives(self.source)
            data = data[start : offset + size]
        if len(data) < offset - start + size:
            raise VideoError(self.path, f"the archive {self.source} ends inside this video; copy it again")
        check_header(data[:BLOCK], self, size)
        data = data[offset - start : offset - start + size]
        if crc32 and f"{zlib.crc32(data):08x}" != crc32:
            raise VideoError(self.path, f"arrived damaged, or the archive {self.source} is; copy it again")
        return data

    def _copy_path(self) -> Path | None:
        """Where the local copy lies: under a name that changes when the video does."""
        folder = os.environ.get(CACHE_VARIABLE)
        if not folder:
            return None
        version = self.entry or _version(self.path)
        digest = hashlib.sha256(f"{self.path}\n{version}".encode("utf-8", "surrogateescape")).hexdigest()
        return Path(folder) / digest[:2] / (digest + Path(self.name).suffix)


def require_remote(address: str) -> None:
    """Make sure that there is a remote file.

    Raises:
        VideoError: There is none, or the storage does not answer.
    """
    if not request(address, lambda system, path: system.exists(path)):
        raise VideoError(address, "no such file on the remote storage; check the address and your rights")


def find_remote(address: str) -> RemoteVideo:
    """Find a remote video: a file of its own, or a part of an archive, whose index lies beside it.

    Raises:
        VideoError: There is no such archive, index or part, or the storage does not answer.
        MissingExtraError: A package for the protocol is missing.
        UserError: fsspec does not know the protocol.
    """
    inside = split_archive(address)
    if inside is None:
        return RemoteVideo(address, address, None)
    archive, name = inside
    return RemoteVideo(address, archive, remote_index(archive).find(name))


@lru_cache(maxsize=INDEXES_KEPT)
def remote_index(archive: str) -> ArchiveIndex:
    """Read the index of a remote archive, once in each process, and compare it with the archive.

    Raises:
        VideoError: Archive or index are missing, or do not agree.
    """
    location = archive + INDEX_SUFFIX
    try:
        text = request(location, lambda system, path: system.cat_file(path))
    except VideoError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        if not request(archive, lambda system, path: system.exists(path)):
            raise VideoError(archive, f"the archive {archive} is missing; check the address") from error
        raise VideoError(location, "the index of a remote archive must lie beside it; copy it there too") from error
    index = ArchiveIndex(archive, text)
    num_bytes = request(archive, lambda system, path: system.size(path))
    if num_bytes is not None:  # some web servers do not say
        index.check_length(num_bytes)
    return index


def request(address: str, ask: Callable[[Any, str], Answer]) -> Answer:
    """Ask remote storage for something, again after a pause if it fails.

    Args:
        address: With its protocol.
        ask: Is given the file system and the path in it.

    Raises:
        VideoError: The file is missing or must not be read; this fails at once.
        StorageError: The storage failed each time.
    """
    for attempt in range(TRIES):
        system, path = _file_system(address)
        try:
            return ask(system, path)
        except FileNotFoundError as error:
            raise VideoError(address, "no such file on the remote storage; check the address") from error
        except PermissionError as error:
            raise VideoError(
                address, f"may not be read ({_one_line(error)}); check your keys, your rights and the endpoint"
            ) from error
        except Exception as error:
            # Whatever the packages of the protocols raise; they have no common base class.
            if attempt == TRIES - 1:
                raise StorageError(
                    address, f"the remote storage failed {TRIES} times ({type(error).__name__}: {_one_line(error)})"
                ) from error
            time.sleep(PAUSE_SEC * 2**attempt)
    raise AssertionError


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, which fsspec keeps per process, and the path in it."""
    try:
        from fsspec import available_protocols, url_to_fs
    except ImportError as error:
        raise missing_extra("fsspec", "remote", f"reading {address}") from error
    protocol = address.split("://", 1)[0]
    one_of("protocol", protocol, available_protocols())
    try:
        return url_to_fs(address)
    except ImportError as error:
        raise MissingExtraError(
            f"reading {protocol}:// needs another package ({error}); pip install 'kinema[remote]' brings those for "
            "s3:// and https://"
        ) from error
    except ValueError as error:
        raise UserError(f"{address} is no address that fsspec can read ({error})") from error


@cache
def _warn_of_whole_archives(archive: str) -> None:
    _log.warning("%s: the server sends the whole archive for every video; use one that knows byte ranges", archive)


@cache
def _version(address: str) -> str:
    """What changes when a remote file does: its length and, where the storage says, its tag or date."""
    details = request(address, lambda system, path: system.info(path))
    return " ".join(str(details.get(name, "")) for name in ("size", "ETag", "etag", "mtime", "LastModified", "created"))


def _keep(data: bytes, copy: Path) -> None:
    """Write a local copy; a full disk only means that the video is fetched again next time."""
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(copy) as part:
            part.write_bytes(data)
    except OSError as error:
        _log.warning("%s cannot keep copies of remote videos (%s); they are fetched each time", copy.parent, error)
