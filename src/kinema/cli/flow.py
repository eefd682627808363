"""``kinema flow extract``: the optical flow of a data set, stored for training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kinema.errors import UserError

if TYPE_CHECKING:
    from kinema.flow.extract import Advance, ExtractionResult


def extract(
    *,
    data: str,
    out: Path,
    method: Literal["tvl1", "farneback"] = "tvl1",
    backend: Literal["auto", "torch", "opencv"] = "auto",
    bound: float = 20.0,
    kind: Literal["jpeg", "video"] = "jpeg",
    step: int = 1,
    short_side: int = 256,
    num_workers: int | None = None,
    device: str = "auto",
) -> None:
    """Compute the optical flow of every video of a data set and store it, with a manifest to train on.

    The same command again goes on after a stop. Started by torchrun or srun, each process takes its share. Videos that
    cannot be read are listed at the end, and the exit status is 1 then.

    Args:
        data: Manifest CSV, or a folder with one sub-folder of videos per class.
        out: Folder for the stores, one file for each video, and their manifest.
        method: tvl1 or farneback.
        backend: torch (our own code, on CPU and GPU), opencv, or auto for torch where the method has it.
        bound: Displacement in pixels at which flow is clipped; stored in 8 bits.
        kind: jpeg (pairs of JPEGs in an archive, small) or video (lossless).
        step: Use every step-th frame only.
        short_side: Shorter side of the frames in pixels; smaller videos keep theirs, and with 0 all do.
        num_workers: Processes; one for each core when not given, 0 works in one.
        device: auto (all GPUs there are), cpu, cuda or cuda:N.
    """
    from kinema.data.manifest import Manifest
    from kinema.flow.extract import extract as extract_all

    manifest = Manifest.open(data)
    with _bar(manifest, step) as advance:
        result = extract_all(
            manifest,
            out,
            method=method,
            backend=backend,
            bound=bound,
            kind=kind,
            step=step,
            short_side=short_side,
            num_workers=num_workers,
            device=device,
            progress=advance,
        )
    _report(result)
    if result.bad:
        num_all = result.num_videos + len(result.bad)
        raise UserError(f"{len(result.bad):,} of {num_all:,} videos cannot be read; the others have their flow")


@contextmanager
def _bar(manifest: object, step: int) -> Iterator[Callable[[Advance], None]]:
    """Show videos, fields per second and time left on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from kinema.data.manifest import Manifest
    from kinema.launched import share_from_outside

    assert isinstance(manifest, Manifest)
    rank, world = share_from_outside()
    counts = manifest.columns.num_frames[manifest.rows][rank::world]
    by_field = bool(len(counts)) and bool((counts > 0).all())  # else time is told by videos
    console = Console(stderr=True)
    columns = (
        TextColumn("flow"),
        BarColumn(),
        TextColumn("{task.fields[videos]:,}/{task.fields[all]:,} videos"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    disable = not console.is_terminal or rank != 0
    with Progress(*columns, console=console, transient=True, disable=disable, speed_estimate_period=120) as bar:
        total = int((counts // step).sum()) if by_field else len(counts)
        task = bar.add_task("flow", total=total, videos=0, all=len(counts), rate="")
        shown = {"fields": 0, "videos": 0, "total": total}

        def advance(done: Advance) -> None:
            shown["fields"] += done.num_fields
            shown["videos"] += done.num_videos
            found = done.num_found if by_field else bool(done.num_found)
            shown["total"] -= found  # what an earlier run did says nothing about the time left
            bar.advance(task, done.num_fields if by_field else done.num_videos - found)
            elapsed = bar.tasks[0].elapsed or 0
            rate = f"{shown['fields'] / elapsed:,.1f} frames/s" if elapsed else ""
            bar.update(task, total=shown["total"], videos=shown["videos"], rate=rate)

        yield advance


def _report(result: ExtractionResult) -> None:
    """Print what was done, and the bad videos as lines with tabs."""
    rate = f", {result.num_fields / result.seconds:,.1f} frames/s" if result.num_fields else ""
    print(
        f"{result.num_videos:,} videos with flow ({result.num_found:,} of them from before), "
        f"{result.num_fields:,} fields computed in {result.seconds:,.1f} s{rate}",
        file=sys.stderr,
    )
    if result.bad:
        print("\n".join(["video_id\tpath\treason", *("\t".join(video) for video in result.bad)]))
    if result.manifest is not None:
        print(
            f"{result.manifest}: train with it, such as: kinema train MODEL --data {result.manifest} --data.flow NAME"
        )
