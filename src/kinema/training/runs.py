"""What has been trained: the run directories below a folder, with scores and how their recipes differ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema.errors import UserError
from kinema.specs.recipe import Recipe
from kinema.training.directory import ABOUT, RECIPE, read_about, read_metrics, standing
from kinema.training.status import read_status

NO_SETTINGS = ("model", "citation", "paper_scores")
"""Recipe fields that the list of runs shows elsewhere, or that change nothing about a run."""


@dataclass(frozen=True)
class RunSummary:
    """One run in the list.

    Attributes:
        path: Run directory.
        model: Model name.
        data: Where its videos came from.
        recipe: What was to be done.
        num_epochs: Epochs that are finished.
        best: Row of ``metrics.csv`` with the best monitored score; empty before the first epoch.
        state: ``finished``, ``running``, ``stopped``, ``failed`` or ``killed``; ``unfinished`` where an older version
            of kinema left no word.
        reason: Why it ended as it did; empty where nothing is known, or while it runs.
        minutes: Time spent, the running epoch up to its last save included.
        differences: Recipe fields that differ from the oldest run of the same recipe, with this run's values; those
            of ``NO_SETTINGS`` are not among them.
    """

    path: Path
    model: str
    data: str
    recipe: Recipe
    num_epochs: int
    best: dict[str, float]
    state: str
    reason: str
    minutes: float
    differences: dict[str, Any]


def list_runs(folder: str | Path = "runs") -> list[RunSummary]:
    """List the runs below a folder, oldest first.

    Args:
        folder: Is searched to any depth; a run directory itself will do.

    Raises:
        UserError: When the folder does not exist or holds no run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder that holds run directories")
    folders = [path.parent for path in folder.rglob(ABOUT) if (path.parent / RECIPE).is_file()]
    if not folders:
        raise UserError(f"{folder} holds no run directories; `kinema train` makes them")
    abouts = {run: read_about(run) for run in folders}
    folders.sort(key=lambda run: (abouts[run].get("started", ""), run))
    recipes = {run: Recipe.from_json((run / RECIPE).read_text(encoding="utf-8")) for run in folders}
    oldest: dict[str, dict[str, Any]] = {}
    for run in folders:
        oldest.setdefault(recipes[run].name, recipes[run].flat())
    return [_summary(run, abouts[run], recipes[run], oldest[recipes[run].name]) for run in folders]


def _summary(run: Path, about: dict[str, Any], recipe: Recipe, first: dict[str, Any]) -> RunSummary:
    rows, status = read_metrics(run), read_status(run)
    monitor = recipe.train.monitor
    scored = [row for row in rows if f"val_{monitor}" in row]
    best = max(scored, key=lambda row: standing(row, monitor), default={})
    return RunSummary(
        path=run,
        model=recipe.model,
        data=about.get("data", ""),
        recipe=recipe,
        num_epochs=len(rows),
        best=best or (rows[-1] if rows else {}),
        state=status.state or ("finished" if len(rows) >= recipe.schedule.epochs else "unfinished"),
        reason=status.reason,
        minutes=max(status.seconds, sum(row.get("seconds", 0.0) for row in rows)) / 60,
        differences={
            name: value for name, value in recipe.flat().items() if name not in NO_SETTINGS and value != first.get(name)
        },
    )
