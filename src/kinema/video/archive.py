"""Reads videos inside uncompressed tar archives, each found at once through the index beside its archive.

The index of ``NAME.tar`` is the text file ``NAME.tar.index``: a first line with the length of the archive, then a line
for each video with its name, the place of its first byte, its length in bytes and the CRC-32 of its bytes, with tabs
between. Without an index a local archive is searched once in each process.
"""

from __future__ import annotations

import io
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from kinema.errors import VideoError, nearest
from kinema.video.location import StoredVideo

INDEX_SUFFIX = ".index"
HEADER = "kinema archive index 1"
BLOCK = 512
"""Bytes of a tar header, to whose multiples videos are padded."""

INDEXES_KEPT = 4096
"""Indexes that a process remembers; one of 1,000 videos takes about 60 kB."""


class ArchiveMember(NamedTuple):
    """Where a video lies in its archive.

    Attributes:
        offset: Place of its first byte.
        size: Its length in bytes.
        crc32: Of its bytes, 8 hexadecimal digits; "" where no index says.
    """

    offset: int
    size: int
    crc32: str = ""


class ArchiveIndex:
    """The videos of one archive. The text of the index is kept as it is, for it is small and quickly searched.

    Args:
        archive: Path or address of the archive, for messages.
        text: Contents of the index.

    Raises:
        VideoError: The text is no index, or was cut off.
    """

    def __init__(self, archive: str, text: bytes) -> None:
        self.archive = archive
        first, _, self._lines = text.partition(b"\n")
        header, _, num_bytes = first.decode("utf-8", "replace").partition("\t")
        if header != HEADER or not num_bytes.isdecimal() or not text.endswith(b"\n"):
            raise VideoError(archive + INDEX_SUFFIX, f"is no index of an archive, or was cut off; {_COPY_BOTH}")
        self.num_bytes = int(num_bytes)
        self._lines = b"\n" + self._lines

    def names(self) -> list[str]:
        """The names of all videos, in the order of the archive."""
        lines = self._lines.decode("utf-8", "surrogateescape").splitlines()
        return [line.split("\t", 1)[0] for line in lines if line]

    def find(self, name: str) -> ArchiveMember:
        """Find a video.

        Raises:
            VideoError: There is none of that name; the message has similar ones.
        """
        key = b"\n" + name.encode("utf-8", "surrogateescape") + b"\t"
        position = self._lines.find(key)
        if position < 0:
            names = self.names()
            close = nearest(name, names)
            advice = f"; similar: {', '.join(close)}" if close else ""
            raise VideoError(f"{self.archive}/{name}", f"the archive holds {len(names)} videos, but not this{advice}")
        start = position + len(key)
        cells = self._lines[start : self._lines.find(b"\n", start)].split(b"\t")
        try:
            return ArchiveMember(int(cells[0]), int(cells[1]), cells[2].decode("ascii"))
        except (IndexError, ValueError):
            raise VideoError(self.archive + INDEX_SUFFIX, f"has no readable line for {name}; {_COPY_BOTH}") from None

    def check_length(self, num_bytes: int) -> None:
        """Compare the archive's length with what the index says.

        Raises:
            VideoError: The archive was cut off, or belongs to another index.
        """
        if num_bytes < self.num_bytes:
            raise VideoError(
                self.archive, f"was cut off: it has {num_bytes:,} of {self.num_bytes:,} bytes; copy it again"
            )
        if num_bytes > self.num_bytes:
            raise VideoError(
                self.archive, f"has {num_bytes:,} bytes, but its index says {self.num_bytes:,}; {_COPY_BOTH}"
            )


_COPY_BOTH = "copy the archive and its index again, both of the same version"


class MemberFile(io.RawIOBase):
    """A part of an open file that looks like a file of its own; closing it closes the file.

    Args:
        file: An unbuffered file that stands at the first byte of the part.
        size: Bytes of the part.
        name: What FFmpeg is told; its ending says what to expect.
    """

    def __init__(self, file: io.FileIO, size: int, name: str) -> None:
        super().__init__()
        self._file, self._start = file, file.tell()
        self._size, self._position = size, 0
        self.name = name

    def readable(self) -> bool:
        """See ``io.IOBase``."""
        return True

    def seekable(self) -> bool:
        """See ``io.IOBase``."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes, all that is left when negative; none at the end."""
        left = self._size - self._position
        data = self._file.read(left if size < 0 else max(0, min(size, left))) or b""
        self._position += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """See ``io.RawIOBase``."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See ``io.IOBase``."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        self._file.seek(self._start + self._position)
        return self._position

    def tell(self) -> int:
        """See ``io.IOBase``."""
        return self._position

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class ArchivedVideo(StoredVideo):
    """A video inside a local archive."""

    def __init__(self, archive: str, name: str, entry: ArchiveMember) -> None:
        super().__init__(f"{archive}/{name}")
        self.archive, self.entry = archive, entry

    def open(self) -> BinaryIO:
        """See ``StoredVideo``."""
        file = io.FileIO(self.archive)
        try:
            file.seek(max(0, self.entry.offset - BLOCK))
            check_header(file.read(BLOCK), self, self.entry.size)
        except BaseException:
            file.close()
            raise
        return cast(BinaryIO, MemberFile(file, self.entry.size, self.name))


def find_member(archive: str, name: str) -> ArchivedVideo:
    """Find a video inside a local archive.

    Raises:
        VideoError: Archive or video are missing, or the archive does not agree with its index.
    """
    try:
        status = Path(archive).stat()
    except FileNotFoundError:
        raise VideoError(f"{archive}/{name}", f"the archive {archive} is missing; check the path") from None
    try:
        changed = Path(archive + INDEX_SUFFIX).stat().st_mtime_ns
    except FileNotFoundError:
        changed = -1
    index = local_index(archive, status.st_size, status.st_mtime_ns, changed)
    return ArchivedVideo(archive, name, index.find(name))


@lru_cache(maxsize=INDEXES_KEPT)
def local_index(archive: str, num_bytes: int, archive_changed: int, index_changed: int) -> ArchiveIndex:
    """Read the index of a local archive, or make one where there is none.

    Args:
        archive: Path of the archive.
        num_bytes: Its length now.
        archive_changed: When it was changed last, for whatever changed is read anew.
        index_changed: When its index was; -1 where there is none.

    Raises:
        VideoError: The archive does not agree with its index, or is none.
    """
    known = index_changed >= 0
    text = Path(archive + INDEX_SUFFIX).read_bytes() if known else index_text(archive, {}).encode()
    index = ArchiveIndex(archive, text)
    index.check_length(num_bytes)
    return index


def index_text(archive: str, checksums: dict[str, str]) -> str:
    """Work out the index of an archive from its headers.

    Args:
        archive: Path of the archive.
        checksums: CRC-32 of the videos by their names, as far as known.

    Raises:
        VideoError: The file is no uncompressed tar archive, or was cut off.
    """
    num_bytes = Path(archive).stat().st_size
    try:
        with tarfile.open(archive, "r:") as tar:
            members = [member for member in tar if member.isfile()]
    except (tarfile.TarError, EOFError) as error:
        raise VideoError(archive, f"is no uncompressed tar archive, or was cut off ({error}); copy it again") from error
    if members and members[-1].offset_data + members[-1].size > num_bytes:
        raise VideoError(archive, f"was cut off inside {members[-1].name}; copy it again")
    lines = [f"{HEADER}\t{num_bytes}"]
    lines += [f"{m.name}\t{m.offset_data}\t{m.size}\t{checksums.get(m.name, '')}" for m in members]
    return "\n".join(lines) + "\n"


def check_header(header: bytes, video: StoredVideo, size: int) -> None:
    """Make sure that the header before a video's bytes is the video's own.

    Args:
        header: The 512 bytes before the video.
        video: Which one it should be.
        size: Its length in bytes, as the index says.

    Raises:
        VideoError: The header is another one's: the archive is not the one that was indexed.
    """
    try:
        found = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        found = tarfile.TarInfo()
    # A name of more than 100 bytes stands in an extra header before this one, and only its beginning here.
    if not found.name or f"/{found.name}" not in video.path or found.size != size:
        raise VideoError(video.path, f"the archive has something else in that place than its index says; {_COPY_BOTH}")
