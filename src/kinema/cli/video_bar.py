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
    from kinema.compute.environment import rank_and_world_from_outside
    from kinema.compute.progress import progress_bar

    rank, world = rank_and_world_from_outside()
    counts = manifest.columns.num_frames[manifest.rows][rank::world]
    by_frame = bool(len(counts)) and bool((counts > 0).all())  # else time is told by videos
    total = int((counts // step).sum()) if by_frame else len(counts)
    with progress_bar(total, word, shown=rank == 0, counts=False, speed_sec=120) as bar:
        seen = {"frames": 0, "videos": 0, "total": total}

        def advance(done: Advance) -> None:
            seen["frames"] += done.num_frames
            seen["videos"] += done.num_videos
            found = done.num_found if by_frame else bool(done.num_found)
            seen["total"] -= found  # what an earlier run did says nothing about the time left
            bar(done.num_frames if by_frame else done.num_videos - found)
            rate = f"  {seen['frames'] / bar.elapsed_sec:,.1f} frames/s" if bar.elapsed_sec else ""
            bar.show(f"{seen['videos']:,}/{len(counts):,} videos{rate}", total=seen["total"])

        yield advance
