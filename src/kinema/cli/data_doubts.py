"""What the data verbs say about a data set: how many videos and classes it has, and what is doubtful about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import UserError

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest

MAX_SHARES = 30
"""Of a data set with more classes, only those far from the share asked for are printed."""


def print_manifests(manifests: dict[Path, Manifest]) -> None:
    """Print a line for each manifest that was written."""
    for path, manifest in manifests.items():
        counts = ", ".join(f"{name} {manifest.count(name):,}" for name in manifest.splits)
        print(f"{path}: {len(manifest):,} videos, {len(manifest.classes):,} classes, {counts}")


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


def print_shares(divided: Manifest, fraction: float, *, into: str) -> None:
    """Print how many videos of each class were held out, and a warning where that is far from what was asked for."""
    from kinema.data.split import class_shares, far_from_share

    shares = class_shares(divided, into=into)
    if len(shares) <= MAX_SHARES:
        width = max(len(name) for name, _, _ in shares)
        for name, left, held in shares:
            print(f"  {name:{width}}  train {left:>4,}  {into} {held:>4,}  {held / (left + held):>4.0%}")
    far = far_from_share(divided, fraction, into=into)
    if far:
        print(f"warning: {far}", file=sys.stderr)
