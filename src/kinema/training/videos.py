"""Which videos a run trains and validates on, and whether they can be used at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from kinema.data.bad_video import BadVideo
from kinema.data.dataset import open_record
from kinema.data.doubts import class_doubts, copy_doubts
from kinema.data.hold_out import far_from_fraction, hold_out
from kinema.data.scan import bad_videos_error, check
from kinema.errors import UserError, VideoError

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.specs.recipe import Recipe

MOST_COMPARED = 20_000
"""Files of larger data sets are not compared with one another before training; ``kinema data scan`` does that."""
HELD_OUT = 0.1
"""Fraction of the training videos that validates when the manifest has no such split."""


def videos_to_use(manifest: Manifest, recipe: Recipe, *, note: Callable[[str], None]) -> Manifest:
    """Reduce a manifest to the training and validation videos of a run.

    Args:
        manifest: Everything the user gave.
        recipe: Its ``train.validate_on`` names the split; where ``val`` is missing a fraction of the training videos is
            held out, whole groups together.
        note: Called with what the user should know.

    Raises:
        UserError: When there is nothing to train or validate on, or a video has no label.
    """
    if "train" not in manifest.splits:
        advice = "" if manifest.classes else "; to train, give labelled videos, such as a folder of class folders"
        splits = ", ".join(manifest.splits) or "none"
        raise UserError(f"{manifest.name} has no train videos; its splits are: {splits}{advice}")
    if len(manifest.classes) < 2:
        raise UserError(f"{manifest.name} has {len(manifest.classes)} class; training needs at least two")
    split = recipe.train.validate_on
    if split == "test" and "test" not in manifest.splits:
        raise UserError(f"{manifest.name} has no test videos to validate on; use --train.validate-on val or none")
    if split == "val" and "val" not in manifest.splits:
        try:
            manifest = hold_out(manifest, HELD_OUT, seed=recipe.seed)
        except UserError as error:
            reason = str(error).rstrip(".")
            raise UserError(f"{reason}; give it val videos, or train on all with --train.validate-on none") from None
        note(
            f"{manifest.name} has no val videos: {manifest.count('val')} of its train videos are held out to validate "
            "on (--train.validate-on none trains on all)"
        )
        far = far_from_fraction(manifest, HELD_OUT)
        if far:
            note(f"warning: {far}")
    used = manifest.select(indices=[row for row, record in enumerate(manifest) if record.split in ("train", split)])
    num_unlabelled = int(np.count_nonzero(used.labels < 0))
    if num_unlabelled:
        raise UserError(
            f"{manifest.name}: {num_unlabelled} videos to train or validate on have no label; name their classes in "
            "the column label, or leave the videos out"
        )
    return used


def doubts_before_training(manifest: Manifest) -> list[str]:
    """List what makes the scores of a run doubtful, such as a video in two splits, while that costs seconds at most.

    Args:
        manifest: Everything the user gave, test videos included.
    """
    doubts = class_doubts(manifest)
    if len(manifest) <= MOST_COMPARED:
        doubts = [*(doubt for doubt in copy_doubts(manifest) if doubt.is_serious), *doubts]
    return [f"warning: {doubt.text}" for doubt in doubts]


def unusable_videos(
    manifest: Manifest, recipe: Recipe, *, skip_bad: bool, progress: Callable[[int], None] | None = None
) -> list[BadVideo]:
    """Find the videos that cannot be decoded, before the first epoch rather than in its middle.

    Args:
        manifest: Videos that the run will read.
        recipe: Names the decoder and the number of processes.
        skip_bad: Return them instead of stopping.
        progress: Told how many more are done, again and again.

    Returns:
        Those videos.

    Raises:
        UserError: When there are any and ``skip_bad`` is off, the message lists them; or when videos are given where
            stored flow is wanted, the other way round, or other flow than is wanted.
    """
    manifest.validate(check_files=not skip_bad)
    with suppress(VideoError), open_record(manifest[0], backend=recipe.data.backend, flow=recipe.data.flow_input):
        pass  # one store stands for all, which kinema flow extract made alike; what is damaged is found below
    bad = check(manifest, num_workers=recipe.data.num_workers or None, progress=progress)
    if bad and not skip_bad:
        raise bad_videos_error(manifest, bad, "Repair or remove them, or train without them: --skip-bad")
    return bad
