"""The comparison of ``kinema demo``: two networks on videos whose labels lie in the order of their frames."""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from kinema.data.manifest import Manifest
from kinema.demo.order_report import Contender, write_report
from kinema.demo.reversal import OrderScores
from kinema.evaluation.run import evaluate
from kinema.shapes import Pixels
from kinema.specs.recipe import Recipe
from kinema.training.run import train
from kinema.video.open import open_video

NETWORKS = ("tsm", "tsn")

log = logging.getLogger("kinema")


@dataclass(frozen=True, eq=False)
class DemoResult:
    """The result of the comparison.

    Attributes:
        scores: What each network knows of the order of frames, by its name.
        report: The page about it, with pictures beside it.
        commands: What to type next.
        seconds: How long everything took.
    """

    scores: dict[str, OrderScores]
    report: Path
    commands: list[str]
    seconds: float


def compare_networks(manifest: Manifest, out: Path, *, recipe: Recipe, seconds: float = 0.0) -> DemoResult:
    """Train a network that sees the order of frames and one that does not, and test both forward and in reverse.

    Args:
        manifest: From ``make_reversible_shapes``.
        out: Folder for the runs, the plots, ``report.md`` and ``results.json``.
        recipe: How both networks are trained.
        seconds: What the videos took to write, which the report counts in.
    """
    start = time.perf_counter() - seconds
    with _few_threads():
        contenders = [_train_and_score(network, manifest, out, recipe) for network in NETWORKS]
    commands = _next_commands(contenders[0].run, manifest)
    seconds = time.perf_counter() - start
    scores = write_report(out, contenders, _example_clips(manifest), seconds=seconds, commands=commands)
    return DemoResult(scores, out / "report.md", commands, seconds)


@contextmanager
def _few_threads() -> Iterator[None]:
    """Leave a core to the process that decodes; more than four threads do not help networks as small as these.

    With as many threads as cores beside a busy decoder, each of the thousands of short layers would wait for its
    slowest thread: measured ten times slower on two busy cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(4, before, (os.cpu_count() or 1) - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_and_score(network: str, manifest: Manifest, out: Path, recipe: Recipe) -> Contender:
    folder = _free_folder(out / "runs", network)
    log.info("training %s-resnettiny in %s", network, folder)
    run = train(f"{network}-resnettiny", manifest, recipe=recipe, out=folder).path
    workers = recipe.data.num_workers
    forward = evaluate(run, manifest, split="test", num_workers=workers)
    backward = evaluate(run, manifest, split="test", reverse=True, num_workers=workers)
    return Contender(network, run, forward, backward)


def _free_folder(parent: Path, name: str) -> Path:
    """First of ``name``, ``name-2``, ``name-3``, ... that does not exist, so that earlier runs stay as they are."""
    folder, number = parent / name, 1
    while folder.exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder


def _example_clips(manifest: Manifest) -> dict[str, Pixels]:
    clips = {}
    for record in manifest.select(split="test"):
        if record.label not in clips:
            with open_video(record.path) as video:
                clips[record.label] = video.frames_at(range(len(video))).pixels
    return {name: clips[name] for name in manifest.classes}


def _next_commands(run: Path, manifest: Manifest) -> list[str]:
    kinema = "uv run kinema" if "UV" in os.environ else "kinema"
    video = next(iter(manifest.select(split="test"))).path
    checkpoint, video = shlex.quote(str(run)), shlex.quote(str(video))
    return [
        f"{kinema} predict {checkpoint} {video}",
        f"{kinema} train tsm-resnet18 --data FOLDER   # your own videos: one sub-folder for each class",
    ]
