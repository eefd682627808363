"""``kinema demo``: see a temporal network learn from video files what a per-frame network cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from kinema.data.manifest import Manifest
    from kinema.demo.order_report import Contender
    from kinema.demo.reversal import OrderScores
    from kinema.shapes import Pixels
    from kinema.specs.recipe import Recipe

NETWORKS = ("tsm", "tsn")


def demo(out: Path = Path("kinema-demo"), seed: int = 0) -> None:
    """Train two tiny networks on videos of moving shapes and show what only the temporal one learns.

    Writes 480 H.264 videos whose labels come in time-reversed pairs (moving left and right, growing and shrinking),
    trains tsm-resnettiny and tsn-resnettiny on them with one recipe, and evaluates both with the frames forward and
    reversed. Needs no network and no downloads, and takes about two minutes on two cores.

    Args:
        out: Folder for the videos, both runs, the plots, report.md and results.json.
        seed: Fixes the videos, the initial weights and the order of training.
    """
    from dataclasses import replace

    from kinema.demo.recipe import demo as demo_recipe

    run_demo(out, recipe=replace(demo_recipe(), seed=seed))


def run_demo(out: Path, *, recipe: Recipe, num_videos: int = 480, size: int = 64) -> dict[str, OrderScores]:
    """Do what ``kinema demo`` does, with a recipe and a number of videos of one's own.

    Args:
        out: Folder for everything.
        recipe: How both networks are trained; its seed also fixes the videos.
        num_videos: Videos to write, see ``make_reversible_shapes``.
        size: Side of the frames in pixels.

    Returns:
        The figures of each network by name.
    """
    import time

    from rich.console import Console

    from kinema.demo.order_report import write_report

    start = time.perf_counter()
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    manifest = _write_videos(out, notes, num_videos=num_videos, size=size, seed=recipe.seed)
    with _few_threads():
        contenders = [_train_and_score(network, manifest, out, recipe, notes) for network in NETWORKS]
    commands = _next_commands(contenders[0].run, manifest)
    seconds = time.perf_counter() - start
    scores = write_report(out, contenders, _example_clips(manifest), seconds=seconds, commands=commands)
    _print_results(out, scores, commands, seconds)
    return scores


@contextmanager
def _few_threads() -> Iterator[None]:
    """Leave a core to the process that decodes; more than four threads do not help networks as small as these.

    With as many threads as cores beside a busy decoder, each of the thousands of short layers would wait for its
    slowest thread: measured ten times slower on two busy cores.
    """
    import os

    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(4, before, (os.cpu_count() or 1) - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_videos(out: Path, notes: Console, *, num_videos: int, size: int, seed: int) -> Manifest:
    from rich.progress import Progress

    from kinema.demo.synthetic import make_reversible_shapes

    with Progress(console=notes, transient=True) as progress:
        task = progress.add_task("writing videos", total=num_videos)
        manifest = make_reversible_shapes(
            out,
            num_videos=num_videos,
            size=size,
            seed=seed,
            on_written=lambda done, _: progress.update(task, completed=done),
        )
    parts = ", ".join(f"{len(manifest.select(split=split))} {split}" for split in ("train", "val", "test"))
    notes.print(f"{len(manifest)} H.264 videos of {len(manifest.classes)} classes in {out / 'videos'} ({parts})")
    return manifest


def _train_and_score(network: str, manifest: Manifest, out: Path, recipe: Recipe, notes: Console) -> Contender:
    from kinema.demo.order_report import Contender
    from kinema.evaluation.run import evaluate
    from kinema.training.run import train

    folder = _free_folder(out / "runs", network)
    notes.print(f"training {network}-resnettiny in {folder}")
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
    from kinema.video.open import open_video

    clips = {}
    for record in manifest.select(split="test"):
        if record.label not in clips:
            with open_video(record.path) as video:
                clips[record.label] = video.frames_at(range(len(video))).pixels
    return {name: clips[name] for name in manifest.classes}


def _next_commands(run: Path, manifest: Manifest) -> list[str]:
    import os
    import shlex

    kinema = "uv run kinema" if "UV" in os.environ else "kinema"
    video = next(iter(manifest.select(split="test"))).path
    checkpoint, video = shlex.quote(str(run)), shlex.quote(str(video))
    return [
        f"{kinema} predict {checkpoint} {video}",
        f"{kinema} train tsm-resnet18 --data FOLDER   # your own videos: one sub-folder for each class",
    ]


def _print_results(out: Path, scores: dict[str, OrderScores], commands: list[str], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from kinema.demo.order_report import COLUMNS, GUESSING, explanation, table_cells
    from kinema.report.markdown import percent

    table = Table(title="Accuracy on test videos of scenes that were not trained on", title_justify="left")
    table.add_column("network")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for name, values in scores.items():
        table.add_row(f"{name}-resnettiny", *table_cells(values))
    table.add_row("guessing", *(percent(share) for share in GUESSING), style="dim")
    console = Console(highlight=False)
    console.print(table)
    console.print(explanation(scores["tsm"], scores["tsn"]))
    print(f"\nReport and plots: {out / 'report.md'} ({seconds:.0f} seconds in all). What to type next:\n")
    for command in commands:
        print(f"  {command}")
