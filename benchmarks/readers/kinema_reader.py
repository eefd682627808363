"""Reads one file with kinema in every way it offers, which must all give the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from answers import Answer, Read, first_line
from marked_frames import Seen

if TYPE_CHECKING:
    from kinema.video.decoder import Decoder


def kinema(backend: str) -> Read:
    """Read with kinema in every way it offers: frame by frame, at once, with a known count, with more threads."""

    def read(path: Path, indices: list[int], marks: Callable[[np.ndarray], Seen]) -> Answer:
        from kinema.errors import VideoError
        from kinema.video.open import open_video

        answer = Answer()
        with open_video(path, backend=backend) as video:
            for number in (number for number in indices if number < len(video)):
                try:
                    frames = video.frames_at([number])
                except VideoError as error:
                    answer.error = first_line(error)
                    continue
                answer.seen[number] = marks(frames.pixels[0])
                answer.times_sec[number] = float(frames.times_sec[0])
            answer.count, answer.fps = len(video), video.fps
        with open_video(path, backend=backend) as video:
            counted = video.count_frames()
            answer.sequential = [marks(picture) for chunk in video.iter_frames() for picture in chunk.pixels]
        if counted != answer.count:
            answer.other.append(f"a full decode counts {counted}")
        jumping = [number for number in indices if number < counted]
        ways = ((jumping, counted, 1), (jumping, None, 4), (jumping, counted, 4), (list(range(counted)), None, 1))
        for order, known, threads in ways:
            with open_video(path, backend=backend, num_frames=known, threads=threads) as video:
                changed = _changed(video, order, answer, marks)
            if changed is not None:
                answer.other.append(
                    f"frame {changed} with {threads} threads, count {known or 'unknown'}, from {order[0]} on"
                )
        answer.segment = _segment(path, backend)
        return answer

    return read


def _changed(
    video: Decoder, indices: list[int], answer: Answer, marks: Callable[[np.ndarray], Seen], batch: int = 7
) -> int | None:
    """The first index that, asked for in a batch, gives another picture or time than ``answer`` has."""
    for first in range(0, len(indices), batch):
        numbers = indices[first : first + batch]
        frames = video.frames_at(numbers)
        for number, picture, time in zip(numbers, frames.pixels, frames.times_sec, strict=True):
            known = answer.seen.get(number)
            if known is None or marks(picture).digest != known.digest or abs(time - answer.times_sec[number]) > 1e-6:
                return number
    return None


def _segment(path: Path, backend: str) -> tuple[int, int] | None:
    """First and last frame of the seconds 1 to 2 in a manifest's row."""
    from kinema.data.dataset import frame_range, open_record
    from kinema.data.manifest import Record
    from kinema.errors import VideoError

    record = Record(video_id="a", path=str(path), label="a", split="train", start=1.0, end=2.0)
    try:
        with open_record(record, backend=backend) as video:
            span = frame_range(record, video)
    except VideoError:
        return None
    return span.start, span.stop - 1
