"""Scores of several official splits: which tables belong together, and whether their mean is what papers report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable
from kinema.wording import some_of


def match_splits(streams: Sequence[Sequence[ScoreTable]], names: Sequence[str]) -> list[list[ScoreTable]]:
    """Find for each table of the first stream the tables of the other streams with the same videos.

    Args:
        streams: For each stream (such as RGB and flow) its tables, one for each split, in any order.
        names: What to call the streams in errors.

    Returns:
        For each split, in the order of the first stream, one table of every stream.

    Raises:
        UserError: The streams do not have the same splits, or one has a split twice.
    """
    counts = {len(tables) for tables in streams}
    if len(counts) > 1:
        given = ", ".join(f"{name} has {len(tables)}" for name, tables in zip(names, streams, strict=True))
        raise UserError(f"every stream needs a score table for every split; {given}.")
    if counts == {1}:  # fusion itself says best how two tables differ
        return [[tables[0] for tables in streams]]
    found: list[dict[frozenset[str], ScoreTable]] = []
    for name, tables in zip(names, streams, strict=True):
        _refuse_same_videos(tables, name)
        found.append({frozenset(table.ids.tolist()): table for table in tables})
    splits: list[list[ScoreTable]] = []
    for videos, table in found[0].items():
        for name, others in zip(names[1:], found[1:], strict=True):
            if videos not in others:
                nearest = max(others, key=lambda ids: len(ids & videos))
                raise UserError(
                    f"{name} has no table of the {len(videos)} videos of {split_name(table, names[0])}; "
                    f"the nearest, {split_name(others[nearest], 'one')}, lacks {len(videos - nearest)} of them and has "
                    f"{len(nearest - videos)} others."
                )
        splits.append([others[videos] for others in found])
    return splits


def check_splits(tables: Sequence[ScoreTable], *, allow_different: bool = False) -> list[str]:
    """Check that the mean over some tables is the mean over the splits of one data set.

    Args:
        tables: One for each split.
        allow_different: Accept splits that other models or protocols scored.

    Returns:
        Sentences that the user should read.

    Raises:
        UserError: A split is there twice, the classes differ, labels are missing, or the splits were scored
            differently.
    """
    _refuse_same_videos(tables, "the average")
    first = tables[0]
    for number, table in enumerate(tables, start=1):
        missing, extra = (
            sorted(set(first.classes) - set(table.classes)),
            sorted(set(table.classes) - set(first.classes)),
        )
        if missing or extra:
            parts = [f"lacks {some_of(missing, 3)}"] * bool(missing) + [f"adds {some_of(extra, 3)}"] * bool(extra)
            raise UserError(
                f"{split_name(table, f'table {number}')} has other classes than the first table: it "
                f"{' and '.join(parts)}. Only splits of one data set are averaged."
            )
        if not table.num_labelled:
            raise UserError(f"{split_name(table, f'table {number}')} has no labels, so it has no accuracy to average.")
        if not allow_different:
            _refuse_other_origin(table, first, number)
    return notes_on_splits(tables)


def notes_on_splits(tables: Sequence[ScoreTable]) -> list[str]:
    """What the user should read beside a mean over splits: sentences, none where all is well."""
    seen: set[str] = set()
    for table in tables:
        parts = table.meta.get("fused") or [table.meta]
        digests = {str(part["weights_sha256"]) for part in parts if part.get("weights_sha256")}
        if digests & seen:
            return [
                "several splits were scored with the same weights; if these were trained on one of the splits, they "
                "have seen test videos of the others"
            ]
        seen |= digests
    return []


def split_name(table: ScoreTable, default: str) -> str:
    """What to call the videos of a table: its manifest's name, with the split where that is not test."""
    data, split = str(table.meta.get("data") or ""), table.meta.get("split", "test")
    if not data:
        return default
    return Path(data).name.removesuffix(".csv") + ("" if split == "test" else f" ({split})")


def _refuse_same_videos(tables: Sequence[ScoreTable], where: str) -> None:
    seen: dict[frozenset[str], int] = {}
    for number, table in enumerate(tables, start=1):
        videos = frozenset(table.ids.tolist())
        if videos in seen:
            parts = [_described(tables[same - 1], same) for same in (seen[videos], number)]
            raise UserError(
                f"{where}: {' and '.join(parts)} have the same {len(table)} videos, so they are not two splits; "
                "give each split once."
            )
        seen[videos] = number


def _described(table: ScoreTable, number: int) -> str:
    known = [str(table.meta[key]) for key in ("model", "protocol") if table.meta.get(key)]
    return f"table {number}" + (f" ({', '.join(known)})" if known else "")


def _refuse_other_origin(table: ScoreTable, first: ScoreTable, number: int) -> None:
    mine, theirs = _origin(table), _origin(first)
    for key in mine:
        if mine[key] != theirs[key]:
            raise UserError(
                f"{split_name(table, f'table {number}')} was not scored like the first table: {key} is "
                f"{mine[key]!s}, not {theirs[key]!s}. Their mean is no result of one method; to have it all the same, "
                "allow it (--allow-different)."
            )


def _origin(table: ScoreTable) -> Mapping[str, Any]:
    """What has to be the same in all splits."""
    parts = table.meta.get("fused") or [table.meta]
    return {
        "kind of scores": table.kind,
        "kind before fusion": " + ".join(str(part.get("saved_kind", table.kind)) for part in parts),
        "model": " + ".join(str(part.get("model", "unknown")) for part in parts),
        "protocol": " + ".join(str(part.get("protocol", "unknown")) for part in parts),
        "order of frames": " + ".join("reversed" if part.get("reverse") else "forward" for part in parts),
        "weight": " : ".join(f"{part.get('weight', 1):.3g}" for part in parts),
    }
