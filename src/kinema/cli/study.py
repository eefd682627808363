"""``kinema study run | status | table``: many models, trained and tested in the same way."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.study.folder import StudyFolder
    from kinema.study.states import CellState

WATCH_EVERY_SEC = 2.0


def run(
    study: Positional[str],
    *,
    data: tuple[str, ...],
    out: Path,
    parallel: int = 1,
    device: str = "auto",
    num_workers: int | None = None,
) -> None:
    """Train and test every model of a study; the same command again goes on after a stop.

    Each cell (a model, a data set, a length of clips, a sampling, a seed) is a run in a folder of its own. A cell that
    fails does not stop the others; it is tried again the next time. The exit status is 1 while any is not done.

    Args:
        study: Name of a study, or file.py:function (the file is run).
        data: Manifest CSV or folder of class folders, one for each data set; NAME=CSV gives it the name that the study
            knows it by.
        out: Folder of the study.
        parallel: Cells at once; each gets its part of the cores.
        device: auto, cpu, cuda, cuda:N or mps.
        num_workers: Processes that load clips, of each cell; the recipe's when not given.
    """
    from kinema.cli.waiting import loading

    with loading():
        from kinema.study.find_study import find_study
        from kinema.study.folder import StudyFolder, open_data
        from kinema.study.run import StudyStopped, run_study

    found = find_study(study)
    try:
        states = run_study(found, open_data(data), out, parallel=parallel, device=device, num_workers=num_workers)
    except StudyStopped as stopped:
        print(stopped, file=sys.stderr)
        raise SystemExit(128 + stopped.signal) from None
    _print_states(StudyFolder.read(out), states)
    if any(one.state != "done" for one in states):
        raise SystemExit(1)


def status(folder: Positional[Path], *, watch: bool = False, json: bool = False) -> None:
    """Show which cells of a study are done, running, stopped, failed or waiting, and the time left.

    Args:
        folder: Of the study.
        watch: Show it again every two seconds, until nothing runs any more or Ctrl-C.
        json: Print JSON instead of a table.
    """
    from kinema.study.folder import StudyFolder
    from kinema.study.states import cell_states

    found = StudyFolder.read(folder)
    if json:
        _print_json(cell_states(found))
    elif watch:
        _watch(found)
    else:
        _print_states(found, cell_states(found))


def table(folder: Positional[Path], *, out: Path | None = None, protocol: str = "") -> None:
    """Print the results of a study, and write them as a tidy table: one row for each cell and protocol.

    Args:
        folder: Of the study.
        out: The .csv or .parquet to write, with costs, times and hashes too.
        protocol: Test protocol to print; the study's first when not given.
    """
    from rich.console import Console
    from rich.table import Table

    from kinema.study.folder import StudyFolder
    from kinema.study.results import study_table, write_tidy

    found = StudyFolder.read(folder)
    rows = study_table(found, protocol=protocol)
    shown = Table(title=f"{found.name} under {protocol or found.protocols[0]}, %")
    keys = {"dataset": "data"} | {key: key for key in ("model", "variant", "frames", "sampling", "seed")}
    keys = {key: name for key, name in keys.items() if key == "model" or len({getattr(row, key) for row in rows}) > 1}
    for name in keys.values():
        shown.add_column(name, no_wrap=True)
    headings = {"video_top1": "top-1", "mean_class_accuracy": "mean\nclass", "clip_top1": "clip\ntop-1"}
    costs = {"parameters": (1e6, "params,\nM"), "macs": (1e9, "MACs,\nG"), "minutes": (1.0, "min")}
    for heading in (*headings.values(), *(name for _, name in costs.values())):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        numbers = [_digits(row.results.get(name)) for name in headings]
        numbers += [_digits(row.results.get(name), unit) for name, (unit, _) in costs.items()]
        shown.add_row(*(str(getattr(row, key)) for key in keys), *numbers)
    Console().print(shown)
    if out is not None:
        print(f"table: {write_tidy(found, out)}", file=sys.stderr)


def _digits(value: float | None, unit: float = 1.0) -> str:
    return "-" if value is None else f"{value / unit:.1f}"


def _watch(folder: StudyFolder) -> None:
    from rich.live import Live

    from kinema.study.states import cell_states

    try:
        with Live(_states_table(folder, cell_states(folder)), auto_refresh=False) as live:
            while any(one.state == "running" for one in cell_states(folder)):
                time.sleep(WATCH_EVERY_SEC)
                live.update(_states_table(folder, cell_states(folder)), refresh=True)
    except KeyboardInterrupt:
        return


def _print_states(folder: StudyFolder, states: Sequence[CellState]) -> None:
    from rich.console import Console

    Console().print(_states_table(folder, states))
    for one in states:
        if one.reason and one.state == "failed":
            print(f"{one.cell.name}: {one.reason}", file=sys.stderr)


def _states_table(folder: StudyFolder, states: Sequence[CellState]) -> Any:
    from rich.table import Table

    from kinema.study.states import STATES, minutes_left

    counts = {state: sum(one.state == state for one in states) for state in STATES}
    left = minutes_left(list(states), max(1, counts["running"]))
    summary = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    shown = Table(
        title=f"{folder.name}: {counted(len(states), 'cell')}, {summary}",
        caption=f"about {left:,.0f} min left" if left else None,
    )
    shown.add_column("cell", overflow="fold")
    for heading in ("state", "epochs", "clips/s", "min"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for one in states:
        total = one.cell.recipe.schedule.epochs
        speed = f"{one.clips_per_sec:.1f}" if one.clips_per_sec else "-"
        shown.add_row(one.cell.name, one.state, f"{one.epochs} of {total}", speed, f"{one.minutes:.1f}")
    return shown


def _print_json(states: Sequence[CellState]) -> None:
    import dataclasses
    import json

    rows = [{**dataclasses.asdict(one), "cell": one.cell.name} for one in states]
    print(json.dumps(rows))
