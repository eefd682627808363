"""Confusion matrices of score tables as a picture or a CSV, for every verb that has ``--confusion``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import UserError
from kinema.files import whole_file

if TYPE_CHECKING:
    from kinema.evaluation.scores import ScoreTable


def check_confusion(path: Path | None) -> None:
    """Refuse a file that is neither a picture nor a CSV, before anything is computed."""
    if path is not None and path.suffix.lower() not in (".png", ".svg", ".pdf", ".csv"):
        raise UserError(f"--confusion is {path}; its name must end in .png (or .svg, .pdf) or .csv")


def save_confusion(tables: Sequence[ScoreTable], names: Sequence[str], path: Path) -> Path:
    """Write how many videos of each class were given which name.

    A CSV has a row for each true class and a column for each answer; of several tables the first column says which.

    Args:
        tables: Scores with labels, of the same classes.
        names: What to call each table.
        path: The file, .png, .svg, .pdf or .csv.

    Raises:
        UserError: No video has a label, or the tables have other classes.
    """
    classes = tables[0].classes
    if any(table.classes != classes for table in tables):
        raise UserError("one confusion matrix needs tables of the same classes; draw them one by one")
    matrices = {
        name if names.count(name) == 1 else f"{name} {number}": table.confusion()
        for number, (name, table) in enumerate(zip(names, tables, strict=True), start=1)
    }
    if path.suffix.lower() != ".csv":
        from kinema.report.plots import plot_confusion

        model = str(tables[0].meta.get("model") or "")
        return plot_confusion(matrices, classes, path, title=model)
    path.parent.mkdir(parents=True, exist_ok=True)
    several = len(matrices) > 1
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*(["data"] if several else []), "true class", *classes])
        for name, matrix in matrices.items():
            for label, row in zip(classes, matrix.tolist(), strict=True):
                writer.writerow([*([name] if several else []), label, *row])
    return path
