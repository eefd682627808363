"""``kinema runs``: the table of what has been trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

LONGEST_FIELD = 15
"""Characters of the narrowest column in which most names of recipe fields fit on one line."""


def runs(folder: Annotated[str, tyro.conf.Positional] = "runs", *, json: bool = False) -> None:
    """List runs with their scores, and how they differ from the oldest run of the same recipe.

    Args:
        folder: Where to look for run directories, to any depth.
        json: Print one JSON line per run instead of a table.
    """
    from kinema.training.runs import list_runs

    found = list_runs(folder)
    if json:
        import json as json_module

        for run in found:
            print(
                json_module.dumps(
                    {
                        "path": str(run.path),
                        "model": run.model,
                        "data": run.data,
                        "epochs": run.num_epochs,
                        "minutes": run.minutes,
                        "best": run.best,
                        "differences": run.differences,
                    }
                )
            )
        return

    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(title=f"Runs in {folder}")
    for heading in ("run", "model", "data", "recipe"):
        table.add_column(heading, overflow="fold")
    for heading in ("top-1", "epochs", "min"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("differs from first", overflow="fold")
    for run in found:
        score = f"{100 * run.best['val_top1']:.1f}" if "val_top1" in run.best else "-"
        epochs = f"{run.num_epochs}/{run.recipe.schedule.epochs}"
        differences = "\n".join(f"{name.rpartition('.')[2]} {value}" for name, value in run.differences.items())
        numbers = score, epochs, f"{run.minutes:.1f}"
        table.add_row(_name(run.path, folder), run.model, run.data, run.recipe.name, *numbers, differences or "-")
    console = Console()
    if Measurement.get(console, console.options.update(max_width=10_000), table).maximum > console.width:
        table.columns[-1].width = max(LONGEST_FIELD, console.width // 5)  # a smallest width would be cut off by rich
    console.print(table)


def _name(run: Path, folder: str) -> str:
    """Where a run lies below the folder, since the runs of several series share their last names."""
    return run.name if run == Path(folder) else str(run.relative_to(folder))
