"""The run directory: one folder with everything that a run writes."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.errors import UserError
from kinema.files import write_text

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.specs.recipe import Recipe

LAST, BEST = "last.ckpt", "best.ckpt"
RECIPE = "recipe.json"
VIDEOS = "videos.csv"
"""Manifest of exactly the videos that the run trains and validates on."""
ABOUT = "run.json"
"""Where the data came from, when the run started, and on how many processes."""
METRICS = "metrics.csv"
LOG = "log.txt"
SERIES = "series.json"
"""The plan of a series of runs, in the folder that holds their directories."""


def new_folder(out: str, model: str) -> Path:
    """Make the directory of a new run.

    Args:
        out: Where the user wants it; empty for ``runs/<date>-<model>``, numbered when that is taken.
        model: Name of the model.

    Raises:
        UserError: When ``out`` already holds a run.
    """
    folder = Path(out) if out else free_folder(model)
    if out and any((folder / name).exists() for name in (LAST, BEST)):  # without these it died before it began
        raise UserError(f"{folder} already holds a run; continue it with --resume {folder} or choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def free_folder(model: str) -> Path:
    """Choose ``runs/<date>-<model>`` for a run, numbered when that is taken."""
    stem = f"{time.strftime('%Y-%m-%d')}-{model}"
    names = (f"{stem}-{number}" if number > 1 else stem for number in range(1, 10_000))
    return next(folder for name in names if not (folder := Path("runs") / name).exists())


@contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Take the folder of a run away again when the block fails before anything but notes is in it."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # it holds something, or another process was quicker
            if {path.name for path in folder.iterdir()} == {LOG}:
                (folder / LOG).unlink()
            folder.rmdir()
        raise


def describe_run(folder: Path, recipe: Recipe, manifest: Manifest, about: Mapping[str, Any]) -> None:
    """Write what a run is about to do: ``recipe.json``, ``videos.csv``, ``classes.csv`` and ``run.json``.

    Args:
        folder: Run directory.
        recipe: With model, weights and batch filled in.
        manifest: All videos that it trains and validates on.
        about: Facts for ``run.json`` beside the time and the version; JSON values.
    """
    from kinema import __version__
    from kinema.data.classes_file import CLASSES_FILE
    from kinema.data.manifest_writer import write_classes

    write_classes(folder / CLASSES_FILE, manifest)  # whether the videos' labels say as much or not
    manifest.write(folder / VIDEOS)
    write_text(folder / RECIPE, recipe.to_json() + "\n")
    facts = {**about, "started": time.strftime("%Y-%m-%d %H:%M:%S"), "kinema_version": __version__}
    write_text(folder / ABOUT, json.dumps(facts, indent=2) + "\n")


def standing(row: dict[str, float], monitor: str) -> tuple[float, float]:
    """What decides between the validated epochs of a run; the highest is the best.

    Few videos have few accuracies: of equal ones the smaller loss is better, else the earliest of many would be kept.

    Args:
        row: Of ``metrics.csv``.
        monitor: Name of the recipe's monitored score.
    """
    sign = -1 if monitor == "loss" else 1
    return sign * row[f"val_{monitor}"], -row.get("val_loss", 0.0)


def read_about(folder: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises:
        UserError: When the folder is not a run directory.
    """
    try:
        return json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{folder} is not a run directory: {ABOUT} cannot be read ({error})") from None


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Read ``metrics.csv``: one row of numbers per finished epoch, without the cells that are empty."""
    path = folder / METRICS
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
