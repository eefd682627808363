"""How long reading clips takes: ours against decoding from the start, torchcodec and OpenCV.

    python benchmarks/decoding.py [--data DIR] [--rounds N]

Every reader opens the file, reads the frames of one clip (8 uniform, or 32 with stride 2 from a random start) at short
side 128 or at full size, and closes it; the readers take turns in one process. The table shows medians in milliseconds
of processor time and, in brackets, the time relative to ours, whose files are known as from the second epoch on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import av
import cv2
import numpy as np

from kinema.video.open import open_video

NUM_FRAMES, HEIGHT, WIDTH, FPS = 300, 256, 340, 30
VIDEO_SUFFIXES = {".mp4", ".avi", ".mkv", ".webm"}

Reader = Callable[[Path, np.ndarray, int], np.ndarray]


def write_clip(path: Path, gop: int, noise: float = 3.0) -> Path:
    """Write 10 s of drifting texture with camera noise, in levels of 255."""
    rng = np.random.default_rng(gop)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT * 2, WIDTH * 2, 3), np.uint8), (0, 0), 6)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "medium"})
        stream.height, stream.width, stream.pix_fmt, stream.codec_context.gop_size = HEIGHT, WIDTH, "yuv420p", gop
        for number in range(NUM_FRAMES):
            y, x = (int(100 * (1 + np.sin(number / speed))) for speed in (17, 29))
            grain = rng.normal(0, noise, (HEIGHT, WIDTH, 3))
            picture = np.clip(texture[y : y + HEIGHT, x : x + WIDTH] + grain, 0, 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def ours(path: Path, indices: np.ndarray, short_side: int, *, known: int | None) -> np.ndarray:
    """Read with ``open_video``; ``known`` is the number of frames that a manifest would give."""
    with open_video(path, short_side=short_side or None, num_frames=known) as video:
        if known is None:
            len(video)
        return video.frames_at(indices).pixels


def from_start(path: Path, indices: np.ndarray, short_side: int) -> np.ndarray:
    """Decode with PyAV from the first frame to the last one wanted."""
    wanted, pictures = set(indices.tolist()), {}
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                height, width = scaled(frame.height, frame.width, short_side)
                pictures[number] = frame.to_ndarray(format="rgb24", width=width, height=height, threads=1)
            if number >= max(wanted):
                break
    return np.stack([pictures[index] for index in indices.tolist()])


def opencv(path: Path, indices: np.ndarray, short_side: int) -> np.ndarray:
    """Read with OpenCV, decoding from the first frame because its seeking is not exact everywhere."""
    capture = cv2.VideoCapture(str(path))
    pictures, number = {}, -1
    for index in indices.tolist():
        while number < index and capture.grab():
            number += 1
        _, picture = capture.retrieve()
        height, width = scaled(*picture.shape[:2], short_side)
        pictures[index] = cv2.cvtColor(cv2.resize(picture, (width, height)), cv2.COLOR_BGR2RGB)
    capture.release()
    return np.stack([pictures[index] for index in indices.tolist()])


def by_torchcodec(path: Path, indices: np.ndarray, short_side: int) -> np.ndarray:
    """Read with torchcodec in its exact mode."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        size = scaled(stream.height, stream.width, short_side)
    reader = VideoDecoder(str(path), dimension_order="NHWC", transforms=[Resize(size)] if short_side else None)
    return reader.get_frames_at(indices.tolist()).data.numpy()


def scaled(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width with the given short side; 0 keeps them."""
    factor = short_side / min(height, width) if short_side else 1
    return round(height * factor), round(width * factor)


def readers() -> dict[str, Reader]:
    """Everything that loads here, ours first."""
    table: dict[str, Reader] = {
        "ours": lambda path, indices, side: ours(path, indices, side, known=counts(path)),
        "ours, not scanned": lambda path, indices, side: ours(path, indices, side, known=None),
        "PyAV from start": from_start,
        "OpenCV": opencv,
    }
    try:
        import_module("torchcodec.decoders")
    except (ImportError, OSError, RuntimeError) as error:
        print(f"torchcodec does not load: {str(error).splitlines()[0]}")
    else:
        table["torchcodec"] = by_torchcodec
    return table


_COUNTS: dict[Path, int] = {}


def counts(path: Path) -> int:
    """The number of frames, counted once."""
    if path not in _COUNTS:
        with open_video(path) as video:
            _COUNTS[path] = video.count_frames()
    return _COUNTS[path]


def clip_indices(kind: str, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Frame indices of one training clip."""
    if kind == "uniform 8":
        return ((np.arange(8) + rng.random()) * num_frames / 8).astype(np.int64)
    start = rng.integers(0, max(1, num_frames - 64))
    return np.minimum(start + 2 * np.arange(32), num_frames - 1)


def measure(paths: list[Path], kind: str, short_side: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of every reader over ``rounds`` clips, taking turns."""
    table, rng = readers(), np.random.default_rng(0)
    spent: dict[str, list[float]] = {name: [] for name in table}
    for number in range(rounds + 1):
        path = paths[number % len(paths)]
        indices = clip_indices(kind, counts(path), rng)
        for name, read in table.items():
            begin = time.process_time()
            read(path, indices, short_side)
            if number:  # the first round warms up
                spent[name].append((time.process_time() - begin) * 1000)
    return {name: statistics.median(times) for name, times in spent.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of videos to measure too")
    parser.add_argument("--rounds", type=int, default=20, help="clips per row")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KINEMA_VIDEO_INDEX"] = f"{folder}/videos.sqlite3"
        sources = {f"gop {gop}": [write_clip(Path(folder) / f"{gop}.mp4", gop)] for gop in (12, 250)}
        if options.data:
            files = [path for path in sorted(options.data.rglob("*")) if path.suffix in VIDEO_SUFFIXES]
            sources[options.data.name] = files[:: max(1, len(files) // options.rounds)]
        for source, paths in sources.items():
            for kind in ("uniform 8", "dense 32x2"):
                for short_side in (128, 0):
                    medians = measure(paths, kind, short_side, options.rounds)
                    cells = (f"{name} {ms:.1f} ({ms / medians['ours']:.2f})" for name, ms in medians.items())
                    print(f"{source:12} {kind:10} side {short_side or 'full':>4} | " + " | ".join(cells))


if __name__ == "__main__":
    main()
