"""Score tables on the terminal: accuracies, classes, JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.evaluation.scores import ScoreTable

COLUMNS = {
    "clip_top1": "clip\ntop-1",
    "clip_top5": "clip\ntop-5",
    "top1": "top-1",
    "top5": "top-5",
    "mean_class": "mean\nclass",
}
"""Accuracies by their name in a summary, and their headings."""


def print_tables(tables: Sequence[ScoreTable], names: Sequence[str], *, title: str, average: bool = False) -> None:
    """Print the accuracies of some tables in percent, one a row, and on request their average."""
    from rich.console import Console
    from rich.table import Table

    from kinema.evaluation.summary import average_over_splits, summary

    summaries = [summary(table) for table in tables]
    shown_keys = [key for key in COLUMNS if any(key in values for values in summaries)]
    shown = Table(title=title)
    shown.add_column("", overflow="fold", min_width=16)
    for heading in ("videos", *(COLUMNS[key] for key in shown_keys), "sec"):
        shown.add_column(heading, justify="right", no_wrap=True)
    seconds = [table.meta.get("seconds") for table in tables]
    for name, values, spent in zip(names, summaries, seconds, strict=True):
        shown.add_row(name, *_cells(values, shown_keys), "" if spent is None else f"{spent:.1f}")
    if average:
        shown.add_section()
        cells = _cells(average_over_splits(tables), shown_keys)
        known = [spent for spent in seconds if spent is not None]
        shown.add_row("average", *cells, f"{sum(known):.1f}" if known else "")
    Console().print(shown)
    unlabelled = sum(len(table) - table.num_labelled for table in tables)
    if unlabelled:
        Console(stderr=True, highlight=False).print(f"without a label, in no accuracy: {counted(unlabelled, 'video')}")


def print_classes(table: ScoreTable, *, title: str) -> None:
    """Print how each class of a table fared."""
    from rich.console import Console
    from rich.table import Table

    from kinema.evaluation.summary import per_class

    shown = Table(title=title)
    shown.add_column("class")
    for heading in ("videos", "accuracy", "precision"):
        shown.add_column(heading, justify="right")
    shown.add_column("most often taken for")
    for row in per_class(table):
        taken = f"{row.confused_with} ({percent(row.confused_fraction)} %)" if row.confused_with else ""
        shown.add_row(row.name, str(row.num_videos), percent(row.accuracy), percent(row.precision), taken)
    Console().print(shown)


def print_json(tables: Sequence[ScoreTable], *, with_classes: bool = False) -> None:
    """Print one JSON object: ``tables``, each with where it comes from and its accuracies (0 to 1), and ``average``."""
    import json

    print(json.dumps(as_json(tables, with_classes=with_classes)))


def as_json(tables: Sequence[ScoreTable], *, with_classes: bool = False) -> dict[str, Any]:
    """What :func:`print_json` prints, as values."""
    from kinema.evaluation.summary import average_over_splits, summary

    listed: list[dict[str, Any]] = []
    for table in tables:
        listed.append({**table.meta, **summary(table)})
        if with_classes and table.num_labelled:
            listed[-1]["classes"] = _class_dicts(table)
    return {"tables": listed, "average": average_over_splits(tables)}


def percent(fraction: float) -> str:
    """A share as percent with one digit; a dash where it does not exist (nan)."""
    return "-" if fraction != fraction else f"{100 * fraction:.1f}"


def _class_dicts(table: ScoreTable) -> list[dict[str, Any]]:
    import dataclasses

    from kinema.evaluation.summary import per_class

    rows = [dataclasses.asdict(row) for row in per_class(table)]
    # JSON knows no nan: what does not exist is null.
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]


def _cells(values: Mapping[str, float], keys: Sequence[str]) -> list[str]:
    """The cells of a row: videos, and each accuracy as far as it exists."""
    return [f"{values['num_videos']:.0f}", *(percent(values[key]) if key in values else "-" for key in keys)]
