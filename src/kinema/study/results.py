"""The tidy table of a study on disk: one row for each cell and protocol, as CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from kinema.errors import UserError, missing_extra
from kinema.files import whole_file, write_text
from kinema.models.names import ModelName
from kinema.study.folder import RESULT, StudyFolder
from kinema.study.grid import Cell
from kinema.study.table import StudyRow, StudyTable

ACCURACIES = ("clip_top1", "clip_top5", "video_top1", "video_top5", "mean_class_accuracy")
"""In percent; of few classes there is no top-5."""
COSTS = ("parameters", "macs", "clips_per_sec", "peak_memory_mb", "minutes")
COLUMNS = (
    *("cell", "dataset", "model", "module", "placement", "backbone", "temporal_pooling"),
    *("frames", "sampling", "seed", "variant"),
    *("protocol", *ACCURACIES, "videos", *COSTS, "test_minutes", "epochs"),
    *("recipe_sha256", "manifest_sha256", "protocol_sha256"),
)


def tidy_rows(folder: StudyFolder) -> list[dict[str, Any]]:
    """The results of all cells that are done, a dictionary of ``COLUMNS`` for each cell and protocol.

    Accuracies are in percent, memory in MiB (of the training process, or of its GPU), minutes those of the training;
    clips per second are those of the median epoch. What is not known is None.
    """
    rows: list[dict[str, Any]] = []
    for cell in folder.cells.values():
        path = folder.cell_path(cell) / RESULT
        if path.exists():
            result = json.loads(path.read_text(encoding="utf-8"))
            rows += [_row(cell, result, protocol) for protocol in folder.protocols if protocol in result["scores"]]
    return rows


def study_table(folder: StudyFolder, *, protocol: str = "") -> StudyTable:
    """The results of a study under one protocol, for analyses; its first protocol by default.

    Raises:
        UserError: The study has no such protocol, or no cell is done.
    """
    protocol = protocol or folder.protocols[0]
    if protocol not in folder.protocols:
        raise UserError(f"{folder.path} has no results under {protocol}; it has {', '.join(folder.protocols)}")
    numbers = (*ACCURACIES, "videos", *COSTS)
    rows = [
        StudyRow(
            **{name: row[name] for name in ("dataset", "module", "backbone", "temporal_pooling", "frames")},
            **{name: row[name] for name in ("placement", "sampling", "seed", "protocol", "variant")},
            results={name: float(row[name]) for name in numbers if row[name] is not None},
        )
        for row in tidy_rows(folder)
        if row["protocol"] == protocol
    ]
    return StudyTable(tuple(rows), f"{folder.path} under {protocol}")


def write_tidy(folder: StudyFolder, path: str | Path) -> Path:
    """Write the tidy table; the suffix decides: ``.csv`` or ``.parquet``.

    Raises:
        UserError: No cell is done, or the suffix is another.
        MissingExtraError: Parquet is asked for and pyarrow is not installed.
    """
    path, rows = Path(path), tidy_rows(folder)
    if not rows:
        raise UserError(f"no cell of {folder.path} is done, so there is no table yet")
    if path.suffix.lower() == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([{name: _cell_text(value) for name, value in row.items()} for row in rows])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text.getvalue())
    elif path.suffix.lower() == ".parquet":
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise missing_extra("pyarrow", "analysis", "a Parquet file") from error
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), part)
    else:
        raise UserError(f"the table of a study is written as .csv or .parquet; given {path}")
    return path


def _row(cell: Cell, result: dict[str, Any], protocol: str) -> dict[str, Any]:
    name, recipe = ModelName.parse(cell.recipe.model), cell.recipe
    known = {
        "cell": cell.name,
        "dataset": cell.dataset,
        "model": recipe.model,
        "module": "+".join(name.modules),
        "placement": name.placement,
        "backbone": name.backbone,
        "temporal_pooling": name.temporal_pooling,
        "frames": recipe.data.frames,
        "sampling": recipe.data.sampling,
        "seed": recipe.seed,
        "variant": recipe.name if cell.is_own else "",
        "protocol": protocol,
    }
    found = {**result, **result["scores"][protocol], **known}
    return {column: found.get(column) for column in COLUMNS}


def _cell_text(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return f"{value:.6g}" if isinstance(value, float) else value
