"""Making a file from every video of a data set, such as its flow; work that was stopped goes on where it was."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2

from kinema.compute.environment import local_ranks_from_outside
from kinema.compute.task_pool import Task, each_in_processes
from kinema.data.bad_video import BadVideo
from kinema.data.manifest import Record
from kinema.errors import UserError
from kinema.video.open import announce_backend

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Advance(NamedTuple):
    """What has happened since the last one, for a progress bar.

    Attributes:
        num_frames: Frames made, or fields of flow.
        num_videos: Videos that are done, now or by an earlier run.
        num_found: Frames of those that an earlier run had made.
    """

    num_frames: int = 0
    num_videos: int = 0
    num_found: int = 0


class Done(NamedTuple):
    """A video's end: how many frames its file has, whether they were there before, or why there is no file."""

    number: int
    num_frames: int = 0
    found: bool = False
    reason: str = ""


def derive(
    task: Task,
    num_tasks: int,
    records: Sequence[Record],
    out: Path,
    *,
    what: str,
    num_workers: int,
    spawn: bool = False,
    progress: Callable[[Advance], None] | None = None,
) -> tuple[dict[int, Done], int]:
    """Do all videos, dealt out to processes.

    Args:
        task: The work; sends a ``Done`` for every video and an ``Advance`` now and then.
        num_tasks: Into how many parts the work is divided.
        records: The videos, by the numbers of their ``Done``.
        out: Where files are written, for a message when its disk is full.
        what: What is made of a video, such as "flow".
        num_workers: Processes; 0 works in this one.
        spawn: Start fresh interpreters, as CUDA needs, instead of forking.
        progress: Told what has been done, again and again.

    Returns:
        What became of each video by its number, and how many frames were made now.

    Raises:
        UserError: The disk is full, or a process was killed.
    """
    done: dict[int, Done] = {}
    num_made = 0
    if records:
        announce_backend(records[0].path)
    with _with_full_disk_named(out, done, what, len(records)):
        messages = each_in_processes(
            task, num_tasks, num_workers=num_workers, spawn=spawn, prepare=_keep_opencv_to_one_thread
        )
        for message in messages:
            advance = message if isinstance(message, Advance) else Advance()
            if isinstance(message, Done):
                done[message.number] = message
                advance = Advance(num_videos=1, num_found=message.num_frames if message.found else 0)
            num_made += advance.num_frames
            if progress is not None:
                progress(advance)
    return done, num_made


def _keep_opencv_to_one_thread() -> None:
    cv2.setNumThreads(0)  # the processes are the parallelism


def bad_videos(records: Sequence[Record], done: dict[int, Done]) -> list[BadVideo]:
    """The videos that could not be read, in the order of the manifest."""
    reasons = [(records[number], answer.reason) for number, answer in sorted(done.items()) if answer.reason]
    return [BadVideo(record.video_id, record.path, reason) for record, reason in reasons]


def cores_to_use() -> int:
    """Cores that this process may use, the machine's divided by the processes that torchrun or srun started on it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // local_ranks_from_outside()[1])


@contextmanager
def _with_full_disk_named(out: Path, done: dict[int, Done], what: str, num_videos: int) -> Iterator[None]:
    """Say what a full disk means for the work so far."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        finished = sum(not answer.reason for answer in done.values())
        raise UserError(
            f"the disk of {out} is full ({error.strerror}); the {what} of {finished:,} of {num_videos:,} videos is "
            "complete and kept. Make room, then run the same command again: it goes on from there."
        ) from error
