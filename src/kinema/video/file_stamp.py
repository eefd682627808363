"""Tells whether a file is still the one that it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class FileStamp(NamedTuple):
    """Size and time of a file; one that replaces it has another.

    Attributes:
        num_bytes: Its length.
        changed_ns: When its contents changed, in nanoseconds.
    """

    num_bytes: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Read the stamp from what the system says about a file."""
        return cls(status.st_size, status.st_mtime_ns)

    @classmethod
    def of_file(cls, path: Path) -> FileStamp | None:
        """The stamp of a file; None when there is none that can be asked."""
        try:
            return cls.of(path.stat())
        except OSError:
            return None
