"""``kinema data scan`` and ``split``: a manifest checked against its videos, and divided."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from kinema.cli.bad_videos import print_bad
from kinema.cli.data_doubts import print_counts, print_doubts, print_manifests
from kinema.errors import UserError
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.data.scan import ScanResult


def scan(
    data: Positional[Path],
    *,
    out: Path | None = None,
    num_workers: int = 0,
    strict: bool = False,
    skip_bad: bool = False,
) -> None:
    """Decode every video completely, fill in num_frames and fps, and report all that cannot be read.

    Rows of bad videos stay in the manifest, without counts, and the exit status is 1, unless --skip-bad is given.
    Videos with damaged frames are listed; the column damaged counts these, and such videos are read from their start.

    Args:
        data: A manifest CSV, or a folder of videos.
        out: Where to write the manifest with its counts; by default over the CSV that was read. Counts of a folder
            are only written when this is given.
        num_workers: How many files to decode at once; 0 means one for each core.
        strict: Count videos with damaged frames as bad, and refuse a data set with a video in two splits or with two
            labels.
        skip_bad: Write the manifest without the videos that cannot be read.
    """
    from rich.console import Console

    from kinema.data.manifest import Manifest

    manifest = Manifest.open(data)
    target = out or (None if data.is_dir() else data)
    scanned, seconds = _scan_with_progress(manifest, num_workers or None)
    Console(stderr=True).print(
        f"{counted(len(manifest), 'video')} in {seconds:.1f} s, {len(manifest) / seconds:.1f} files/s"
    )
    _print_recounted(scanned.recounted)
    print_doubts(manifest, strict=strict)
    bad = [*scanned.bad, *(scanned.damaged if strict else [])]
    if scanned.damaged and not strict:
        print_bad(scanned.damaged, kind="damaged")
    if bad:
        print_bad(bad)
    with_counts = scanned.manifest
    if bad and skip_bad:
        with_counts = scanned.without_bad(strict=strict)
        Console(stderr=True).print(f"{len(bad):,} bad videos left out, {len(with_counts):,} are left")
    if target is not None:
        with_counts.write(target)
        print_manifests({target: with_counts})
    else:
        total = int(with_counts.columns.num_frames.sum())
        good = counted(len(manifest) - len(bad), "good video")
        print(f"{good} with {counted(total, 'frame')}; --out FILE.csv keeps the counts")
    if bad and not skip_bad:
        raise UserError(
            f"{len(bad):,} of {counted(len(manifest), 'video')} cannot be {'used' if strict else 'read'}; "
            "repair them, or leave them out: --skip-bad"
        )


def split(
    data: Positional[Path],
    *,
    holdout: float = 0.2,
    by: Literal["group", "video"] = "group",
    seed: int = 0,
    into: Literal["val", "test"] = "val",
    out: Path | None = None,
) -> None:
    """Hold out a fraction of every class of the training videos, whole groups at a time.

    Args:
        data: A manifest CSV, or a folder of class folders.
        holdout: The fraction to hold out, between 0 and 1.
        by: "group" keeps the videos of a group together; "video" ignores groups.
        seed: Decides which videos; the same seed gives the same answer.
        into: The split that receives the videos.
        out: The CSV to write; by default NAME-val.csv (or -test.csv) beside the one that was read.
    """
    from kinema.data.split import split as split_manifest

    if data.is_dir() and out is None:
        raise UserError("say where to write the manifest of a folder: --out FILE.csv")
    target = out or data.with_name(f"{data.stem}-{into}.csv")
    result = split_manifest(data, holdout, by=by, seed=seed, into=into)
    result.manifest.write(target)
    print_counts(result, into=into)
    print_manifests({target: result.manifest})


def _print_recounted(changed: list[str]) -> None:
    from kinema.wording import LISTED

    if changed:
        lines = [f"{len(changed):,} videos have another number of frames than before; some may be damaged:"]
        lines += [f"  - {text}" for text in changed[:LISTED]]
        lines += [f"  - and {len(changed) - LISTED:,} more"] if len(changed) > LISTED else []
        print("\n".join(lines), file=sys.stderr)


def _scan_with_progress(manifest: Manifest, num_workers: int | None) -> tuple[ScanResult, float]:
    """Scan, and say how many seconds that took, without those of starting."""
    import time

    from kinema.compute.progress import progress_bar
    from kinema.data.scan import scan as scan_manifest
    from kinema.video.open import announce_backend

    if len(manifest):
        announce_backend(manifest[0].path)

    with progress_bar(len(manifest), "scanning") as bar:

        def advance(num_files: int) -> None:
            bar(num_files)
            bar.show(f"{bar.per_sec:.1f} files/s" if bar.per_sec else "")

        start = time.monotonic()
        scanned = scan_manifest(manifest, num_workers, progress=advance)
        return scanned, time.monotonic() - start
