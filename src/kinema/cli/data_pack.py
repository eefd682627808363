"""``kinema data pack``: copies of a data set's videos that are read fast at any frame."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.cli.bad_videos import print_bad, refuse_bad
from kinema.cli.video_bar import video_bar
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.derived.pack import PackResult


def pack(
    *,
    data: str,
    out: Path,
    short_side: int = 256,
    key_every: int = 8,
    crf: int = 20,
    shard_videos: int = 0,
    url: str = "",
    num_workers: int | None = None,
) -> None:
    """Re-encode every video of a data set for fast reading at any frame, with a manifest to train on.

    The same frames in the same order, upright, without sound, as H.264 with many key frames; segments are cut out. The
    same command again goes on after a stop. Started by torchrun or srun, each process takes its share. Videos that
    cannot be read are listed at the end, and the exit status is 1 then.

    Args:
        data: Manifest CSV, or a folder with one sub-folder of videos per class.
        out: Folder for the packed videos and their manifest.
        short_side: Shorter side in pixels, an even number; smaller videos keep theirs, and with 0 all do.
        key_every: Most frames from one key frame to the next; fewer read faster and take more room.
        crf: Quality, x264's constant rate factor: lower is better and larger, 0 lossless.
        shard_videos: Videos in each tar archive; 0 writes a file for each video.
        url: Where --out will be copied to, such as s3://bucket/ucf101; a second manifest NAME-remote.csv points there.
        num_workers: Processes; one for each core when not given, 0 works in one.
    """
    from kinema.data.manifest import Manifest
    from kinema.derived.pack import pack as pack_all

    manifest = Manifest.open(data)
    with video_bar(manifest, "packing") as advance:
        result = pack_all(
            manifest,
            out,
            short_side=short_side,
            key_every=key_every,
            crf=crf,
            shard_videos=shard_videos,
            url=url,
            num_workers=num_workers,
            progress=advance,
        )
    _report(result)
    refuse_bad(result.bad, num_good=result.num_videos, outcome="are packed")


def _report(result: PackResult) -> None:
    """Print what was done, and the bad videos as lines with tabs."""
    rate = f", {result.num_frames / result.seconds:,.0f} frames/s" if result.num_frames else ""
    print(
        f"{counted(result.num_videos, 'video')} packed ({result.num_found:,} of them before), "
        f"{counted(result.num_frames, 'frame')} in "
        f"{result.seconds:,.1f} s{rate}",
        file=sys.stderr,
    )
    print_bad(result.bad)
    if result.manifest is not None:
        print(
            f"{result.manifest}: use it in place of the original, such as: kinema train MODEL --data {result.manifest}"
        )
    if result.remote is not None:
        print(f"{result.remote}: the same for the copy on remote storage")
