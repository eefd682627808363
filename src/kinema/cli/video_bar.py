"""The progress bar of work that goes through a data set video by video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.derived.derive import Advance


@contextmanager
def video_bar(manifest: Manifest, word: str, *, step: int = 1) -> Iterator[Callable[[Advance], None]]:
    """Show videos, frames per second and time left on standard error, where that is a terminal.

    Args:
        manifest: The videos; of several processes, each shows its share of them.
        word: What is made of them.
        step: Of how many frames one is used.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from kinema.compute.environment import rank_and_world_from_outside

    rank, world = rank_and_world_from_outside()
    counts = manifest.columns.num_frames[manifest.rows][rank::world]
    by_frame = bool(len(counts)) and bool((counts > 0).all())  # else time is told by videos
    console = Console(stderr=True)
    columns = (
        TextColumn(word),
        BarColumn(),
        TextColumn("{task.fields[videos]:,}/{task.fields[all]:,} videos"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    disable = not console.is_terminal or rank != 0
    with Progress(*columns, console=console, transient=True, disable=disable, speed_estimate_period=120) as bar:
        total = int((counts // step).sum()) if by_frame else len(counts)
        task = bar.add_task(word, total=total, videos=0, all=len(counts), rate="")
        shown = {"frames": 0, "videos": 0, "total": total}

        def advance(done: Advance) -> None:
            shown["frames"] += done.num_frames
            shown["videos"] += done.num_videos
            found = done.num_found if by_frame else bool(done.num_found)
            shown["total"] -= found  # what an earlier run did says nothing about the time left
            bar.advance(task, done.num_frames if by_frame else done.num_videos - found)
            elapsed = bar.tasks[0].elapsed or 0
            rate = f"{shown['frames'] / elapsed:,.1f} frames/s" if elapsed else ""
            bar.update(task, total=shown["total"], videos=shown["videos"], rate=rate)

        yield advance
