"""How many training clips a second come out of the data part, and where the time goes.

    python benchmarks/loading.py [--data CSV|DIR] [--augmentation multi-scale] [--crop-size 112] [--workers 0 1 2]

Without ``--data`` it writes 24 videos of 320x240 pixels, 8 seconds each, into a temporary folder. Times of the parts
are those of one process; rates are the best of three passes, taken in turn.
"""

import argparse
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from kinema.data.dataset import ClipDataset, FittedScaling, open_record
from kinema.data.loader import build_loader
from kinema.data.manifest import Manifest, Record
from kinema.data.order import EpochOrder
from kinema.data.sampling import make_sampler
from kinema.data.scan import scan
from kinema.data.spec import AUGMENTATIONS, DataSpec
from kinema.data.transforms import make_augmentation


def write_videos(folder: Path, count: int = 24) -> None:
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (60, 80, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    (folder / "moving").mkdir()
    for video in range(count):
        with av.open(str(folder / "moving" / f"{video}.mp4"), "w") as output:
            stream = output.add_stream("libx264", rate=25, options={"g": "25", "preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for t in range(200):
                left, top = (video * 7 + t) % 320, (video * 5 + t // 2) % 240
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[top : top + 240, left : left + 320]))
                output.mux(stream.encode(frame))
            output.mux(stream.encode())


def spread_over(manifest: Manifest, count: int) -> Manifest:
    return manifest.select(indices=np.linspace(0, len(manifest) - 1, min(count, len(manifest))).astype(int))


def parts(dataset: ClipDataset) -> dict[str, float]:
    """Milliseconds of one clip: the whole, opening and decoding at the needed size, and the augmentation."""
    whole, decode = time.perf_counter(), 0.0
    for index in range(len(dataset)):
        dataset[0, index]
    whole = time.perf_counter() - whole
    augment = 0.0
    for index in range(len(dataset)):
        record: Record = dataset.manifest[index]
        rng = np.random.default_rng(index)
        start = time.perf_counter()
        with open_record(record) as decoder:
            decoder.scaling = FittedScaling(fit=dataset.augmentation.decode_size)
            pixels = decoder.frames_at(dataset.sampler.sample(len(decoder), rng=rng)[0]).pixels
        middle = time.perf_counter()
        dataset.augmentation(pixels, rng)
        decode, augment = decode + middle - start, augment + time.perf_counter() - middle
    return {
        name: 1e3 * value / len(dataset) for name, value in [("whole", whole), ("decode", decode), ("augment", augment)]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--augmentation", choices=AUGMENTATIONS, default="multi-scale")
    parser.add_argument("--crop-size", type=int, default=112)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--videos", type=int, default=96)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.data is None:
            write_videos(Path(folder))
        manifest = spread_over(Manifest.open(args.data or Path(folder)), args.videos)
        manifest, _ = scan(manifest, num_workers=2)
        short_side = (round(args.crop_size * 8 / 7), round(args.crop_size * 10 / 7))
        spec = DataSpec(
            frames=args.frames, augmentation=args.augmentation, crop_size=args.crop_size, short_side=short_side
        )
        dataset = ClipDataset(manifest, sampler=make_sampler(spec), augmentation=make_augmentation(spec))
        print(f"{manifest!r}\n{args.frames} frames, {args.augmentation}, {args.crop_size} pixels")
        parts(dataset)
        print("ms per clip:", ", ".join(f"{name} {value:.2f}" for name, value in parts(dataset).items()))
        best = dict.fromkeys(args.workers, 0.0)
        for epoch in range(3):
            for num_workers in args.workers:
                order = EpochOrder(len(manifest), batch_size=min(16, len(manifest)), seed=0, epoch=epoch)
                start = time.perf_counter()
                for _ in build_loader(dataset, order, num_workers=num_workers):
                    pass
                best[num_workers] = max(best[num_workers], len(manifest) / (time.perf_counter() - start))
        for num_workers, rate in best.items():
            print(f"{num_workers} workers: {rate:.1f} clips/s")


if __name__ == "__main__":
    main()
