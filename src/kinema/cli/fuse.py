"""``kinema fuse``: combine the scores of several models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from kinema.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinema.evaluation.streams import Fusion

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
    from kinema.evaluation.streams import fuse as fuse_streams

    _check_pictures(sweep, len(scores))
    kind = "" if average == "as-saved" else average
    streams = [stream_of(word) for word in scores]
    fusion = fuse_streams(streams, weights, names=names, average=kind, allow_different=allow_different)
    if out:
        fusion.files_in(out)  # a folder that cannot be written to is refused before anything is printed
    if json:
        from json import dumps

        print(dumps(fusion_json(fusion, with_classes=classes)))
    else:
        print_fusion(fusion)
        for table, name in zip(fusion.fused, fusion.split_names, strict=True):
            if classes and table.num_labelled:
                print_classes(table, title=f"fused, {name}")
    for note in fusion.notes:
        print(f"note: {note}", file=sys.stderr)
    for path in fusion.save(out) if out else []:
        print(f"scores: {path}", file=sys.stderr)
    _sweep(fusion, sweep)


def stream_of(word: str) -> str | list[str]:
    """What one word of the command line names: a file or folder as it is, or several files joined by commas.

    Raises:
        UserError: A name between the commas is empty.
    """
    if Path(word).exists():  # also a file with a comma in its name
        return word
    parts = [part.strip() for part in word.split(",")]
    if not all(parts):
        raise UserError(f"{word!r} names no file between two commas or at an end.")
    return parts


def _check_pictures(files: Sequence[Path], num_streams: int) -> None:
    """Refuse before any work what cannot be drawn."""
    wrong = [str(path) for path in files if path.suffix.lower() not in (*PICTURES, ".csv")]
    if wrong:
        raise UserError(f"--sweep takes files that end in {', '.join(PICTURES)} or .csv; given {', '.join(wrong)}.")
    if files and num_streams > 2:
        raise UserError(
            f"--sweep draws a curve over the weight between two streams; {num_streams} are given. "
            "Fuse some of them first (--out FILE) and sweep the result against the other."
        )


def _sweep(fusion: Fusion, files: Sequence[Path]) -> None:
    if not files:
        return
    from kinema.report.sweep_plot import plot_sweep, write_sweep

    curve = fusion.sweep()
    weights = " : ".join(f"{weight:g}" for weight in fusion.weights)
    protocols = sorted({str(part.get("protocol", "")) for part in fusion.fused[0].meta["fused"]} - {""})
    videos = fusion.split_names[0] if len(fusion.fused) == 1 else f"mean of {len(fusion.fused)} splits"
    subject = ", ".join([fusion.averaged, *protocols, videos])
    for path in files:
        if path.suffix.lower() == ".csv":
            write_sweep(curve, fusion.names, fusion.split_names, path)
        else:
            plot_sweep(curve, fusion.names, path, weights=weights, subject=subject)
        print(f"sweep: {path}", file=sys.stderr)
