"""``kinema flow extract``: the optical flow of a data set, stored for training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kinema.cli.bad_videos import print_bad, refuse_bad
from kinema.cli.video_bar import video_bar
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.derived.extract_flow import ExtractionResult


def extract(
    *,
    data: str,
    out: Path,
    method: Literal["tvl1", "farneback", "dis"] = "tvl1",
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
        method: tvl1, farneback, or dis, the quickest by far on a CPU.
        backend: torch (our own code, on CPU and GPU), opencv, or auto for torch where the method has it.
        bound: Displacement in pixels at which flow is clipped; stored in 8 bits.
        kind: jpeg (pairs of JPEGs in an archive, small) or video (lossless).
        step: Use every step-th frame only.
        short_side: Shorter side of the frames in pixels; smaller videos keep theirs, and with 0 all do.
        num_workers: Processes; one for each core when not given, 0 works in one.
        device: auto (all GPUs there are), cpu, cuda or cuda:N.
    """
    from kinema.data.manifest import Manifest
    from kinema.derived.extract_flow import extract_flow

    manifest = Manifest.open(data)
    with video_bar(manifest, "flow", step=step) as advance:
        result = extract_flow(
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
    refuse_bad(result.bad, num_good=result.num_videos, outcome="have their flow")


def _report(result: ExtractionResult) -> None:
    """Print what was done, and the bad videos as lines with tabs."""
    rate = f", {result.num_fields / result.seconds:,.1f} frames/s" if result.num_fields else ""
    print(
        f"{counted(result.num_videos, 'video')} with flow ({result.num_found:,} of them from before), "
        f"{counted(result.num_fields, 'field')} computed in {result.seconds:,.1f} s{rate}",
        file=sys.stderr,
    )
    print_bad(result.bad)
    if result.manifest is not None:
        print(
            f"{result.manifest}: train with it, such as: kinema train MODEL --data {result.manifest} --data.flow NAME"
        )
