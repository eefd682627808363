"""``kinema fuse``: combine the scores of several models."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from kinema.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinema.cli.fusion_tables import Fusion
    from kinema.evaluation.scores import ScoreTable

PICTURES = (".png", ".pdf", ".svg")


def fuse(
    scores: Positional[tuple[str, ...]],
    *,
    weights: tuple[float, ...] = (),
    names: tuple[str, ...] = (),
    average: Literal["as-saved", "logits", "probabilities", "z-scores"] = "as-saved",
    sweep: tuple[Path, ...] = (),
    allow_different: bool = False,
    out: Path | None = None,
    classes: bool = False,
    json: bool = False,
) -> None:
    """Average the scores that several models gave the same videos, and print all accuracies.

    Each argument is one stream, such as RGB or flow: a file that "kinema evaluate" saved, or, for several official
    splits at once, their files joined by commas or the folder that holds them. Splits are matched by their videos; each
    is fused by itself, and the accuracies are averaged.

    Args:
        scores: Two or more streams, such as rgb.npz flow.npz; with splits rgb1.npz,rgb2.npz flow1.npz,flow2.npz, or
            rgb/ flow/.
        weights: One number for each stream; equal when not given.
        names: What to call the streams, such as RGB flow; their files' or folders' names when not given.
        average: What is averaged: as-saved wants all streams to hold the same kind; probabilities are a softmax of
            logits; z-scores, of any kind, are the scores divided by their spread in the table.
        sweep: Files for accuracy against the weights of two streams: a .png, .pdf or .svg to look at, a .csv of the
            numbers. It shows how much the weights matter; weights picked by it are picked on the test videos.
        allow_different: Average splits that other models or protocols scored.
        out: File for the fused scores; for several splits a folder. Not saved when not given.
        classes: Print the accuracy of each class too.
        json: Print JSON instead of tables.
    """
    from kinema.cli.fusion_tables import fusion_json, print_fusion
    from kinema.cli.score_tables import print_classes
    from kinema.evaluation.fusion import shares_of
    from kinema.evaluation.splits import check_splits

    _check_counts(weights, names, sweep, len(scores))
    fusion = _fusion(scores, weights, names, average)
    paths = _fused_paths(fusion.split_names, out) if out else []
    notes = check_splits(fusion.fused, allow_different=allow_different) if len(fusion.fused) > 1 else []
    if json:
        from json import dumps

        print(dumps(fusion_json(fusion, with_classes=classes)))
    else:
        print_fusion(fusion)
        for table, name in zip(fusion.fused, fusion.split_names, strict=True):
            if classes and table.num_labelled:
                print_classes(table, title=f"fused, {name}")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    for table, path in zip(fusion.fused, paths, strict=False):  # without --out there are no paths
        print(f"scores: {table.save(path)}", file=sys.stderr)
    _sweep(fusion, shares_of(weights, len(scores))[1], sweep)


def _fusion(scores: Sequence[str], weights: Sequence[float], names: Sequence[str], average: str) -> Fusion:
    """Load the streams, match their splits and fuse each."""
    from kinema.cli.fusion_tables import Fusion
    from kinema.cli.score_files import load_streams, stream_names
    from kinema.evaluation.fusion import combine, shares_of
    from kinema.evaluation.splits import match_splits, split_name

    shares = shares_of(weights, len(scores))
    called = list(names) or stream_names(scores)
    splits = _line_up(match_splits(load_streams(scores), called), average)
    fused = [combine(tables, shares) for tables in splits]
    split_names = [split_name(table, f"split {place}") for place, table in enumerate(fused, start=1)]
    return Fusion(called, list(weights) or [1.0] * len(scores), splits, fused, split_names)


def _check_counts(weights: Sequence[float], names: Sequence[str], files: Sequence[Path], num_streams: int) -> None:
    """Refuse before any work what cannot be fused or drawn."""
    if num_streams < 2:
        raise UserError(
            f"fusion needs at least two score tables, {num_streams} given; the accuracies of one are printed by: "
            "kinema scores show FILE (and those of splits with their mean by: kinema scores average FILE FILE ...)."
        )
    if weights and len(weights) != num_streams:
        raise UserError(
            f"{num_streams} streams need as many weights, {len(weights)} given; a stream's files for several splits "
            "are joined by commas or lie in one folder."
        )
    if names and len(set(names)) != num_streams:
        raise UserError(f"--names takes {num_streams} different names, one for each stream; given {', '.join(names)}.")
    wrong = [str(path) for path in files if path.suffix.lower() not in (*PICTURES, ".csv")]
    if wrong:
        raise UserError(f"--sweep takes files that end in {', '.join(PICTURES)} or .csv; given {', '.join(wrong)}.")
    if files and num_streams > 2:
        raise UserError(
            f"--sweep draws a curve over the weight between two streams; {num_streams} are given. "
            "Fuse some of them first (--out FILE) and sweep the result against the other."
        )


def _line_up(matched: Sequence[Sequence[ScoreTable]], average: str) -> list[list[ScoreTable]]:
    """Line up the streams of each split; an error says in which."""
    from kinema.evaluation.fusion import line_up
    from kinema.evaluation.splits import split_name

    splits: list[list[ScoreTable]] = []
    for place, tables in enumerate(matched, start=1):
        try:
            splits.append(line_up(tables, average="" if average == "as-saved" else average))
        except UserError as error:
            where = f"{split_name(tables[0], f'split {place}')}: " if len(matched) > 1 else ""
            raise UserError(f"{where}{error}") from None
    return splits


def _fused_paths(split_names: Sequence[str], out: Path) -> list[Path]:
    """Where the fused scores go: ``out`` itself for one split, else a file for each, named after it."""
    if len(split_names) == 1:
        return [out]
    if out.suffix == ".npz" or out.is_file():
        raise UserError(f"--out must be a folder for {len(split_names)} splits; given {out}.")
    names = [re.sub(r"[^\w.-]+", "-", name).strip("-") for name in split_names]
    is_clear = len(set(names)) == len(names)
    return [out / f"{name if is_clear else f'{name}-{place}'}-fused.npz" for place, name in enumerate(names, start=1)]


def _sweep(fusion: Fusion, chosen: float, files: Sequence[Path]) -> None:
    if not files:
        return
    from kinema.cli.fusion_tables import what_was_averaged
    from kinema.evaluation.sweep import sweep
    from kinema.report.sweep_plot import plot_sweep, write_sweep

    curve = sweep(fusion.splits, chosen)
    weights = " : ".join(f"{weight:g}" for weight in fusion.weights)
    protocols = sorted({str(part.get("protocol", "")) for part in fusion.fused[0].meta["fused"]} - {""})
    videos = fusion.split_names[0] if len(fusion.fused) == 1 else f"mean of {len(fusion.fused)} splits"
    subject = ", ".join([what_was_averaged(fusion), *protocols, videos])
    for path in files:
        if path.suffix.lower() == ".csv":
            write_sweep(curve, fusion.names, fusion.split_names, path)
        else:
            plot_sweep(curve, fusion.names, path, weights=weights, subject=subject)
        print(f"sweep: {path}", file=sys.stderr)
