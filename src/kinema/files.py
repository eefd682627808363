"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a name to write under; when the block ends well, what is there takes the place of ``path`` in one step.

    The temporary file lies in the same folder and reaches the disk before it is renamed. So ``path`` holds either the
    old file or the complete new one, whatever happens: an error, a full disk, a killed process.

    Args:
        path: The file to write; its folder must exist.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def remove_unfinished(path: str | Path) -> None:
    """Delete the temporary files of ``whole_file(path)`` that killed processes have left; nobody else may write it."""
    path = Path(path)
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
