"""How a study stands: which cells are done, running, stopped, failed or waiting, and how long the rest may take."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from kinema.study.folder import FAILURE, RESULT, StudyFolder
from kinema.study.grid import Cell
from kinema.training.directory import read_metrics
from kinema.training.status import read_status

STATES: Final = ("done", "running", "stopped", "failed", "blocked", "waiting")
"""Blocked cells start from one that failed."""


@dataclass(frozen=True, kw_only=True)
class CellState:
    """How a cell stands.

    Attributes:
        cell: The cell.
        state: One of ``STATES``.
        reason: Why it failed or is blocked; empty otherwise.
        epochs: Epochs behind it.
        clips_per_sec: Of its last epoch; 0 before.
        minutes: Spent on training so far.
    """

    cell: Cell
    state: str
    reason: str = ""
    epochs: int = 0
    clips_per_sec: float = 0.0
    minutes: float = 0.0


def cell_states(folder: StudyFolder) -> list[CellState]:
    """Look at every cell of a study, in its order; another process may be working on it."""
    found: dict[str, CellState] = {}
    for cell in folder.cells.values():
        found[cell.name] = _state(folder, cell, found.get(cell.after))
    return list(found.values())


def is_ready(folder: StudyFolder, cell: Cell) -> bool:
    """Whether the cell that this one starts from is done; true of those that start from none."""
    return not cell.after or (folder.path / cell.after / RESULT).exists()


def minutes_left(states: list[CellState], parallel: int = 1) -> float | None:
    """Minutes until all cells are done, if each takes as long as those done so far; None while none is done."""
    done = [one.minutes for one in states if one.state == "done"]
    if not done:
        return None
    mean = sum(done) / len(done)
    left = [max(0.0, mean - one.minutes) for one in states if one.state in ("running", "stopped")]
    left += [mean for one in states if one.state == "waiting"]
    return sum(left) / max(1, min(parallel, len(left)))


def _state(folder: StudyFolder, cell: Cell, before: CellState | None) -> CellState:
    path = folder.cell_path(cell)
    rows, status = read_metrics(path), read_status(path)
    own = {
        "cell": cell,
        "epochs": len(rows),
        "clips_per_sec": rows[-1].get("clips_per_sec", 0.0) if rows else 0.0,
        "minutes": status.seconds / 60,
    }
    process = read_status(folder.process_path(cell)).state
    if process == "running":
        return CellState(state="running", **own)
    if (path / RESULT).exists():
        return CellState(state="done", **own)
    if (path / FAILURE).exists():
        return CellState(state="failed", reason=_reason(folder, cell), **own)
    if before is not None and before.state in ("failed", "blocked"):
        return CellState(state="blocked", reason=f"{before.cell.name} {before.state}", **own)
    return CellState(state="stopped" if process else "waiting", **own)


def _reason(folder: StudyFolder, cell: Cell) -> str:
    try:
        return str(json.loads((folder.cell_path(cell) / FAILURE).read_text(encoding="utf-8"))["reason"])
    except (OSError, ValueError, KeyError):
        return f"{FAILURE} cannot be read"
