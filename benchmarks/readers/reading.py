"""Reads one file by number with each of the readers: ``python reading.py READER`` answers requests, one JSON line each.

A request holds the path, how many frames the file shows and whether colours are to be compared. Every reader opens the
file once and is asked for every frame, in a shuffled order; the answer says what each picture showed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from answers import Answer, Read, first_line
from kinema_reader import kinema
from marked_frames import Seen, read_marks


def shuffled(count: int) -> list[int]:
    """Every index once, in an order that jumps forward and back."""
    return np.random.default_rng(0).permutation(count).tolist()


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
