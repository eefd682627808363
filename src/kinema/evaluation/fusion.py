"""Late fusion: weighted averages of the scores that several networks gave the same videos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kinema.data.validate import some_of
from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable


def fuse(tables: Sequence[ScoreTable], weights: Sequence[float] = (), *, allow_mixed: bool = False) -> ScoreTable:
    """Average the scores of several tables, such as those of an RGB and a flow network.

    The weights are divided by their sum, which changes no accuracy. Videos and classes may be in another order in each
    table. Two-stream networks are fused like this (arXiv 1406.2199 and 1507.02159, flow weighted 1.5).

    Args:
        tables: Two or more tables of the same videos and classes.
        weights: One number of at least 0 for each table; equal ones by default.
        allow_mixed: Accept logits beside probabilities; the logits then become probabilities first.

    Returns:
        A table in the order of the first one; clips are not judged. ``meta["fused"]`` says what went in.

    Raises:
        UserError: The tables do not fit together, or the weights do not fit the tables.
    """
    shares = _shares(weights, len(tables))
    first = tables[0]
    kinds = sorted({table.kind for table in tables})
    if len(kinds) > 1 and not allow_mixed:
        parts = ", ".join(f"{table.kind} ({_name(table, place)})" for place, table in enumerate(tables, 1))
        raise UserError(
            f"the tables hold different kinds of scores: {parts}. Their scales differ, so a weight means nothing; "
            "evaluate them alike, or allow mixed kinds (--allow-mixed), which turns logits into probabilities."
        )
    total = np.zeros(first.scores.shape, np.float64)
    labels = first.labels
    for place, (table, share) in enumerate(zip(tables, shares, strict=True), start=1):
        aligned = _aligned(table, first, place)
        labels = _agreed(labels, aligned, first, place)
        total += share * (aligned.probabilities() if len(kinds) > 1 else aligned.scores).astype(np.float64)
    fused = [{"weight": share, **table.meta} for table, share in zip(tables, shares, strict=True)]
    kind = kinds[0] if len(kinds) == 1 else "probabilities"
    return ScoreTable(first.ids, total, labels, kind, first.classes, meta={"fused": fused})


def _shares(weights: Sequence[float], num_tables: int) -> list[float]:
    """The weights, divided by their sum."""
    if num_tables < 2:
        raise UserError(f"fusion needs at least two score tables, {num_tables} given.")
    given = [float(weight) for weight in weights] or [1.0] * num_tables
    if len(given) != num_tables:
        raise UserError(f"{num_tables} score tables need as many weights, {len(given)} given.")
    if not all(math.isfinite(weight) and weight >= 0 for weight in given) or sum(given) <= 0:
        raise UserError(f"weights must be finite, at least 0 and not all 0; given {', '.join(map(str, given))}.")
    return [weight / sum(given) for weight in given]


def _aligned(table: ScoreTable, first: ScoreTable, place: int) -> ScoreTable:
    """Put a table's videos and classes into the order of the first table."""
    name = _name(table, place)
    _same_set(list(table.classes), list(first.classes), f"the classes of {name}")
    _same_set(table.ids.tolist(), first.ids.tolist(), f"the videos of {name}")
    columns = [table.classes.index(label) for label in first.classes]
    new_index = np.array([first.classes.index(label) for label in table.classes] + [-1])
    moved = replace(
        table, scores=table.scores[:, columns], labels=new_index[table.labels], classes=first.classes, clip_hits=None
    )
    rows = {video: row for row, video in enumerate(table.ids.tolist())}
    return moved.select([rows[video] for video in first.ids.tolist()])


def _same_set(given: list[str], wanted: list[str], what: str) -> None:
    missing = sorted(set(wanted) - set(given))
    extra = sorted(set(given) - set(wanted))
    if not missing and not extra:
        return
    parts = [f"{len(missing)} are missing ({some_of(missing, 3)})"] if missing else []
    parts += [f"{len(extra)} are only there ({some_of(extra, 3)})"] if extra else []
    raise UserError(f"{what} are not those of the first table: {'; '.join(parts)}. Fuse scores of the same split.")


def _agreed(labels: np.ndarray, table: ScoreTable, first: ScoreTable, place: int) -> np.ndarray:
    """Labels known so far, filled up from a table that must not contradict them."""
    clash = (labels >= 0) & (table.labels >= 0) & (labels != table.labels)
    if clash.any():
        raise UserError(
            f"{_name(table, place)} gives {int(clash.sum())} videos another class than the tables before it: "
            f"{some_of(first.ids[clash].tolist(), 3)}."
        )
    return np.where(labels >= 0, labels, table.labels)


def _name(table: ScoreTable, place: int) -> str:
    model = table.meta.get("model")
    return f"table {place} ({model})" if model else f"table {place}"
