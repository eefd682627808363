"""``kinema runs``: the table of what has been trained."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from rich.table import Table

    from kinema.training.runs import RunSummary

NUMBERS = ("top-1", "epochs", "min")


def runs(folder: Annotated[str, tyro.conf.Positional] = "runs", *, json: bool = False) -> None:
    """List runs with their scores and how they ended, and how they differ from the oldest run of the same recipe.

    Args:
        folder: Where to look for run directories, to any depth.
        json: Print one JSON line per run instead of a table.
    """
    from kinema.training.runs import list_runs

    found = list_runs(folder)
    if json:
        for run in found:
            print(json_module.dumps(_as_json(run)))
        return

    from rich.console import Console

    console = Console(highlight=False)
    found = _with_short_data(found)
    shared = _shared(found)
    same_settings = f": {', '.join(shared.values())}" if shared else ""
    console.print(f"Runs in {folder}{same_settings}", style="italic", markup=False)
    headings = [name for name in ("model", "data", "recipe") if name not in shared]
    rows = [[_name(run.path, folder), *(_text(run, name) for name in headings), *_numbers(run)] for run in found]
    widths = _widths([["run", *headings, *NUMBERS, "state"], *rows], console.width, num_texts=1 + len(headings))
    console.print(_line(["run", *headings, *NUMBERS, "state"], widths, style="bold"))
    for run, row in zip(found, rows, strict=True):
        console.print(_line(row, widths))
        for note in _notes(run):
            _print_indented(console, note)


def _as_json(run: RunSummary) -> dict[str, Any]:
    return {
        "path": str(run.path),
        "model": run.model,
        "data": run.data,
        "epochs": run.num_epochs,
        "minutes": run.minutes,
        "state": run.state,
        "reason": run.reason,
        "best": run.best,
        "differences": run.differences,
    }


def _with_short_data(found: Sequence[RunSummary]) -> list[RunSummary]:
    """Call the data by the last part of their path, where that tells them apart."""
    names = {run.data: Path(run.data).name for run in found}
    is_clear = len(set(names.values())) == len(names)
    return [replace(run, data=names[run.data]) for run in found] if is_clear else list(found)


def _text(run: RunSummary, name: str) -> str:
    return {"model": run.model, "data": run.data, "recipe": run.recipe.name}[name]


def _shared(found: Sequence[RunSummary]) -> dict[str, str]:
    """Model, data and recipe, as far as all runs have the same: said once above the table."""
    texts = {name: {_text(run, name) for run in found} for name in ("model", "data", "recipe")}
    return {name: f"{name} {next(iter(values))}" for name, values in texts.items() if len(values) == 1}


def _numbers(run: RunSummary) -> list[str]:
    score = f"{100 * run.best['val_top1']:.1f}" if "val_top1" in run.best else "-"
    return [score, f"{run.num_epochs}/{run.recipe.schedule.epochs}", f"{run.minutes:.1f}", run.state]


def _notes(run: RunSummary) -> list[str]:
    """What stands below a run: why it ended where it did not finish, and how its recipe differs from the first."""
    differences = ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in run.differences.items())
    is_plain = run.state == "finished" and run.reason.endswith(" done")
    return [note for note in ("" if is_plain else run.reason, differences and f"differs: {differences}") if note]


def _widths(rows: Sequence[Sequence[str]], total: int, *, num_texts: int) -> list[int]:
    """The widths of the columns: numbers whole, texts as long as there is room, the longest folded first."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    room = total - sum(widths[num_texts:]) - 2 * (len(widths) - 1)
    while sum(widths[:num_texts]) > room and max(widths[:num_texts]) > 8:
        longest = max(range(num_texts), key=lambda column: widths[column])
        widths[longest] -= 1
    return widths


def _line(cells: Sequence[str], widths: Sequence[int], *, style: str = "") -> Table:
    from rich.table import Table
    from rich.text import Text

    line = Table.grid(padding=(0, 2, 0, 0))
    for column, width in enumerate(widths):
        is_number = len(widths) - 4 <= column < len(widths) - 1
        line.add_column(justify="right" if is_number else "left", width=width, overflow="fold")
    line.add_row(*(Text(cell, style=style) for cell in cells))
    return line


def _print_indented(console: Any, text: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding(Text(text, style="dim"), (0, 0, 0, 4)))


def _name(run: Path, folder: str) -> str:
    """Where a run lies below the folder, since the runs of several series share their last names."""
    return run.name if run == Path(folder) else str(run.relative_to(folder))
