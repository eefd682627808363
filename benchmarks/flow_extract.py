"""Where the time of flow extraction goes: decoding, colour and resizing, flow, quantising and storing.

    python benchmarks/flow_extract.py VIDEO... [--short-side 256] [--max-frames 40] [--kind jpeg]

Runs what ``kinema flow extract`` runs for a video, with a clock around each part, for every method and backend, in one
process with one thread. Times on the CPU are processor seconds, so that other work on the machine does not count; on a
GPU they are wall seconds, and the share of flow is how busy one process keeps the GPU.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import av
import cv2
import torch

from kinema.data.manifest import Record
from kinema.derived import video_flow as one_video
from kinema.derived.video_flow import Extraction, extract_video
from kinema.flow import methods
from kinema.flow.methods import FlowMethod
from kinema.video.decoder import FLOW_SUFFIXES
from kinema.video.flow_writer import KINDS
from kinema.video.open import open_video

METHODS = (("tvl1", "torch"), ("tvl1", "opencv"), ("farneback", "opencv"), ("dis", "opencv"))


class Clocks:
    """Seconds by the name of the part; what runs inside another part counts for the inner one alone."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now, self.seconds, self._open = now, dict[str, float](), list[str]()
        self._since = 0.0

    def _charge(self) -> None:
        now = self.now()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def timed(self, name: str, function: Callable) -> Callable:
        def run(*arguments: object, **options: object) -> object:
            with self.part(name):
                return function(*arguments, **options)

        return run


def decoding_alone(video: Path, num_frames: int, now: Callable[[], float]) -> float:
    """Seconds that FFmpeg takes for the frames, one thread, no conversion to RGB."""
    start = now()
    with av.open(str(video)) as container:
        container.streams.video[0].thread_count = 1
        for number, _ in enumerate(container.decode(video=0), 1):
            if number == num_frames:
                break
    return now() - start


def measure(videos: list[Path], how: Extraction, device: str, max_frames: int) -> None:
    """Print one row of the table."""

    def now() -> float:
        if device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    clocks, num_fields, decoding = Clocks(now), 0, 0.0
    wrapped = (
        patch.object(methods, "grey", clocks.timed("colour and size", methods.grey)),
        patch.object(FlowMethod, "compute", clocks.timed("flow", FlowMethod.compute)),
        patch.object(one_video, "quantise", clocks.timed("quantise and store", one_video.quantise)),
    )
    with tempfile.TemporaryDirectory() as folder, wrapped[0], wrapped[1], wrapped[2]:
        for video in videos:
            with open_video(video) as decoder:
                kind, fps, num_frames = type(decoder), decoder.fps, min(max_frames, len(decoder))
            decoding += decoding_alone(video, num_frames, now)
            record = Record(video.stem, str(video), start=0.0, end=(num_frames - 0.5) / fps)
            read = clocks.timed("reading frames", kind.frames_at)
            target = Path(folder, video.stem + FLOW_SUFFIXES[how.kind])
            with patch.object(kind, "frames_at", read), clocks.part("quantise and store"):
                num_fields += extract_video(record, target, how, how.describe(video.stem), device=device)
    seconds = clocks.seconds
    total = sum(seconds.values())
    shares = {
        "decode": decoding,
        "colour and size": seconds["reading frames"] - decoding + seconds.get("colour and size", 0.0),
        "flow": seconds["flow"],
        "quantise and store": seconds["quantise and store"],
    }
    text = " | ".join(f"{100 * value / total:.0f} %" for value in shares.values())
    print(f"| {how.method} {how.backend} | {device} | {num_fields} | {num_fields / total:.1f} | {text} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--short-side", type=int, default=256)
    parser.add_argument("--max-frames", type=int, default=40)
    parser.add_argument("--kind", choices=KINDS, default="jpeg")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print("| method | device | fields | fields/s | decode | colour and size | flow | quantise and store |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for method, backend in METHODS:
        for device in ["cpu", "cuda"] if backend == "torch" and torch.cuda.is_available() else ["cpu"]:
            how = Extraction(
                method=method, backend=backend, bound=20.0, kind=options.kind, step=1, short_side=options.short_side
            )
            warm = FlowMethod(method, backend, methods.METHODS[method]())
            warm.compute(*torch.randint(0, 256, (2, 1, 3, 64, 64), dtype=torch.uint8), device=device)
            measure(options.videos, how, device, options.max_frames)


if __name__ == "__main__":
    main()
