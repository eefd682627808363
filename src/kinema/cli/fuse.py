"""``kinema fuse``: combine the scores of several models."""

from __future__ import annotations

import sys
from pathlib import Path

from tyro.conf import Positional


def fuse(
    scores: Positional[tuple[Path, ...]],
    *,
    weights: tuple[float, ...] = (),
    allow_mixed: bool = False,
    out: Path | None = None,
    classes: bool = False,
    json: bool = False,
) -> None:
    """Average the scores that several models gave the same videos, and print all accuracies.

    Args:
        scores: Two or more files that "kinema evaluate" saved, such as of an RGB and a flow model.
        weights: One number for each file; equal when not given.
        allow_mixed: Accept logits beside probabilities; the logits become probabilities.
        out: File for the fused scores; not saved when not given.
        classes: Print the accuracy of each class too.
        json: Print JSON instead of tables.
    """
    from kinema.cli.score_tables import print_classes, print_json, print_tables
    from kinema.evaluation.fusion import fuse as fuse_tables
    from kinema.evaluation.scores import ScoreTable

    tables = [ScoreTable.load(path) for path in scores]
    fused = fuse_tables(tables, weights, allow_mixed=allow_mixed)
    if json:
        print_json([fused], with_classes=classes)
    else:
        parts = zip(tables, fused.meta["fused"], scores, strict=True)
        names = [f"{table.meta.get('model', path.stem)} x {part['weight']:.2f}" for table, part, path in parts]
        print_tables([*tables, fused], [*names, "fused"], title=f"fusion of {len(tables)} score files")
        if classes and fused.num_labelled:
            print_classes(fused, title="fused")
    if out is not None:
        print(f"scores: {fused.save(out)}", file=sys.stderr)
