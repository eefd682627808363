"""Scores that another program made: reading them from a CSV or an ``.npz`` into a score table."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable
from kinema.wording import some_of

ID_NAMES = ("video_id", "ids", "names")
"""What the video ids may be called."""


def read_scores(path: str | Path, kind: str, *, classes: Sequence[str] = (), model: str = "") -> ScoreTable:
    """Read scores that another program wrote.

    A CSV has a row for each video and the columns ``video_id``, one for each class under its name, and optionally
    ``label`` (the name of the true class). An ``.npz`` has the arrays ``scores`` (axes ``videos classes``) and
    ``video_id`` (or ``ids`` or ``names``), optionally ``labels`` (indices from 0, or names) and ``classes``. Pickles
    are refused.

    Args:
        path: The file.
        kind: What the numbers are: ``"logits"``, ``"probabilities"`` or ``"margins"``.
        classes: Names in the order of the columns, where an ``.npz`` does not hold them.
        model: What to call the method.

    Raises:
        UserError: The file is missing or damaged, or its contents make no score table.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    if path.suffix.lower() == ".csv":
        return _table_of_csv(path, kind, classes, model)
    if path.suffix.lower() == ".npz":
        return _table_of_arrays(path, kind, classes, model)
    raise UserError(f"{path}: scores are read from a .csv or an .npz; other files go through Python, see the docs.")


def restrict(table: ScoreTable, manifest: Manifest) -> ScoreTable:
    """Keep the videos and classes of a manifest, such as one split, in its order and with its labels.

    Ids may be file names or paths in the table. Probabilities are divided by what the kept classes sum to.

    Raises:
        UserError: Videos or classes of the manifest have no scores, or its labels contradict those of the table.
    """
    absent = sorted(set(manifest.classes) - set(table.classes))
    if absent:
        raise UserError(f"{len(absent)} classes of {manifest.name} have no scores: {some_of(absent, 5)}.")
    rows = _rows_by_id(table)
    ids = [record.video_id for record in manifest]
    missing = [video for video in ids if video not in rows]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(ids)} videos of {manifest.name} have no scores: {some_of(missing, 3)}; "
            f"the file's ids look like {some_of(table.ids.tolist(), 2)}."
        )
    kept = table.select([rows[video] for video in ids])
    labels = _labels_of_both(kept, manifest)
    scores = kept.scores[:, [table.classes.index(name) for name in manifest.classes]].astype(np.float64)
    if table.kind == "probabilities":
        scores /= np.maximum(scores.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    meta = {
        **table.meta,
        "data": manifest.name,
        "manifest_sha256": manifest.digest(),
        "split": "+".join(manifest.splits),
    }
    return replace(kept, ids=np.array(ids), scores=scores, labels=labels, classes=manifest.classes, meta=meta)


def _labels_of_both(table: ScoreTable, manifest: Manifest) -> np.ndarray:
    """The manifest's labels, and the table's where the manifest has none."""
    index = {name: label for label, name in enumerate(manifest.classes)}
    theirs = [table.classes[label] if label >= 0 else "" for label in table.labels]
    both = list(zip(manifest, theirs, strict=True))
    clash = [f"{row.video_id} ({name}, not {row.label})" for row, name in both if name and row.label not in ("", name)]
    if clash:
        raise UserError(f"{len(clash)} videos have another label than in {manifest.name}: {some_of(clash, 3)}.")
    return np.array([row.label_index if row.label else index.get(name, -1) for row, name in both], dtype=np.int64)


def _rows_by_id(table: ScoreTable) -> dict[str, int]:
    """Rows by id, and by file name without folders and suffix where that is not ambiguous."""
    exact = {video: row for row, video in enumerate(table.ids.tolist())}
    stems: dict[str, list[int]] = {}
    for video, row in exact.items():
        stems.setdefault(PurePosixPath(video).stem, []).append(row)
    return {stem: rows[0] for stem, rows in stems.items() if len(rows) == 1} | exact


def _table_of_csv(path: Path, kind: str, classes: Sequence[str], model: str) -> ScoreTable:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file ({error}).") from None
    if not header or header[0] not in ID_NAMES:
        raise UserError(f"{path}: the first column must be video_id; the header is {some_of(header, 5) or 'absent'}.")
    names = [name for name in header[1:] if name != "label"]
    if classes and list(classes) != names:
        raise UserError(f"{path}: its header names the classes itself, and not those given.")
    ragged = [str(line) for line, row in enumerate(rows, start=2) if len(row) != len(header)]
    if ragged:
        raise UserError(f"{path}: {len(ragged)} rows have not {len(header)} cells: row {some_of(ragged, 3)}.")
    columns = [column for column, name in enumerate(header) if column and name != "label"]
    try:
        scores = np.array([[float(row[column]) for column in columns] for row in rows]).reshape(len(rows), len(columns))
    except ValueError as error:
        raise UserError(f"{path}: a score is no number ({error}).") from None
    labels = [row[header.index("label")] for row in rows] if "label" in header else [""] * len(rows)
    ids = np.array([row[0] for row in rows], dtype=np.str_)
    return ScoreTable(ids, scores, _label_indices(labels, names, path), kind, tuple(names), meta=_meta(path, model))


def _table_of_arrays(path: Path, kind: str, classes: Sequence[str], model: str) -> ScoreTable:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not an archive of plain arrays ({error}).") from error
    if "header" in arrays:
        raise UserError(f"{path}: a file of kinema already; nothing has to be imported.")
    ids = next((arrays[name] for name in ID_NAMES if name in arrays), None)
    if "scores" not in arrays or ids is None:
        raise UserError(
            f"{path}: needs the arrays scores and one of {', '.join(ID_NAMES)}; it has {', '.join(sorted(arrays))}."
        )
    if not len(classes) and "classes" not in arrays:
        raise UserError(f"{path}: holds no array classes, so their names must be given (--classes FILE).")
    names = tuple(str(name) for name in (classes if len(classes) else arrays["classes"]))
    given = arrays.get("labels", np.full(len(ids), -1))
    labels = given if given.dtype.kind in "iu" else _label_indices([str(name) for name in given], names, path)
    return ScoreTable(ids, arrays["scores"], labels, kind, names, meta=_meta(path, model))


def _label_indices(labels: Sequence[str], classes: Sequence[str], path: Path) -> np.ndarray:
    index = {name: label for label, name in enumerate(classes)} | {"": -1}
    unknown = sorted(set(labels) - index.keys())
    if unknown:
        raise UserError(f"{path}: {len(unknown)} labels are no classes: {some_of(unknown, 5)}.")
    return np.array([index[label] for label in labels], dtype=np.int64)


def _meta(path: Path, model: str) -> Mapping[str, str]:
    return {"model": model or path.stem, "protocol": "imported", "imported_from": path.name}
