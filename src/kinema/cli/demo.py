"""``kinema demo``: see a temporal network learn from video files what a per-frame network cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from kinema.data.manifest import Manifest
    from kinema.report.order_report import Contender

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
    import time

    from rich.console import Console

    from kinema.report.order_report import write_report

    start = time.perf_counter()
    notes = Console(stderr=True, highlight=False)
    manifest = _write_videos(out, seed, notes)
    contenders = [_train_and_score(network, manifest, out, seed, notes) for network in NETWORKS]
    commands = _next_commands(out, contenders[0].run, manifest)
    seconds = time.perf_counter() - start
    scores = write_report(out, contenders, _example_clips(manifest), seconds=seconds, commands=commands)
    _print_results(out, scores, commands, seconds)


def _write_videos(out: Path, seed: int, notes: Console) -> Manifest:
    from rich.progress import Progress

    from kinema.data.synthetic import make_reversible_shapes

    with Progress(console=notes, transient=True) as progress:
        task = progress.add_task("writing videos", total=None)
        manifest = make_reversible_shapes(
            out, seed=seed, on_written=lambda done, total: progress.update(task, completed=done, total=total)
        )
    parts = ", ".join(f"{len(manifest.select(split=split))} {split}" for split in ("train", "val", "test"))
    notes.print(f"{len(manifest)} H.264 videos of {len(manifest.classes)} classes in {out / 'videos'} ({parts})")
    return manifest


def _train_and_score(network: str, manifest: Manifest, out: Path, seed: int, notes: Console) -> Contender:
    from dataclasses import replace

    from kinema.evaluation.run import evaluate
    from kinema.recipes.demo import demo as demo_recipe
    from kinema.report.order_report import Contender
    from kinema.training.run import train

    folder = _free_folder(out / "runs", network)
    notes.print(f"training {network}-resnettiny in {folder}")
    run = train(f"{network}-resnettiny", manifest, recipe=replace(demo_recipe(), seed=seed), out=folder).path
    forward = evaluate(run, manifest, split="test")
    backward = evaluate(run, manifest, split="test", reverse=True)
    return Contender(network, run, forward, backward)


def _free_folder(parent: Path, name: str) -> Path:
    """First of ``name``, ``name-2``, ``name-3``, ... that does not exist, so that earlier runs stay as they are."""
    folder, number = parent / name, 1
    while folder.exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder


def _example_clips(manifest: Manifest) -> dict:
    from kinema.video.decoder import open_video

    clips = {}
    for record in manifest.select(split="test"):
        if record.label not in clips:
            with open_video(record.path) as video:
                clips[record.label] = video.frames_at(range(len(video))).pixels
    return {name: clips[name] for name in manifest.classes}


def _next_commands(out: Path, run: Path, manifest: Manifest) -> list[str]:
    import os
    import shlex

    kinema = "uv run kinema" if "UV" in os.environ else "kinema"
    video = next(iter(manifest.select(split="test"))).path
    checkpoint, video = shlex.quote(str(run)), shlex.quote(str(video))
    return [
        f"{kinema} predict {checkpoint} {video}",
        f"{kinema} train tsm-resnet18 --data FOLDER   # your own videos: one sub-folder for each class",
    ]


def _print_results(out: Path, scores: dict, commands: list[str], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from kinema.report.markdown import percent
    from kinema.report.order_report import COLUMNS, GUESSING, explanation, table_cells

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
    console.print(f"\nReport and plots: {out / 'report.md'} ({seconds:.0f} seconds in all). What to type next:\n")
    for command in commands:
        print(f"  {command}")
