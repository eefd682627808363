"""Reads one file by number with each of the readers: ``python reading.py READER`` answers requests, one JSON line each.

A request holds the path, how many frames the file shows and whether colours are to be compared. Every reader opens the
file once and is asked for every frame, in a shuffled order; the answer says what each picture showed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from marked_frames import Seen, read_marks

if TYPE_CHECKING:
    from kinema.video.decoder import Decoder


@dataclass(slots=True)
class Answer:
    """What a reader gave for one file.

    Attributes:
        count: Frames that it says the file has; -1 when it does not say.
        seen: What the picture at each index showed, by index; those that it refuses are missing.
        sequential: What the pictures showed that it gives when it reads from the first to the last.
        times_sec: Time of each frame in ``seen``'s order; empty when the reader tells none.
        fps: Its frame rate.
        segment: First and last frame of the seconds 1 to 2, for readers that know segments.
        other: Names of other ways of asking that gave other pictures.
        error: Why it gave nothing.
    """

    count: int = 0
    seen: dict[int, Seen] = field(default_factory=dict)
    sequential: list[Seen] = field(default_factory=list)
    times_sec: dict[int, float] = field(default_factory=dict)
    fps: float = 0.0
    segment: tuple[int, int] | None = None
    other: list[str] = field(default_factory=list)
    error: str = ""


MAX_ERROR = 60
"""Characters of an error's text that a cell has room for."""

Read = Callable[[Path, list[int], Callable[[np.ndarray], Seen]], Answer]


def shuffled(count: int) -> list[int]:
    """Every index once, in an order that jumps forward and back."""
    return np.random.default_rng(0).permutation(count).tolist()


# kinema


def kinema(backend: str) -> Read:
    """Read with kinema in every way it offers: frame by frame, at once, with a known count, with more threads."""

    def read(path: Path, indices: list[int], marks: Callable[[np.ndarray], Seen]) -> Answer:
        from kinema.errors import VideoError
        from kinema.video.decoder import open_video

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


# PyAV


def pyav_in_order(path: Path, indices: list[int], marks: Callable[[np.ndarray], Seen]) -> Answer:
    """Decode from the first frame to the last and count."""
    import av

    answer = Answer()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        answer.fps = float(stream.average_rate or 0)
        try:
            for number, frame in enumerate(container.decode(stream)):
                answer.seen[number] = marks(frame.to_ndarray(format="rgb24"))
                answer.times_sec[number] = frame.time if frame.time is not None else float("nan")
        except av.FFmpegError as error:
            answer.error = first_line(error)
    answer.count, answer.sequential = len(answer.seen), list(answer.seen.values())
    return answer


def pyav_by_seek(path: Path, indices: list[int], marks: Callable[[np.ndarray], Seen]) -> Answer:
    """Seek to index / frame rate, then decode up to that time, as tutorials do."""
    import av

    answer = Answer()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate, base = stream.average_rate or stream.guessed_rate, stream.time_base
        assert rate is not None
        assert base is not None
        answer.fps, answer.count = float(rate), stream.frames or -1
        for number in indices:
            target = int(number / rate / base) + (stream.start_time or 0)
            container.seek(target, stream=stream)
            for frame in container.decode(stream):
                if frame.pts is not None and frame.pts >= target:
                    answer.seen[number] = marks(frame.to_ndarray(format="rgb24"))
                    break
    answer.sequential = pyav_in_order(path, indices, marks).sequential
    return answer


# The others


def torchcodec(mode: str) -> Read:
    """Read with torchcodec."""

    def read(path: Path, indices: list[int], marks: Callable[[np.ndarray], Seen]) -> Answer:
        from torchcodec.decoders import VideoDecoder

        answer = Answer()
        video = VideoDecoder(str(path), dimension_order="NHWC", seek_mode=mode)
        answer.count, answer.fps = len(video), float(video.metadata.average_fps or 0)
        for number in indices:
            with _refusals(answer):
                frame = video.get_frame_at(number)
                answer.seen[number] = marks(frame.data.numpy())
                answer.times_sec[number] = frame.pts_seconds
        video = VideoDecoder(str(path), dimension_order="NHWC", seek_mode=mode)
        for number in range(len(video)):
            with _refusals(answer):
                answer.sequential.append(marks(video.get_frame_at(number).data.numpy()))
        return answer

    return read


def decord2(path: Path, indices: list[int], marks: Callable[[np.ndarray], Seen]) -> Answer:
    """Read with decord2."""
    from decord import VideoReader

    answer = Answer()
    video = VideoReader(str(path), num_threads=1)
    answer.count, answer.fps = len(video), float(video.get_avg_fps())
    for number in indices:
        with _refusals(answer):
            answer.seen[number] = marks(video[number].asnumpy())
            answer.times_sec[number] = float(video.get_frame_timestamp(number)[0])
    video = VideoReader(str(path), num_threads=1)
    for number in range(len(video)):
        with _refusals(answer):
            answer.sequential.append(marks(video[number].asnumpy()))
    return answer


def opencv(path: Path, indices: list[int], marks: Callable[[np.ndarray], Seen]) -> Answer:
    """Read with OpenCV, setting the position before every frame."""
    import cv2

    answer = Answer()
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        return Answer(error="does not open")
    answer.count, answer.fps = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS)
    for number in indices:
        video.set(cv2.CAP_PROP_POS_FRAMES, number)
        given, picture = video.read()
        if given:
            answer.seen[number] = marks(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            answer.times_sec[number] = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
    video = cv2.VideoCapture(str(path))
    while (answered := video.read())[0]:
        answer.sequential.append(marks(cv2.cvtColor(answered[1], cv2.COLOR_BGR2RGB)))
    return answer


@contextmanager
def _refusals(answer: Answer) -> Iterator[None]:
    """Let a reader refuse one frame and go on with the next."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError) as error:
        answer.error = first_line(error)
    except Exception as error:  # decord has errors of its own
        if type(error).__module__.split(".")[0] not in ("decord", "decord2"):
            raise
        answer.error = first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without the paths and places in it, and not all of a long one."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = re.sub(r"\[[^]]*\] ?|\S*/\S+:? ?|\w+\.\w+:\d+,? ?|^\w+, ", "", line).strip()
    return line if len(line) <= MAX_ERROR else line[:MAX_ERROR].rsplit(" ", 1)[0] + " …"


READERS: dict[str, Read] = {
    "kinema": kinema("pyav"),
    "kinema, torchcodec": kinema("torchcodec"),
    "PyAV, in order": pyav_in_order,
    "PyAV, seeking": pyav_by_seek,
    "torchcodec, exact": torchcodec("exact"),
    "torchcodec, approximate": torchcodec("approximate"),
    "decord2": decord2,
    "OpenCV": opencv,
}


def versions() -> str:
    """What is compared, in words."""
    import av
    import torchcodec as codec

    names = ("av", "torchcodec", "decord2", "opencv-contrib-python-headless")
    found = {name: version(name) for name in names}
    return (
        f"kinema {version('kinema')}, PyAV {found['av']} (FFmpeg {av.ffmpeg_version_info}), "
        f"torchcodec {found['torchcodec'].split('+')[0]} (FFmpeg {codec.ffmpeg_major_version}), "
        f"decord2 {found['decord2']}, OpenCV {found['opencv-contrib-python-headless']}"
    )


def read_with(reader: str, request: dict[str, Any]) -> Answer:
    """Answer one request."""

    def marks(picture: np.ndarray) -> Seen:
        return read_marks(picture, has_color=request["has_color"])

    try:
        return READERS[reader](Path(request["path"]), shuffled(request["count"]), marks)
    except Exception as error:
        return Answer(error=first_line(error))


def main() -> None:
    """Answer the requests on standard input."""
    for line in sys.stdin:
        print("answer:" + json.dumps(asdict(read_with(sys.argv[1], json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
