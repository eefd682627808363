"""Dividing a data set: some of its training videos become videos to validate or to test on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kinema.data.hold_out import HOLDOUT, far_from_fraction, held_out_counts, hold_out
from kinema.data.manifest import Manifest
from kinema.errors import one_of


@dataclass(frozen=True, eq=False)
class SplitResult:
    """A data set of which videos were held out.

    Attributes:
        manifest: The same videos, some of them in another split.
        counts: For each class its name, how many of its training videos are left and how many were held out.
        warning: Which classes are far from the fraction that was asked for, since groups move as a whole; "" for none.
    """

    manifest: Manifest
    counts: list[tuple[str, int, int]]
    warning: str


def split(
    data: str | Path | Manifest, holdout: float = HOLDOUT, *, by: str = "group", seed: int = 0, into: str = "val"
) -> SplitResult:
    """Hold out a fraction of every class of the training videos, whole groups at a time.

    Args:
        data: A manifest, its CSV, or a folder of class folders, of which all videos count as training videos.
        holdout: The fraction to hold out, between 0 and 1.
        by: ``"group"`` keeps the videos of a group together, ``"video"`` ignores groups.
        seed: Decides which videos; the same seed and data give the same answer.
        into: The split that receives the videos, ``"val"`` or ``"test"``; it must have none yet.

    Raises:
        UserError: The fraction is not between 0 and 1, there are no training videos, or ``into`` has videos.
    """
    one_of("way to hold out", by, ("group", "video"))
    one_of("split to hold out into", into, ("val", "test"))
    is_folder = not isinstance(data, Manifest) and Path(data).is_dir()
    manifest = Manifest.from_folder(Path(str(data)), holdout=0.0) if is_folder else Manifest.open(data)
    divided = hold_out(manifest, holdout, seed=seed, by_group=by == "group", into=into)
    return SplitResult(divided, held_out_counts(divided, into=into), far_from_fraction(divided, holdout, into=into))
