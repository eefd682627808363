"""What papers print of score tables: accuracies, their mean over official splits, and how each class fared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kinema.errors import UserError
from kinema.evaluation.metrics import confusion_matrix
from kinema.evaluation.scores import ScoreTable

FEW_CLASSES = 5
"""Among so many classes the five best always hold the true one, so a top-5 accuracy says nothing and is left out."""


@dataclass(frozen=True)
class ClassRow:
    """How one class fared.

    Attributes:
        name: The class.
        num_videos: Videos that belong to it.
        accuracy: Recall: the fraction of the class that is named right; nan when it has no videos.
        precision: Of the videos predicted as this class, the fraction that belongs to it; nan when there are none.
        confused_with: The wrong class named most often, empty when there is none.
        confused_fraction: Fraction of the class that is predicted as that.
    """

    name: str
    num_videos: int
    accuracy: float
    precision: float
    confused_with: str
    confused_fraction: float


def per_class(table: ScoreTable) -> list[ClassRow]:
    """One row per class of a table, in the order of its classes."""
    matrix = confusion_matrix(table.scores, table.labels)
    rows = []
    for index, name in enumerate(table.classes):
        total, named = int(matrix[index].sum()), int(matrix[:, index].sum())
        right = int(matrix[index, index])
        wrong = matrix[index].copy()
        wrong[index] = 0
        worst = int(wrong.argmax())
        rows.append(
            ClassRow(
                name=name,
                num_videos=total,
                accuracy=right / total if total else float("nan"),
                precision=right / named if named else float("nan"),
                confused_with=table.classes[worst] if wrong[worst] else "",
                confused_fraction=float(wrong[worst] / total) if total else 0.0,
            )
        )
    return rows


def summary(table: ScoreTable) -> dict[str, float]:
    """The accuracies that papers print, for one table.

    Returns:
        ``num_videos`` and ``num_labelled``; where labels exist ``top1``, ``top5``, ``mean_class``; where the table
        knows its clips ``clip_top1``, ``clip_top5``. Absent figures have no key; of ``FEW_CLASSES`` classes or fewer
        there are no top-5 ones.
    """
    values: dict[str, float] = {"num_videos": len(table), "num_labelled": table.num_labelled}
    if not table.num_labelled:
        return values
    values |= {"top1": table.top(1), "top5": table.top(5), "mean_class": table.mean_class_accuracy()}
    clips = table.clip_accuracy
    if clips is not None:
        values |= {f"clip_{key}": value for key, value in clips.items()}
    if len(table.classes) <= FEW_CLASSES:
        return {key: value for key, value in values.items() if not key.endswith("top5")}
    return values


def average_over_splits(tables: Sequence[ScoreTable]) -> dict[str, float]:
    """Plain mean of each accuracy over tables of several official splits, as papers report it; counts are summed.

    A figure that some table lacks is left out.
    """
    if not tables:
        raise UserError("there is nothing to average: no score tables were given.")
    summaries = [summary(table) for table in tables]
    shared = [key for key in summaries[0] if all(key in other for other in summaries)]
    totals = {key: float(sum(values[key] for values in summaries)) for key in shared}
    return {key: total if key.startswith("num_") else total / len(tables) for key, total in totals.items()}
