"""How many videos a plan is about: counted in a manifest, looked up by a data set's name, or given."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kinema.data.manifest import Manifest
from kinema.data.sources.table import DATA_SETS, DataSet
from kinema.errors import UserError, unknown_name
from kinema.planning.estimate import VideoCounts
from kinema.specs.recipe import Recipe
from kinema.training.videos import HELD_OUT, videos_to_use

NUM_FILES = 200
"""Files of a manifest whose sizes are looked up."""


def find_videos(
    recipe: Recipe, *, data: str | Path | Manifest | None, dataset: str, num_videos: int
) -> tuple[VideoCounts, Manifest | None, str]:
    """Find out what a recipe would train on.

    Args:
        recipe: Says what is validated on.
        data: Manifest or folder.
        dataset: Name of a public data set, instead.
        num_videos: Number of training videos, instead.

    Returns:
        How many videos there are, the training videos where they are at hand, and where this comes from.

    Raises:
        UserError: Nothing is said although epochs are passes over the videos, or more than one thing is.
    """
    if sum(map(bool, (data, dataset, num_videos))) > 1:
        raise UserError("say once what the videos are: --data, --dataset or --videos")
    if data:
        return _from_manifest(recipe, Manifest.open(data))
    if dataset:
        return _from_known(recipe, dataset), None, f"videos: {_find_set(dataset).source}"
    if num_videos < 0 or (num_videos == 0 and not recipe.schedule.epoch_clips):
        raise UserError(
            f"{recipe.name} counts epochs in passes over the videos; say what they are: --data CSV, "
            "--dataset kinetics400 or --videos 240000"
        )
    explanation = "videos: as given; validation, test and size on disk are not counted without --data or --dataset"
    return VideoCounts(name="", num_train=num_videos, num_all=num_videos), None, explanation


def _from_manifest(recipe: Recipe, manifest: Manifest) -> tuple[VideoCounts, Manifest, str]:
    notes: list[str] = []
    used = videos_to_use(manifest, recipe, note=notes.append)
    where, training = recipe.train.validate_on, used.select("train")
    tested = manifest.count("test") or manifest.count("val")
    rows = np.unique(np.linspace(0, len(manifest) - 1, min(NUM_FILES, len(manifest))).astype(int))
    sizes = [size for size in (_num_bytes(Path(manifest[int(row)].path)) for row in rows) if size]
    frames = [record.num_frames for record in manifest if record.num_frames > 0]
    videos = VideoCounts(
        name=manifest.name,
        num_train=len(training),
        num_val=used.count(where) if where != "none" else 0,
        num_test=tested,
        num_classes=len(manifest.classes),
        mean_frames=sum(frames) / len(frames) if frames else 0.0,
        num_all=len(manifest),
        gb=len(manifest) * sum(sizes) / len(sizes) / 1e9 if sizes else 0.0,
    )
    return videos, training, "; ".join([f"videos: {manifest.name}, sizes of {len(sizes)} files", *notes])


def _from_known(recipe: Recipe, name: str) -> VideoCounts:
    known, where = _find_set(name), recipe.train.validate_on
    num_train, num_val = known.num_train, {"val": known.num_val, "test": known.num_test, "none": 0}[where]
    if where == "val" and not num_val:  # as a run does
        num_val = round(HELD_OUT * num_train)
        num_train -= num_val
    num_all = known.num_train + known.num_val + known.num_test
    return VideoCounts(
        name=name,
        num_train=num_train,
        num_val=num_val,
        num_test=known.num_test or known.num_val,
        num_classes=known.num_classes,
        mean_frames=known.duration_sec * known.fps,
        num_all=num_all,
        gb=num_all * known.video_mb / 1e3,
    )


def _find_set(name: str) -> DataSet:
    if name not in DATA_SETS:
        raise unknown_name("data set", name, DATA_SETS, "Others are given with --data or --videos.")
    return DATA_SETS[name]


def _num_bytes(path: Path) -> int:
    """Size of a video file, or of a folder of frames; 0 for what is not there."""
    if path.is_dir():
        return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
    return path.stat().st_size if path.is_file() else 0
