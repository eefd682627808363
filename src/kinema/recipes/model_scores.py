"""Scores of the papers by the network that has them, since one recipe trains many networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def scores_of(model: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Name scores after the network they belong to, so that they are not shown beside another one's.

    Args:
        model: Model name.
        scores: Percent by what was measured, such as ``UCF101, average of 3 splits``.
    """
    return {f"{model}: {what}": score for what, score in scores.items()}


def table_scores(rows: Mapping[str, Sequence[float]], columns: Sequence[str]) -> dict[str, Any]:
    """Name the scores of a paper's table.

    Args:
        rows: Percent by model name, one number for each of the columns.
        columns: What was measured.
    """
    named = [scores_of(model, dict(zip(columns, row, strict=True))) for model, row in rows.items()]
    return {name: score for scores in named for name, score in scores.items()}
