"""Size and reading speed of stored flow, both kinds: python benchmarks/flow_store.py VIDEO... [--method farneback].

Speeds are per second of processor time of one core, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from kinema.data.manifest import Record
from kinema.derived.video_flow import Extraction, extract_video
from kinema.flow.methods import find_method
from kinema.video.decoder import FLOW_SUFFIXES
from kinema.video.flow_writer import KINDS
from kinema.video.open import open_video

STACK, CLIP = 10, 64


def per_second(read: Callable[[Path], int], paths: list[Path], least_sec: float = 2.0) -> float:
    """Fields that ``read`` gives per second of processor time."""
    num_fields, start = 0, time.process_time()
    while time.process_time() - start < least_sec:
        for path in paths:
            num_fields += read(path)
    return num_fields / (time.process_time() - start)


def main() -> None:
    """Print one row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--method", default="farneback")
    parser.add_argument("--bound", type=float, default=20.0)
    parser.add_argument("--max-frames", type=int, default=0)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)

    def stack(path: Path) -> int:
        with open_video(path) as store:
            start = int(rng.integers(0, max(1, len(store) - STACK + 1)))
            return len(store.frames_at(np.arange(start, min(start + STACK, len(store)))))

    def clip(path: Path) -> int:
        with open_video(path) as store:
            return len(store.frames_at(np.arange(min(CLIP, len(store)))))

    backend = find_method(arguments.method).backend
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            how = Extraction(
                method=arguments.method, backend=backend, bound=arguments.bound, kind=kind, step=1, short_side=0
            )
            paths, fields, seconds, size = [], 0, 0.0, (0, 0)
            for video in arguments.videos:
                path = Path(folder, video.stem + FLOW_SUFFIXES[kind])
                end = float("nan")
                if arguments.max_frames:
                    with open_video(video) as decoder:
                        end = arguments.max_frames / decoder.fps
                start = time.process_time()
                record = Record(video.stem, str(video), end=end, start=0.0 if end > 0 else float("nan"))
                fields += extract_video(record, path, how, how.describe(video.stem))
                seconds += time.process_time() - start
                paths.append(path)
                with open_video(path) as store:
                    size = store.size
            stored = sum(path.stat().st_size for path in paths)
            source = sum(path.stat().st_size for path in arguments.videos)
            print(
                f"{arguments.method} {backend} {kind} {size[1]}x{size[0]}: {len(paths)} videos, {fields} fields, "
                f"{stored / len(paths) / 1e6:.2f} MB per video ({source / len(paths) / 1e6:.2f} MB the video itself), "
                f"{stored / fields / 1e3:.1f} kB per field, extraction {fields / seconds:.1f} fields/s, "
                f"stacks of {STACK}: {per_second(stack, paths):.0f} fields/s, "
                f"clips of {CLIP}: {per_second(clip, paths):.0f} fields/s",
                flush=True,
            )


if __name__ == "__main__":
    main()
