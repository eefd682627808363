"""Training clips a second: ours against torchcodec, decord2 and OpenCV, on videos as they are and packed.

    python benchmarks/loading.py [--data CSV|DIR] [--crop-size 224] [--videos 24] [--rounds 24] [--seconds 10]

Without ``--data`` it writes 10 s of 340x256 H.264, 250 frames between key frames (x264's default). Every reader
opens the file, decodes the same frames, cuts out the same box, resizes it to the crop size and mirrors it when ours
does: torchcodec and decord2 with torchvision's transforms, OpenCV with its own. The pixels are compared first. Then

- one process, readers in turn clip by clip: median milliseconds of processor time for a clip, so that other work on the
  machine counts little; ``first`` is ours on files of which nothing is known yet, as in the first epoch of a data set
  that was never scanned here, ``ours`` that of all later epochs;
- two loading workers that join batches of 8 clips, readers in turn pass by pass: clips a second of processor time that
  the workers took, times two.

The number in brackets is the reader's divided by that of ours, for clips a second the other way round (above 1: ours is
faster); times are compared clip by clip. ``packed`` is ours on a copy made by ``kinema data pack`` with its defaults.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from decoding import write_clip
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional

from kinema.data.dataset import ClipDataset
from kinema.data.loader import build_loader
from kinema.data.manifest import Manifest, Record
from kinema.data.scan import scan
from kinema.data.transforms import make_augmentation
from kinema.derived.pack import pack
from kinema.specs.crop_boxes import Box, short_side_box
from kinema.specs.data import DataSpec
from kinema.specs.sampling import make_sampler
from kinema.video.open import open_video

CLIPS_A_PASS = 128
"""Read by two workers, so that starting them, some 0.3 s of processor time, counts little."""

OURS = ("ours", "packed", "first")

MEAN_TOLERANCE = 2.0
"""Largest mean difference of pixels, in levels of 255: readers round colours and positions differently."""

Read = Callable[[str, np.ndarray, Box, bool, int], torch.Tensor]


def by_torchcodec(path: str, frames: np.ndarray, box: Box, mirrored: bool, side: int, mode: str) -> torch.Tensor:
    from torchcodec.decoders import VideoDecoder

    pixels = VideoDecoder(path, seek_mode=mode).get_frames_at(frames.tolist()).data
    return with_torchvision(pixels, box, mirrored, side)


def by_decord(path: str, frames: np.ndarray, box: Box, mirrored: bool, side: int) -> torch.Tensor:
    from decord import VideoReader

    pixels = VideoReader(path, num_threads=1).get_batch(frames.tolist()).asnumpy()
    return with_torchvision(torch.from_numpy(pixels).permute(0, 3, 1, 2), box, mirrored, side)


def with_torchvision(pixels: torch.Tensor, box: Box, mirrored: bool, side: int) -> torch.Tensor:
    clip = functional.resized_crop(pixels, *box, [side, side])
    return (functional.horizontal_flip(clip) if mirrored else clip).transpose(0, 1)


def by_opencv(path: str, frames: np.ndarray, box: Box, mirrored: bool, side: int) -> torch.Tensor:
    capture, at = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]), -1
    clip = np.empty((len(frames), side, side, 3), np.uint8)
    for target, index in zip(clip, frames.tolist(), strict=True):
        while at < index and capture.grab():
            at += 1
        picture = capture.retrieve()[1][box.top : box.top + box.height, box.left : box.left + box.width]
        picture = cv2.cvtColor(cv2.resize(picture, (side, side)), cv2.COLOR_BGR2RGB)
        target[...] = cv2.flip(picture, 1) if mirrored else picture
    return torch.from_numpy(clip).permute(3, 0, 1, 2)


def others() -> dict[str, Read]:
    table: dict[str, Read] = {"OpenCV": by_opencv}
    for package, readers in {
        "torchcodec.decoders": {
            "torchcodec": lambda *clip: by_torchcodec(*clip, "exact"),
            "torchcodec approximate": lambda *clip: by_torchcodec(*clip, "approximate"),
        },
        "decord": {"decord2": by_decord},
    }.items():
        try:
            import_module(package)
            table |= readers
        except (ImportError, OSError, RuntimeError) as error:
            print(f"{package} is skipped, it does not load: {str(error).splitlines()[0]}")
    return table


class Ours(Dataset[torch.Tensor]):
    def __init__(self, dataset: ClipDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, item: tuple[int, int]) -> torch.Tensor:
        return self.dataset[item].clip


class First(Ours):
    """Ours on copies of the files, of which nothing is known when they are read."""

    @classmethod
    def of(cls, dataset: ClipDataset, folder: Path) -> First:
        folder.mkdir()
        copies = [str(shutil.copy(record.path, folder / f"{row}.mp4")) for row, record in enumerate(dataset.manifest)]
        records = [record._replace(path=copy) for record, copy in zip(dataset.manifest, copies, strict=True)]
        manifest = Manifest.from_records(records, classes=dataset.manifest.classes, root=folder)
        return cls(ClipDataset(manifest, sampler=dataset.sampler, augmentation=dataset.augmentation))

    def forget(self, row: int) -> None:
        os.utime(self.dataset.manifest[row].path)


class Theirs(Dataset[torch.Tensor]):
    """Another reader; frames, box and mirroring are drawn as in ours."""

    def __init__(self, dataset: ClipDataset, sizes: dict[str, tuple[int, int]], read: Read) -> None:
        self.dataset, self.sizes, self.read = dataset, sizes, read

    def __getitem__(self, item: tuple[int, int]) -> torch.Tensor:
        record, spec = self.dataset.manifest[item[1]], self.dataset.augmentation.spec
        rng = np.random.default_rng([self.dataset.seed, *item])
        frames = self.dataset.sampler.sample(record.num_frames, record.fps, rng)[0]
        box = short_side_box(self.sizes[record.path], spec, rng)
        return self.read(record.path, frames, box, rng.random() < 0.5, spec.crop_size)


def compare(original: Manifest, packed: Manifest, spec: DataSpec, rounds: int, seconds: float) -> None:
    """Check the pixels, then print both tables for one kind of clip."""
    sizes = {record.path: size_of(record) for record in original}
    dataset, small = (
        ClipDataset(manifest, sampler=make_sampler(spec), augmentation=make_augmentation(spec))
        for manifest in (original, packed)
    )
    table: dict[str, Dataset[torch.Tensor]] = {"ours": Ours(dataset), "packed": Ours(small)}
    table |= {name: Theirs(dataset, sizes, read) for name, read in others().items()}
    check(table, len(original))
    with tempfile.TemporaryDirectory() as scratch:
        print_times({"first": First.of(dataset, Path(scratch) / "copies"), **table}, rounds, len(original))
    if seconds:
        rates = worker_rates(table, len(original), seconds)
        cells = (f"{name} {rate:.1f} ({rates['ours'] / rate:.2f})" for name, rate in rates.items())
        print("  clips/s with 2 workers:      ", " | ".join(cells))
        theirs = max(rate for name, rate in rates.items() if name not in OURS)
        print(
            f"  against the best other one:   {', '.join(f'{n} x{rates[n] / theirs:.2f}' for n in OURS if n in rates)}"
        )


def print_times(table: dict[str, Dataset[torch.Tensor]], rounds: int, num_videos: int) -> None:
    """Measure and print what a clip takes in one process."""
    spent: dict[str, list[float]] = {name: [] for name in table}
    for number in range(rounds):
        for name, clips in table.items():
            row = number % num_videos
            if isinstance(clips, First):
                clips.forget(row)
            begin = time.process_time()
            clips[number, row]
            spent[name].append(1000 * (time.process_time() - begin))
    taken = {name: np.array(times) for name, times in spent.items()}
    over = {name: float(np.median(times / taken["ours"])) for name, times in taken.items()}
    cells = (f"{name} {np.median(times):.1f} ({over[name]:.2f})" for name, times in taken.items())
    print("  ms of processor time a clip: ", " | ".join(cells))
    ratios = {
        name: min(float(np.median(taken[other] / taken[name])) for other in taken if other not in OURS) for name in OURS
    }
    print(f"  against the best other one:   {', '.join(f'{name} x{ratio:.2f}' for name, ratio in ratios.items())}")


def check(table: dict[str, Dataset[torch.Tensor]], num_videos: int) -> None:
    """Compare the pixels of some clips with ours; those of packed copies have lost some detail."""
    differences = dict.fromkeys(table, 0.0)
    for row in range(0, num_videos, max(1, num_videos // 4)):
        wanted = table["ours"][0, row].float()
        for name, clips in table.items():
            differences[name] = max(differences[name], (clips[0, row].float() - wanted).abs().mean().item())
    print("  mean difference of pixels:   ", ", ".join(f"{name} {value:.2f}" for name, value in differences.items()))
    wrong = [name for name, value in differences.items() if name != "packed" and value > MEAN_TOLERANCE]
    if wrong:
        raise SystemExit(f"not the same pixels: {', '.join(wrong)}")


def worker_rates(table: dict[str, Dataset[torch.Tensor]], num_videos: int, seconds: float) -> dict[str, float]:
    """Clips a second of two workers that have a core each: passes in turn until each reader has had its seconds."""
    rates: dict[str, list[float]] = {name: [] for name in table}
    spent = dict.fromkeys(table, 0.0)
    epoch = 0
    while min(spent.values()) < seconds:
        epoch += 1
        for name, clips in table.items():
            keys = [(epoch, number % num_videos) for number in range(CLIPS_A_PASS)]
            batches = [keys[first : first + 8] for first in range(0, len(keys), 8)]
            begin = processor_sec()
            for _ in loader_of(clips, batches):
                pass
            taken = processor_sec() - begin  # workers have ended, so their time is counted
            spent[name] += taken
            rates[name].append(2 * len(keys) / taken)
    return {name: statistics.median(values) for name, values in rates.items()}


def loader_of(clips: Dataset[torch.Tensor], batches: list[list[tuple[int, int]]]) -> Iterable[object]:
    """Two workers that join clips into batches: the training loop's own for ours, torch's for the others."""
    if isinstance(clips, Ours):
        return build_loader(clips.dataset, batches, num_workers=2)
    return DataLoader(clips, batch_sampler=batches, num_workers=2, multiprocessing_context="fork")


def processor_sec() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def size_of(record: Record) -> tuple[int, int]:
    with open_video(record.path) as video:
        return video.size


def key_frame_distance(path: str) -> float:
    with av.open(path) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    return len(keys) / max(1, sum(keys))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--crop-size", type=int, default=224)
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=24, help="clips of each reader in one process")
    parser.add_argument("--seconds", type=float, default=8, help="processor time of each reader's workers; 0 for none")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["KINEMA_VIDEO_INDEX"] = f"{scratch}/videos.sqlite3"
        if args.data is None:
            (Path(scratch) / "moving").mkdir()
            write_clip(Path(scratch) / "moving" / "0.mp4", 250, noise=10)
        manifest = Manifest.open(args.data or Path(scratch))
        chosen = np.linspace(0, len(manifest) - 1, min(args.videos, len(manifest))).astype(int)
        original = scan(manifest.select(indices=chosen), num_workers=2).manifest
        begin = time.process_time()
        made = pack(original, Path(scratch) / "packed", num_workers=0)
        assert made.manifest is not None
        packed = Manifest.read(made.manifest)
        distance = statistics.mean(key_frame_distance(record.path) for record in original)
        print(
            f"{len(original)} videos of about {size_of(original[0])} pixels, {distance:.0f} frames from key frame to "
            f"key frame; packing made {made.num_frames / (time.process_time() - begin):.0f} frames a second of "
            f"processor time, {num_bytes(packed) / num_bytes(original):.2f} times the bytes"
        )
        short_side = (round(args.crop_size * 8 / 7), round(args.crop_size * 10 / 7))
        for name, frames, sampling, stride in (("uniform-8", 8, "uniform", 1), ("dense-32x2", 32, "dense", 2)):
            print(name)
            spec = DataSpec(
                frames=frames, sampling=sampling, stride=stride, short_side=short_side, crop_size=args.crop_size
            )
            compare(original, packed, spec, args.rounds, args.seconds)


def num_bytes(manifest: Manifest) -> int:
    return sum(Path(record.path).stat().st_size for record in manifest)


if __name__ == "__main__":
    main()
