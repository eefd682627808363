"""What has become of a run: running, finished, stopped, failed or killed, and why, in its folder and its log."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kinema.errors import UserError
from kinema.files import write_text
from kinema.training.directory import LOG

STATUS = "status.json"


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """How a run stands.

    Attributes:
        state: ``running``, ``finished``, ``stopped`` (by somebody), ``failed`` (by an error), ``killed`` (its process
            is gone and left no word), or empty where an older version of kinema trained it.
        reason: Why it ended; empty while it runs.
        seconds: Time spent so far, the running epoch up to its last save included.
        process: Number of the process that trains it, or did.
        host: Machine of that process.
        began: When the process began, in the machine's own count, which tells it from a later one of the same number.
        written: When this was written.
    """

    state: str
    reason: str = ""
    seconds: float = 0.0
    process: int = 0
    host: str = ""
    began: str = ""
    written: str = ""


def write_status(folder: Path, state: str, reason: str = "", *, seconds: float) -> None:
    """Note how a run of this process stands; a run goes on without it when the disk is full."""
    own = os.getpid()
    status = RunStatus(
        state=state,
        reason=reason,
        seconds=round(seconds, 3),
        process=own,
        host=socket.gethostname(),
        began=_beginning(own),
        written=time.strftime("%Y-%m-%d %H:%M:%S"),
    )
    with suppress(OSError):
        write_text(folder / STATUS, json.dumps(asdict(status), indent=2) + "\n")


def read_status(folder: Path) -> RunStatus:
    """Read how a run stands. One that says it runs although its process is gone, on this machine, was killed."""
    try:
        values: dict[str, Any] = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        status = RunStatus(**values)
    except (OSError, ValueError, TypeError):
        return RunStatus(state="")
    if status.state == "running" and status.host == socket.gethostname() and not _is_alive(status):
        reason = f"its process ended without a word, after {status.written}: killed, or the machine went down"
        return RunStatus(**values | {"state": "killed", "reason": reason})
    return status


def require_idle(folder: Path) -> None:
    """Make sure that no other process trains a run.

    Raises:
        UserError: One on this machine does.
    """
    status = read_status(folder)
    if status.state == "running" and status.host == socket.gethostname() and status.process != os.getpid():
        raise UserError(f"{folder} is being trained by process {status.process}; stop it first, or wait for its end")


def log_line(folder: Path, text: str) -> None:
    """Add a line to the log of a run; a full disk does not stop it."""
    with suppress(OSError), (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


def note_end(folder: Path, state: str, reason: str, *, seconds: float | None = None) -> None:
    """Write into log and status why a run ended.

    Args:
        folder: Run directory.
        state: ``finished``, ``stopped`` or ``failed``.
        reason: Why; of several lines the status keeps the first.
        seconds: Time spent; what the status says already when not given.
    """
    log_line(folder, f"{state}: {reason}")
    spent = read_status(folder).seconds if seconds is None else seconds
    write_status(folder, state, reason.partition("\n")[0], seconds=spent)


def _is_alive(status: RunStatus) -> bool:
    try:
        os.kill(status.process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        return True
    return _beginning(status.process) == status.began


def _beginning(process: int) -> str:
    """When a living process began, in ticks since the machine did; empty where the system does not say."""
    try:
        line = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    state, *fields = line.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]
