"""Packs a data set: small copies of its videos that are read fast at any frame, as files or in tar archives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kinema.compute.environment import rank_and_world_from_outside
from kinema.compute.task_pool import Send
from kinema.data.bad_video import BadVideo
from kinema.data.manifest import Manifest, Record
from kinema.derived.derive import Advance, Done, bad_videos, cores_to_use, derive
from kinema.derived.derived_manifest import file_name, manifest_name, refuse_other_data_set, write_derived_manifest
from kinema.derived.pack_video import Packing, pack_video, read_packed, refuse_difference
from kinema.derived.shards import VIDEO_SUFFIX, ShardTask, archived_videos, plan_shards
from kinema.errors import UserError, VideoError
from kinema.files import whole_file
from kinema.video.location import is_remote
from kinema.video.open import open_video


@dataclass(frozen=True)
class PackResult:
    """What packing has done.

    Attributes:
        manifest: The manifest of the packed videos; None when not one video could be read.
        remote: The manifest whose paths begin with the address that was given, if one was.
        bad: Videos that could not be read.
        num_videos: Videos of this process's share that are packed.
        num_found: Those of them that an earlier run had packed.
        num_frames: Frames packed now.
        seconds: How long it took.
    """

    manifest: Path | None
    remote: Path | None
    bad: list[BadVideo]
    num_videos: int
    num_found: int
    num_frames: int
    seconds: float


@dataclass(frozen=True)
class _FileTask:
    """Packs one video into a file of its own; what every process is given."""

    records: tuple[Record, ...]
    out: Path
    packing: Packing

    def __call__(self, number: int, worker: int, send: Send) -> None:
        record = self.records[number]
        target = self.out / file_name(record.video_id, VIDEO_SUFFIX)
        num_frames = self._num_packed(target, record) if target.exists() else 0
        if num_frames:
            send(Done(number, num_frames, found=True))
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_file(target) as part:
                num_frames = pack_video(
                    record, part, self.packing, advance=lambda count: send(Advance(num_frames=count))
                )
            with open_video(target, num_frames=num_frames) as video:
                video.frames_at([num_frames // 2])  # so that the copy is known before it is first read
        except VideoError as error:
            send(Done(number, reason=error.reason))
            return
        send(Done(number, num_frames))

    def _num_packed(self, target: Path, record: Record) -> int:
        """Frames of a packed video that is there already; 0 when it is damaged and has to be made again."""
        try:
            packed = read_packed(target)
        except VideoError:
            return 0
        refuse_difference(target, packed, self.packing, record)
        return packed.num_frames


def pack(
    data: str | Path | Manifest,
    out: str | Path,
    *,
    short_side: int = 256,
    key_every: int = 8,
    crf: int = 20,
    shard_videos: int = 0,
    url: str = "",
    num_workers: int | None = None,
    progress: Callable[[Advance], None] | None = None,
) -> PackResult:
    """Re-encode every video of a data set for fast reading at any frame, with a manifest to train on.

    Files and archives appear when they are complete, and those that an earlier run has finished stay as they are, so
    the same call again goes on after a stop. Several manifests of one data set, such as official splits, may be packed
    into one folder one after the other; a video that is there already is used again. Processes that torchrun or SLURM
    started share the videos out. A manifest with the labels and splits of ``data`` is written at the end; of several
    processes the last one's is complete. Segments (``start``, ``end``) are packed alone, so the new rows have none.

    Args:
        data: A manifest, its CSV, or a folder of class folders.
        out: Folder for the packed videos and their manifest.
        short_side: Largest shorter side in pixels, an even number; smaller videos keep theirs, and with 0 all do.
        key_every: Most frames from one key frame to the next; fewer read faster and take more room.
        crf: x264's constant rate factor, 0 (lossless) to 51.
        shard_videos: Videos in each tar archive; 0 writes a file for each video.
        url: Where the folder will be copied to, such as ``s3://bucket/ucf101``; a second manifest points there.
        num_workers: Processes; 0 works in this one, None takes one for each core.
        progress: Told what has been done, again and again.

    Raises:
        UserError: What is given is wrong, ``out`` holds videos packed otherwise, or the disk is full.
    """
    start = time.monotonic()
    packing = Packing(short_side=short_side, key_every=key_every, crf=crf)
    manifest, out = Manifest.open(data), Path(out)
    manifest.validate(check_files=False)
    _check(manifest, out, shard_videos, url)
    out.mkdir(parents=True, exist_ok=True)
    name = manifest_name(manifest, "packed.csv")
    task, num_tasks = _task(manifest, out, packing, Path(name).stem, shard_videos)
    records = task.records
    if num_workers is None:
        num_workers = cores_to_use()
    done, num_frames = derive(task, num_tasks, records, out, what="packing", num_workers=num_workers, progress=progress)
    bad = bad_videos(records, done)
    written = write_derived_manifest(
        manifest,
        out / name,
        find_all=lambda: archived_videos(manifest, out) if shard_videos else _packed_files(manifest, out),
        read=lambda record, path: _row(record, out, path),
    )
    remote = _write_remote(written, url) if written and url else None
    num_found = sum(answer.found for answer in done.values())
    seconds = time.monotonic() - start
    return PackResult(written, remote, bad, len(done) - len(bad), num_found, num_frames, seconds)


def _task(
    manifest: Manifest, out: Path, packing: Packing, name: str, shard_videos: int
) -> tuple[ShardTask | _FileTask, int]:
    """The work of this process on its part of the videos, and into how many pieces it falls."""
    rank, world = rank_and_world_from_outside()
    if not shard_videos:
        records = tuple(manifest)[rank::world]
        return _FileTask(records, out, packing), len(records)
    shards = plan_shards(manifest, out, name, shard_videos)[rank::world]
    records = tuple(manifest[row] for shard in shards for row in shard.rows)
    return ShardTask(shards, records, out, packing), len(shards)


def _check(manifest: Manifest, out: Path, shard_videos: int, url: str) -> None:
    refuse_other_data_set(manifest, out, manifest_name(manifest, "packed.csv"), "packed videos")
    if shard_videos < 0:
        raise UserError(f"--shard-videos must be 0 or more; given {shard_videos}")
    if url and not is_remote(url):
        raise UserError(f"--url must begin with a protocol, such as s3://bucket/folder; given {url}")
    if manifest.root.absolute() == out.absolute() and manifest.source.lower().endswith(".csv"):
        raise UserError(f"{out} holds the manifest {manifest.name} itself, which would be replaced; give another --out")


def _packed_files(manifest: Manifest, out: Path) -> dict[str, str]:
    """Paths of the packed videos that are complete, relative to ``out``, by their ids."""
    names = {video_id: file_name(video_id, VIDEO_SUFFIX) for video_id in manifest.video_ids}
    return {video_id: name for video_id, name in names.items() if (out / name).exists()}


def _row(record: Record, out: Path, path: str) -> Record | None:
    """The row of a packed video; None when it is damaged."""
    try:
        packed = read_packed(out / path)
    except VideoError:
        return None
    nowhere = float("nan")  # a packed video holds its segment only
    return record._replace(
        path=path, num_frames=packed.num_frames, fps=packed.fps, start=nowhere, end=nowhere, damaged=0
    )


def _write_remote(written: Path, url: str) -> Path:
    """Write a manifest whose paths lead to remote storage."""
    local, target = Manifest.read(written), written.with_name(f"{written.stem}-remote.csv")
    paths = local.columns.path.take(local.rows)
    records = [record._replace(path=f"{url.rstrip('/')}/{path}") for record, path in zip(local, paths, strict=True)]
    remote = Manifest.from_records(records, classes=local.classes, root=written.parent, no_flip=local.no_flip)
    remote.write(target)
    return target
