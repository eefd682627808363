"""Finding out whether videos can be read: all of every file, or just its beginning before a training run."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from kinema.data.bad_video import BadVideo
from kinema.data.dataset import has_own_rate
from kinema.data.manifest import Manifest, Record
from kinema.errors import MissingExtraError, StorageError, UserError, VideoError
from kinema.video.clock import TOLERANCE_SEC
from kinema.video.open import announce_backend, open_video
from kinema.wording import LISTED

Answer = TypeVar("Answer")
Progress = Callable[[int], None]
"""Is told how many more files are done."""

BATCH = 4096
"""Files handed to the threads at once; a million waiting tasks would need a gigabyte."""


class Measured(NamedTuple):
    """What decoding a whole video found.

    Attributes:
        num_frames: Frames that came out.
        fps: Their average rate.
        last_sec: When the last one is shown, in seconds from the file's beginning.
        num_damaged: Frames decoded in part only, lost, or with the time of another one.
    """

    num_frames: int
    fps: float
    last_sec: float
    num_damaged: int


@dataclass(frozen=True, eq=False)
class ScanResult:
    """What a scan found.

    Attributes:
        manifest: With ``num_frames``, ``fps`` and ``damaged`` filled in; rows of bad videos keep what they had.
        bad: Videos that cannot be decoded, and segments that begin after their video's end.
        damaged: Videos of which some frames are damaged; they can be read, the same way each time.
        recounted: Sentences about videos that had another number of frames before: cut short, or exchanged.
    """

    manifest: Manifest
    bad: list[BadVideo]
    damaged: list[BadVideo]
    recounted: list[str]

    def without_bad(self, *, strict: bool = False) -> Manifest:
        """The manifest without the videos that cannot be read, and with ``strict`` without damaged ones.

        Raises:
            UserError: Nothing is left.
        """
        return without(self.manifest, [*self.bad, *(self.damaged if strict else [])])


def scan(
    data: str | Path | Manifest, num_workers: int | None = None, *, progress: Progress | None = None
) -> ScanResult:
    """Decode every file of a data set from beginning to end, count frames, and find what cannot be read.

    A file that several rows name is decoded once. Frame folders carry no frame rate and keep the manifest's.

    Args:
        data: A manifest, its CSV, or a folder of videos.
        num_workers: How many files to decode at once; as many as there are cores by default. These are threads:
            decoding leaves Python's lock.
        progress: Called after each file.

    Raises:
        UserError: The manifest is wrong in itself.
        StorageError: Remote storage does not answer.
    """
    manifest = Manifest.open(data)
    manifest.validate(check_files=False)
    records = list(manifest)
    answers = _for_each(_paths(records), _measure, num_workers, progress)
    frames = np.array([record.num_frames for record in records], np.int64)
    num_damaged = np.array([record.damaged for record in records], np.int64)
    fps = np.array([record.fps for record in records], np.float64)
    bad, damaged = [], []
    for row, record in enumerate(records):
        answer = answers[record.path]
        if isinstance(answer, str):
            bad.append(BadVideo(record.video_id, record.path, answer))
            continue
        rate, last_sec = answer.fps, answer.last_sec
        if has_own_rate(record):
            rate, last_sec = record.fps, (answer.num_frames - 1) / record.fps
        frames[row], fps[row], num_damaged[row] = answer.num_frames, rate, answer.num_damaged
        if record.start - TOLERANCE_SEC > last_sec:
            reason = f"the segment starts at {record.start:g} s, the last frame is shown at {last_sec:.2f} s"
            bad.append(BadVideo(record.video_id, record.path, reason))
        if answer.num_damaged:
            reason = f"{answer.num_damaged:,} of {answer.num_frames:,} frames are damaged"
            damaged.append(BadVideo(record.video_id, record.path, reason))
    counted = manifest.with_counts(frames, fps, num_damaged)
    return ScanResult(counted, bad, damaged, _recounted(manifest, counted))


def _recounted(before: Manifest, after: Manifest) -> list[str]:
    """List the videos for which a scan found another number of frames than the manifest had: cut short, or exchanged.

    Args:
        before: The manifest that was scanned.
        after: What ``scan`` returned for it.
    """
    had, has = before.columns.num_frames, after.columns.num_frames
    rows = np.flatnonzero((had > 0) & (had != has)).tolist()
    return [
        f"{before[row].video_id}: {has[row]:,} frames can be decoded, the manifest had {had[row]:,}" for row in rows
    ]


def check(manifest: Manifest, num_workers: int | None = None, *, progress: Progress | None = None) -> list[BadVideo]:
    """Open every file of a manifest and decode its first frame; quick enough to do before each training run.

    Damage behind the first frame is not found; ``scan`` finds it.
    """
    records = list(manifest)
    answers = _for_each(_paths(records), _try_first_frame, num_workers, progress)
    return [
        BadVideo(record.video_id, record.path, answer)
        for record in records
        if (answer := answers[record.path]) is not None
    ]


def without(manifest: Manifest, bad: list[BadVideo]) -> Manifest:
    """Return the manifest without its bad videos.

    Raises:
        UserError: Nothing is left.
    """
    names = {(video.video_id, video.path) for video in bad}
    kept = [row for row, record in enumerate(manifest) if (record.video_id, record.path) not in names]
    if not kept:
        raise UserError(f"{manifest.name}: not one of the {len(manifest):,} videos can be read.")
    return manifest.select(indices=kept)


def bad_videos_error(manifest: Manifest, bad: list[BadVideo], advice: str) -> UserError:
    """Build the error that lists bad videos.

    Args:
        manifest: Where they are listed.
        bad: The videos; the first ones are named.
        advice: What to do about it, a sentence.
    """
    lines = [f"{manifest.name}: {len(bad):,} of {len(manifest):,} videos cannot be read:"]
    lines += [f"  - {video.video_id}: {video.path}: {video.reason}" for video in bad[:LISTED]]
    if len(bad) > LISTED:
        lines.append(f"  - and {len(bad) - LISTED:,} more")
    return UserError("\n".join([*lines, advice]))


def _paths(records: list[Record]) -> list[str]:
    return list(dict.fromkeys(record.path for record in records))


def _for_each(
    paths: list[str], work: Callable[[str], Answer], num_workers: int | None, progress: Progress | None
) -> dict[str, Answer | str]:
    """Do the work for each path in threads; the answer is the reason where a video cannot be read.

    Raises:
        StorageError: Remote storage does not answer.
        MissingExtraError: A package is missing.
    """

    def guarded(path: str) -> Answer | str:
        try:
            return work(path)
        except (StorageError, MissingExtraError):  # no fault of this video
            raise
        except VideoError as error:
            return error.reason
        except (OSError, ValueError) as error:
            return str(error)

    if paths:
        announce_backend(paths[0])
    answers: dict[str, Answer | str] = {}
    with ThreadPoolExecutor(num_workers or os.cpu_count() or 1) as threads:
        try:
            for first in range(0, len(paths), BATCH):
                batch = paths[first : first + BATCH]
                for path, answer in zip(batch, threads.map(guarded, batch), strict=True):
                    answers[path] = answer
                    if progress is not None:
                        progress(1)
        except BaseException:
            threads.shutdown(cancel_futures=True)  # do not decode thousands of files after Ctrl-C
            raise
    return answers


def _measure(path: str) -> Measured:
    with open_video(path) as video:
        num_frames = video.count_frames()
        return Measured(num_frames, video.fps, float(video.frame_times()[-1]), video.num_damaged)


def _try_first_frame(path: str) -> None:
    with open_video(path) as video:
        video.frames_at([0])
