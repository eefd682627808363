"""Doing a study: one cell after the other or several at once, each in a process of its own, never twice."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kinema.compute.signals import signals_going_to
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.study.cell import FAILED, STOPPED, note_failure
from kinema.study.folder import RESULT, StudyFolder
from kinema.study.grid import Cell, Study
from kinema.study.states import CellState, cell_states, is_ready
from kinema.training.status import read_status, require_idle, write_status

log = logging.getLogger("kinema")

LOOK_EVERY_SEC = 0.2
LAST_WORDS = 400
"""Characters of what a killed process printed last, kept as the reason."""


class StudyStopped(Exception):  # noqa: N818  (no error: it was asked for)
    """A study was stopped by SIGTERM or Ctrl-C; what its cells have reached is saved.

    Attributes:
        folder: Its folder.
        signal: Number of the signal.
    """

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(f"stopped; go on with the same command (the study in {folder} keeps what is done)")
        self.folder = folder
        self.signal = number


@dataclass
class _Work:
    """The cells that are under way, and what has become of the others."""

    folder: StudyFolder
    device: str
    num_workers: int | None
    parallel: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    asked_to_stop: set[str] = field(default_factory=set)
    stop_signal: int = 0


def run_study(
    study: Study,
    data: Mapping[str, Manifest],
    out: str | Path,
    *,
    parallel: int = 1,
    device: str = "auto",
    num_workers: int | None = None,
) -> list[CellState]:
    """Train and test every cell of a study that is not done yet.

    Each cell runs in a process of its own, which gets its part of the cores. Cells that failed in an earlier run are
    tried again; one that fails does not stop the others. The same call again goes on after a stop.

    Args:
        study: What to do.
        data: Data sets by name.
        out: Folder of the study.
        parallel: Cells at once.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; of every cell.
        num_workers: Processes that load clips for each cell; None leaves it to the recipes.

    Returns:
        How every cell stands in the end.

    Raises:
        UserError: The study contradicts itself, does not go with the folder, or another process is doing it.
        StudyStopped: After SIGTERM or Ctrl-C.
    """
    if parallel < 1:
        raise UserError(f"parallel is {parallel}; it must be at least 1")
    study.cells(list(data))  # contradictions are told before anything is written
    if read_status(Path(out)).state == "running":
        require_idle(Path(out))
    folder, notes = StudyFolder.prepare(out, study, data)
    for note in notes:
        log.info(note)
    started = time.monotonic()
    write_status(folder.path, "running", seconds=0.0)
    work = _Work(folder, device, num_workers, parallel)
    try:
        with signals_going_to(lambda number, _: _ask_to_stop(work, number)):
            _do_all(work)
    finally:
        _end(work)
        state = "stopped" if work.stop_signal else "finished"
        write_status(folder.path, state, seconds=time.monotonic() - started)
    if work.stop_signal:
        raise StudyStopped(folder.path, work.stop_signal)
    return cell_states(folder)


def _do_all(work: _Work) -> None:
    cells = work.folder.cells
    while not work.stop_signal:
        for name, process in list(work.running.items()):
            if process.poll() is not None:
                del work.running[name]
                _close(process)
                _note_end(work, cells[name], process.returncode)
        waiting = [cell for cell in cells.values() if _is_next(work, cell)]
        for cell in waiting[: max(0, work.parallel - len(work.running))]:
            work.tried.add(cell.name)
            work.running[cell.name] = _start(work, cell)
        if not work.running:
            return
        time.sleep(LOOK_EVERY_SEC)


def _is_next(work: _Work, cell: Cell) -> bool:
    """Whether nobody has begun a cell in this run, it is not done, and what it starts from is."""
    if cell.name in work.tried or (work.folder.cell_path(cell) / RESULT).exists():
        return False
    return is_ready(work.folder, cell)


def _start(work: _Work, cell: Cell) -> subprocess.Popen[bytes]:
    console = work.folder.console_path(cell)
    console.parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    threads = max(1, (os.cpu_count() or 1) // work.parallel)
    if work.parallel > 1:
        environment.setdefault("OMP_NUM_THREADS", str(threads))
    num_workers = "" if work.num_workers is None else str(work.num_workers)
    words = [str(work.folder.path), cell.name, work.device, num_workers]
    with console.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "kinema.study.cell", *words],
            stdin=subprocess.PIPE,  # it ends when our end closes, however we end
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C is ours; we ask the cells to stop
        )


def _note_end(work: _Work, cell: Cell, status: int) -> None:
    number, total = len(work.tried) - len(work.running), len(work.folder.cells)
    path = work.folder.cell_path(cell)
    if status == 0:
        log.info("%s: done (%s)", cell.name, f"{number} begun in this run, {total} cells in all")
        return
    if status == STOPPED:
        log.info("%s: stopped", cell.name)
        return
    if status != FAILED:
        how = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
        note_failure(path, f"its process was {how}: {_last_words(work.folder.console_path(cell))}")
    log.warning("%s: failed; see %s", cell.name, work.folder.console_path(cell))


def _last_words(console: Path) -> str:
    text = console.read_text(encoding="utf-8", errors="replace").strip() if console.exists() else ""
    return text[-LAST_WORDS:] or "it printed nothing"


def _ask_to_stop(work: _Work, number: int) -> None:
    work.stop_signal = work.stop_signal or number
    _stop_cells(work)


def _stop_cells(work: _Work) -> None:
    """Ask every running cell once; a second request would end it without saving."""
    for name, process in list(work.running.items()):
        if name not in work.asked_to_stop and process.poll() is None:
            work.asked_to_stop.add(name)
            process.send_signal(signal.SIGTERM)


def _end(work: _Work) -> None:
    """Stop what still runs, and wait for it."""
    _stop_cells(work)
    for process in work.running.values():
        process.wait()
        _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
