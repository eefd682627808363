"""``kinema data make``, ``scan`` and ``split``: from annotation files to a checked manifest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from kinema.cli.bad_videos import print_bad
from kinema.errors import UserError

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.data.scan import BadVideo


def make(
    source: Positional[str],
    folder: Positional[Path | None] = None,
    *,
    out: Path,
    videos: Path | None = None,
    annotations: Path | None = None,
    classes: str = "",
    missing: Literal["error", "drop"] = "error",
) -> None:
    """Write manifests from the official annotation files of a data set, or from a folder of class folders.

    Data sets: ucf101, hmdb51, kinetics400, kinetics600, kinetics700, mini-kinetics-200, mini-kinetics-ibm,
    something-v1, something-v2, mini-ssv2, jester, moments, mini-mit, sports1m, imagenet. The source "folder" takes a
    folder DIR/CLASS/video, DIR/train/CLASS/video or DIR/video.

    Args:
        source: Name of the data set, or "folder".
        folder: The folder of videos, as --videos.
        out: Folder for the manifests, one for each official split; for the source "folder" the CSV file.
        videos: The folder of videos; they are found below it by name, whatever their extension.
        annotations: The folder of official annotation files; by default the folder of videos.
        classes: Only these classes: names with commas between, or a text file with one name on a line.
        missing: What to do when listed videos are not on disk.
    """
    from kinema.data.manifest_writer import write_manifests

    place = folder or videos
    if place is None or (folder and videos):
        raise UserError("say once where the videos are: kinema data make SOURCE --videos DIR --out OUT")
    if source == "folder":
        from kinema.data.folder import read_folder

        if classes or annotations:
            raise UserError("--classes and --annotations go with an official data set, not with the source 'folder'.")
        manifests = {out: read_folder(place)}
    else:
        if out.suffix.lower() == ".csv":
            raise UserError(f"--out must be a folder, {source} has its own file names; {out} was given.")
        manifests = _from_lists(source, place, annotations or place, _class_list(classes), missing, out)
    write_manifests(manifests)
    _print_manifests(manifests)


def scan(
    data: Positional[Path],
    *,
    out: Path | None = None,
    num_workers: int = 0,
    skip_bad: bool = False,
) -> None:
    """Decode every video completely, fill in num_frames and fps, and report all that cannot be read.

    Rows of bad videos stay in the manifest, without counts, and the exit status is 1, unless --skip-bad is given.

    Args:
        data: A manifest CSV, or a folder of videos.
        out: Where to write the manifest with its counts; by default over the CSV that was read. Counts of a folder
            are only written when this is given.
        num_workers: How many files to decode at once; 0 means one for each core.
        skip_bad: Write the manifest without the videos that cannot be read.
    """
    import time

    from rich.console import Console

    from kinema.data.manifest import Manifest
    from kinema.data.scan import recounted, without

    manifest = Manifest.open(data)
    manifest.validate(check_files=False)
    target = out or (None if data.is_dir() else data)
    start = time.monotonic()
    counted, bad = _scan_with_progress(manifest, num_workers or None)
    seconds = time.monotonic() - start
    Console(stderr=True).print(f"{len(manifest):,} videos in {seconds:.1f} s, {len(manifest) / seconds:.1f} files/s")
    _print_recounted(recounted(manifest, counted))
    if bad:
        print_bad(bad)
    if bad and skip_bad:
        counted = without(counted, bad)
        Console(stderr=True).print(f"{len(bad):,} bad videos left out, {len(counted):,} are left")
    if target is not None:
        counted.write(target)
        _print_manifests({target: counted})
    else:
        total = int(counted.columns.num_frames.sum())
        print(f"{len(manifest) - len(bad):,} good videos with {total:,} frames; --out FILE.csv keeps the counts")
    if bad and not skip_bad:
        raise UserError(
            f"{len(bad):,} of {len(manifest):,} videos cannot be read; mend them, or leave them out: --skip-bad"
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
    """Hold out a share of every class of the training videos, whole groups at a time.

    Args:
        data: A manifest CSV, or a folder of class folders.
        holdout: The share to hold out, between 0 and 1.
        by: "group" keeps the videos of a group together; "video" ignores groups.
        seed: Decides which videos; the same seed gives the same answer.
        into: The split that receives the videos.
        out: The CSV to write; by default NAME-val.csv (or -test.csv) beside the one that was read.
    """
    from kinema.data.folder import read_folder
    from kinema.data.manifest import Manifest
    from kinema.data.split import hold_out

    if data.is_dir() and out is None:
        raise UserError("say where to write the manifest of a folder: --out FILE.csv")
    manifest = read_folder(data, holdout=0.0) if data.is_dir() else Manifest.read(data)
    target = out or data.with_name(f"{data.stem}-{into}.csv")
    divided = hold_out(manifest, holdout, seed=seed, by_group=by == "group", into=into)
    divided.write(target)
    _print_manifests({target: divided})


def _from_lists(
    source: str, videos: Path, annotations: Path, classes: list[str], missing: str, out: Path
) -> dict[Path, Manifest]:
    from kinema.data.sources.make import MissingVideosError, make_manifests

    note = out / "missing.txt"
    try:
        made = make_manifests(source, videos=videos, annotations=annotations, classes=classes, missing=missing)
    except MissingVideosError as error:
        out.mkdir(parents=True, exist_ok=True)
        note.write_text("\n".join(error.missing) + "\n", encoding="utf-8")
        raise UserError(f"{error} All are listed in {note}.") from None
    if made.missing:
        out.mkdir(parents=True, exist_ok=True)
        note.write_text("\n".join(made.missing) + "\n", encoding="utf-8")
    else:
        note.unlink(missing_ok=True)
    return {out / f"{name}.csv": manifest for name, manifest in made.manifests.items()}


def _class_list(text: str) -> list[str]:
    """Names from the command line, or from a file, as some class names have commas in them."""
    if text and Path(text).is_file():
        text = Path(text).read_text(encoding="utf-8-sig")
        return [line.strip() for line in text.splitlines() if line.strip()]
    return [name.strip() for name in text.split(",") if name.strip()]


def _print_recounted(changed: list[str]) -> None:
    from kinema.data.validate import LISTED

    if changed:
        lines = [f"{len(changed):,} videos have another number of frames than before; some may be damaged:"]
        lines += [f"  - {text}" for text in changed[:LISTED]]
        lines += [f"  - and {len(changed) - LISTED:,} more"] if len(changed) > LISTED else []
        print("\n".join(lines), file=sys.stderr)


def _scan_with_progress(manifest: Manifest, num_workers: int | None) -> tuple[Manifest, list[BadVideo]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from kinema.data.scan import scan as scan_manifest
    from kinema.video.decoder import announce_backend

    if len(manifest):
        announce_backend(manifest[0].path)

    console = Console(stderr=True)
    columns = (
        TextColumn("scanning"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("scanning", total=len(manifest), rate="")

        def advance(num_files: int) -> None:
            bar.advance(task, num_files)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.1f} files/s" if speed else "")

        return scan_manifest(manifest, num_workers, progress=advance)


def _print_manifests(manifests: dict[Path, Manifest]) -> None:
    for path, manifest in manifests.items():
        counts = ", ".join(f"{name} {manifest.count(name):,}" for name in manifest.splits)
        print(f"{path}: {len(manifest):,} videos, {len(manifest.classes):,} classes, {counts}")
