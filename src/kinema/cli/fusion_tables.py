"""What ``kinema fuse`` prints: the streams, the accuracies of each split, and who gets what right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.evaluation.scores import ScoreTable

MEASURES = {"top1": "top-1", "top5": "top-5", "mean_class": "mean class"}


@dataclass(frozen=True)
class Fusion:
    """All that a fusion prints.

    Attributes:
        names: The streams.
        weights: The streams' weights as given, or ones.
        splits: For each split the streams' tables, lined up.
        fused: The fusion of each split.
        split_names: What to call the splits.
    """

    names: list[str]
    weights: list[float]
    splits: list[list[ScoreTable]]
    fused: list[ScoreTable]
    split_names: list[str]

    @property
    def is_labelled(self) -> bool:
        """Whether there are accuracies at all."""
        return all(table.num_labelled for table in self.fused)

    def stream(self, place: int) -> list[ScoreTable]:
        """The tables of one stream, split by split."""
        return [tables[place] for tables in self.splits]


def print_fusion(fusion: Fusion) -> None:
    """Print what was fused, the accuracies, and how many videos only one stream gets right."""
    import sys

    from rich.console import Console

    from kinema.evaluation.sweep import count_right

    console = Console()
    console.print(_streams_table(fusion))
    console.print(_accuracies_table(fusion))
    if fusion.is_labelled:
        console.print(_right_table(count_right(fusion.splits, fusion.fused, fusion.names)))
    unlabelled = sum(len(table) - table.num_labelled for table in fusion.fused)
    if unlabelled:
        print(f"without a label, in no accuracy: {counted(unlabelled, 'video')}", file=sys.stderr)


def fusion_json(fusion: Fusion, *, with_classes: bool = False) -> dict[str, Any]:
    """The fusion as JSON: ``tables`` and ``average`` of the fused scores, ``streams`` alike, ``right``."""
    import dataclasses

    from kinema.cli.score_tables import as_json
    from kinema.evaluation.sweep import count_right

    streams = [
        {"name": name, "weight": weight, **as_json(fusion.stream(place))}
        for place, (name, weight) in enumerate(zip(fusion.names, fusion.weights, strict=True))
    ]
    result = {**as_json(fusion.fused, with_classes=with_classes), "kind": fusion.fused[0].kind, "streams": streams}
    if fusion.is_labelled:
        result["right"] = [dataclasses.asdict(row) for row in count_right(fusion.splits, fusion.fused, fusion.names)]
    return result


def what_was_averaged(fusion: Fusion) -> str:
    """The kind that was averaged and what it was made of, such as ``"z-scores of logits and margins"``."""
    kind = fusion.fused[0].kind
    saved = dict.fromkeys(table.meta["saved_kind"] for table in fusion.splits[0])
    if list(saved) == [kind]:
        return kind
    if kind == "probabilities":
        return "probabilities (logits through a softmax)"
    return f"{kind} of {' and '.join(saved)}"


def _streams_table(fusion: Fusion) -> Any:
    from rich.table import Table

    shown = Table(title=f"averaged: {what_was_averaged(fusion)}")
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
    places = [*range(len(fusion.names)), -1]
    columns = [fusion.fused if place < 0 else fusion.stream(place) for place in places]
    groups = [(name, [[tables[place]] for tables in columns]) for place, name in enumerate(fusion.split_names)]
    if len(fusion.fused) > 1:
        groups.append((f"mean of {len(fusion.fused)} splits", columns))
    for heading, members in groups:
        for place, (row, tables) in enumerate(zip(rows, members, strict=True)):
            values = average_over_splits(tables)
            style = "bold" if row == "fused" and place == len(rows) - 1 else None
            cells = [percent(values[key]) for key in keys]
            shown.add_row("" if place else heading, row, f"{values['num_videos']:.0f}", *cells, style=style)
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
