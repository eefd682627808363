"""Keeps what is known of files on the disk, for the next epoch, the other workers and the next run.

One SQLite file holds the facts of every file that was read, each with the size and time that the file had. It may be
deleted at any time. Where it cannot be written, or is damaged, files are read as if it did not exist.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.video.file_stamp import FileStamp

if TYPE_CHECKING:
    import sqlite3

PATH_VARIABLE = "KINEMA_VIDEO_INDEX"
"""Names the file; empty for none."""

WAIT_SEC = 0.2
"""How long another process may write before this one goes on without."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS facts "
    "(path TEXT PRIMARY KEY, num_bytes INTEGER NOT NULL, changed_ns INTEGER NOT NULL, data BLOB NOT NULL)"
)
_FIND = "SELECT data FROM facts WHERE path = ? AND num_bytes = ? AND changed_ns = ?"
_KEEP = "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)"

_log = logging.getLogger("kinema")


def store_path() -> Path | None:
    """Where the facts are kept; None when nothing is to be kept."""
    chosen = os.environ.get(PATH_VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # there is no home
        return None
    return cache / "kinema" / "videos.sqlite3"


class FactStore:
    """The store of one process, for all its threads.

    Args:
        path: The file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def find(self, video: str, stamp: FileStamp) -> bytes | None:
        """What was kept of a file, if it was this one."""
        rows = self._execute(_FIND, (video, *stamp))
        return rows[0][0] if rows and isinstance(rows[0][0], bytes) else None

    def keep(self, video: str, stamp: FileStamp, data: bytes) -> None:
        """Keep facts of a file, in the stead of older ones."""
        self._execute(_KEEP, (video, *stamp, data))

    def _execute(self, command: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        """Run a command; where that fails, the store is not used again by this process."""
        if self.path is None:
            return []
        try:
            import sqlite3
        except ImportError:  # some builds of Python lack it
            self.path = None
            return []
        with self._lock:
            try:
                return self._connected(self.path).execute(command, values).fetchall()
            except sqlite3.OperationalError as error:
                if "locked" in str(error):  # another process writes for long; the next time will do
                    return []
                self._give_up(error)
            except (sqlite3.Error, OSError, UnicodeError) as error:
                self._give_up(error)
        return []

    def _connected(self, path: Path) -> sqlite3.Connection:
        """The open store; one that is no store is written anew."""
        import sqlite3

        if self._connection is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = _open(path)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                _log.debug("%s is damaged (%s) and begins anew", path, error)
                path.unlink()
                self._connection = _open(path)
        return self._connection

    def _give_up(self, error: Exception) -> None:
        _log.debug("%s is not used: %s", self.path, error)
        self.path = None


def _open(path: Path) -> sqlite3.Connection:
    import sqlite3

    connection = sqlite3.connect(path, timeout=WAIT_SEC, isolation_level=None, check_same_thread=False)
    # Facts lost with the power are found out again, and damaged ones are recognised.
    for command in ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = MEMORY", _TABLE):
        connection.execute(command)
    return connection
