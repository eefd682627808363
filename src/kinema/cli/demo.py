"""``kinema demo``: see a temporal network learn from video files what a per-frame network cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.demo.comparison import DemoResult
    from kinema.specs.recipe import Recipe


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


def run_demo(out: Path, *, recipe: Recipe, num_videos: int = 480, size: int = 64) -> None:
    """Do what ``kinema demo`` does, with a recipe and a number of videos of one's own.

    Args:
        out: Folder for everything.
        recipe: How both networks are trained; its seed also fixes the videos.
        num_videos: Videos to write, see ``make_reversible_shapes``.
        size: Side of the frames in pixels.
    """
    import time

    from kinema.demo.comparison import compare_networks

    start = time.perf_counter()
    manifest = _write_videos(out, num_videos=num_videos, size=size, seed=recipe.seed)
    _print(compare_networks(manifest, out, recipe=recipe, seconds=time.perf_counter() - start))


def _write_videos(out: Path, *, num_videos: int, size: int, seed: int) -> Manifest:
    from rich.console import Console

    from kinema.compute.progress import progress_bar
    from kinema.demo.synthetic import make_reversible_shapes

    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    with progress_bar(num_videos, "writing videos") as bar:
        manifest = make_reversible_shapes(
            out,
            num_videos=num_videos,
            size=size,
            seed=seed,
            on_written=lambda done, _: bar.show(completed=done),
        )
    parts = ", ".join(f"{len(manifest.select(split=split))} {split}" for split in ("train", "val", "test"))
    notes.print(f"{len(manifest)} H.264 videos of {len(manifest.classes)} classes in {out / 'videos'} ({parts})")
    return manifest


def _print(result: DemoResult) -> None:
    from rich.console import Console
    from rich.table import Table

    from kinema.demo.order_report import COLUMNS, GUESSING, explanation, table_cells
    from kinema.report.markdown import percent

    table = Table(title="Accuracy on test videos of scenes that were not trained on", title_justify="left")
    table.add_column("network")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for name, values in result.scores.items():
        table.add_row(f"{name}-resnettiny", *table_cells(values))
    table.add_row("guessing", *(percent(fraction) for fraction in GUESSING), style="dim")
    console = Console(highlight=False)
    console.print(table)
    console.print(explanation(result.scores["tsm"], result.scores["tsn"]))
    print(f"\nReport and plots: {result.report} ({result.seconds:.0f} seconds in all). What to type next:\n")
    for command in result.commands:
        print(f"  {command}")
