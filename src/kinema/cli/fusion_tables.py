"""What ``kinema fuse`` prints: the streams, the accuracies of each split, and who gets what right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.evaluation.streams import Fusion

MEASURES = {"top1": "top-1", "top5": "top-5", "mean_class": "mean class"}


def print_fusion(fusion: Fusion) -> None:
    """Print what was fused, the accuracies, and how many videos only one stream gets right."""
    import sys

    from rich.console import Console

    console = Console()
    console.print(_streams_table(fusion))
    console.print(_accuracies_table(fusion))
    if fusion.is_labelled:
        console.print(_right_table(fusion.count_right()))
    unlabelled = sum(len(table) - table.num_labelled for table in fusion.fused)
    if unlabelled:
        print(f"without a label, in no accuracy: {counted(unlabelled, 'video')}", file=sys.stderr)


def fusion_json(fusion: Fusion, *, with_classes: bool = False) -> dict[str, Any]:
    """The fusion as JSON: ``tables`` and ``average`` of the fused scores, ``streams`` alike, ``right``."""
    import dataclasses

    from kinema.cli.score_tables import as_json

    streams = [
        {"name": name, "weight": weight, **as_json(fusion.stream(index))}
        for index, (name, weight) in enumerate(zip(fusion.names, fusion.weights, strict=True))
    ]
    result = {**as_json(fusion.fused, with_classes=with_classes), "kind": fusion.fused[0].kind, "streams": streams}
    if fusion.is_labelled:
        result["right"] = [dataclasses.asdict(row) for row in fusion.count_right()]
    return result


def _streams_table(fusion: Fusion) -> Any:
    from rich.table import Table

    shown = Table(title=f"averaged: {fusion.averaged}")
    shown.add_column("stream", overflow="fold")
    shown.add_column("model", overflow="fold")
    for heading in ("protocol", "saved as"):
        shown.add_column(heading, no_wrap=True)
    shown.add_column("weight", justify="right", no_wrap=True)
    total = sum(fusion.weights)
    for name, weight, table in zip(fusion.names, fusion.weights, fusion.splits[0], strict=True):
        backwards = ", reversed" if table.meta.get("reverse") else ""
        shown.add_row(
            name,
            str(table.meta.get("model") or "unknown"),
            str(table.meta.get("protocol") or "unknown") + backwards,
            table.meta["saved_kind"],
            f"{weight:g} ({100 * weight / total:.0f} %)",
        )
    return shown


def _accuracies_table(fusion: Fusion) -> Any:
    from rich.table import Table

    from kinema.cli.score_tables import percent
    from kinema.evaluation.summary import average_over_splits

    rows, known = [*fusion.names, "fused"], average_over_splits(fusion.fused)
    keys = [key for key in MEASURES if fusion.is_labelled and key in known]
    shown = Table(title="accuracy, %")
    shown.add_column("split", overflow="fold")
    shown.add_column("stream", overflow="fold")
    for heading in ("videos", *(MEASURES[key] for key in keys)):
        shown.add_column(heading, justify="right", no_wrap=True)
    columns = [*(fusion.stream(index) for index in range(len(fusion.names))), fusion.fused]
    groups = [(name, [[tables[index]] for tables in columns]) for index, name in enumerate(fusion.split_names)]
    if len(fusion.fused) > 1:
        groups.append((f"mean of {len(fusion.fused)} splits", columns))
    for heading, members in groups:
        for index, (row, tables) in enumerate(zip(rows, members, strict=True)):
            values = average_over_splits(tables)
            style = "bold" if index == len(rows) - 1 else None
            cells = [percent(values[key]) for key in keys]
            shown.add_row("" if index else heading, row, f"{values['num_videos']:.0f}", *cells, style=style)
        shown.add_section()
    return shown


def _right_table(counts: Sequence[Any]) -> Any:
    from rich.table import Table

    shown = Table(title="who gets the videos right")
    shown.add_column("right in", overflow="fold")
    for heading in ("videos", "fused right"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in counts:
        shown.add_row(row.name, str(row.num_videos), str(row.num_fused))
    return shown
