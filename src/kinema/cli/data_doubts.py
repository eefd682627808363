"""What the data verbs say about a data set: how many videos and classes it has, and what is doubtful about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import UserError
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.data.split import SplitResult

MAX_CLASSES = 30
"""Of a data set with more classes, only those far from the fraction asked for are printed."""


def print_manifests(manifests: dict[Path, Manifest]) -> None:
    """Print a line for each manifest that was written."""
    for path, manifest in manifests.items():
        counts = ", ".join(f"{name} {manifest.count(name):,}" for name in manifest.splits)
        print(
            f"{path}: {counted(len(manifest), 'video')}, {counted(len(manifest.classes), 'class', 'classes')}, {counts}"
        )


def print_doubts(manifest: Manifest, *, strict: bool = False) -> None:
    """Print what is doubtful about a data set on standard error, such as a video in two splits.

    Args:
        manifest: The data set.
        strict: Refuse it where scores cannot be trusted.

    Raises:
        UserError: With ``strict``, when a video is in two splits or has two labels.
    """
    from kinema.data.doubts import find_doubts

    doubts = find_doubts(manifest)
    for doubt in doubts:
        print(f"warning: {doubt.text}", file=sys.stderr)
    num_serious = sum(doubt.is_serious for doubt in doubts)
    if strict and num_serious:
        raise UserError(f"{manifest.name}: scores on it cannot be trusted, see above; --strict refuses it")


def print_counts(result: SplitResult, *, into: str) -> None:
    """Print how many videos of each class were held out, and a warning where that is far from what was asked for."""
    if len(result.counts) <= MAX_CLASSES:
        width = max(len(name) for name, _, _ in result.counts)
        for name, left, held in result.counts:
            print(f"  {name:{width}}  train {left:>4,}  {into} {held:>4,}  {held / (left + held):>4.0%}")
    if result.warning:
        print(f"warning: {result.warning}", file=sys.stderr)
