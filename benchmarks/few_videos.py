"""Compare the linear probe with ways of fine-tuning on groups held out of a training list; the test list is never read.

    python benchmarks/few_videos.py weizmann.csv --every 3 --fold 0 --ways probe passes steps
    python benchmarks/few_videos.py tennis.csv --share 0.3 --fold 0 --ways probe steps
    python benchmarks/few_videos.py ucf101-split1.csv --groups 5 5 --fold 0 --ways probe frozen-3

Clips of 4 frames and 112 pixels, so that a run takes minutes with one thread (``OMP_NUM_THREADS=1``).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import kinema
from kinema import load
from kinema.data.hold_out import hold_out
from kinema.data.manifest import Manifest
from kinema.training.initial import preprocessing_of

SMALL: dict[str, Any] = {
    "data.crop_size": 112,
    "data.frames": 4,
    "data.num_workers": 0,
    "train.validate_on": "none",
    "train.save_minutes": 0.0,
}
STEPS = {"schedule.min_steps": 200, "optim.frozen_stages": 0}
WAYS: dict[str, dict[str, Any]] = {
    "passes": STEPS | {"schedule.min_steps": 0},
    "steps": STEPS,
    "frozen-2": STEPS | {"optim.frozen_stages": 2},
    "frozen-3": STEPS | {"optim.frozen_stages": 3},
    "from-probe": STEPS | {"optim.frozen_stages": 3},
    "rate-third": STEPS | {"optim.lr": 7e-4},
    "rate-triple": STEPS | {"optim.lr": 6e-3},
}
"""Ways of training, as changes of the recipe ``finetune``; ``from-probe`` starts from the linear probe."""


def held_out(manifest: Manifest, wish: argparse.Namespace) -> Manifest:
    """Divide the training videos into train and test, whole groups together."""
    training = manifest.select("train")
    if wish.share:
        return hold_out(training, wish.share, seed=wish.fold, into="test")
    groups = sorted(set(training.groups))
    if wish.every:
        tested = set(groups[wish.fold :: wish.every])
        return training.with_splits(["test" if group in tested else "train" for group in training.groups])
    split_of: dict[str, str] = {}
    rng, (few, tested_few) = np.random.default_rng(wish.fold), wish.groups
    for name in training.classes:
        own = sorted({record.group for record in training if record.label == name})
        for place, chosen in enumerate(rng.permutation(len(own)).tolist()):
            split_of[own[chosen]] = "train" if place < few else "test" if place < few + tested_few else ""
    used = [row for row, record in enumerate(training) if split_of[record.group]]
    part = training.select(indices=used)
    return part.with_splits([split_of[record.group] for record in part])


def try_way(way: str, model: str, divided: Manifest, folder: Path, *, seed: int) -> Path:
    """Fit in one way; gives back what to evaluate."""
    if way == "probe":
        network = load(f"{model}.imagenet")
        small = kinema.load_recipe("finetune").with_fields(SMALL)
        network.preprocessing = preprocessing_of(small.data, network.preprocessing)
        return kinema.probe(network, divided.select("train"), out=folder / way, protocol="uniform-5x1").path
    recipe = kinema.load_recipe("finetune").with_fields(SMALL | WAYS[way] | {"seed": seed})
    weights = try_way("probe", model, divided, folder / way, seed=seed) if way == "from-probe" else "imagenet"
    kinema.train(model, divided, recipe=recipe, weights=weights, out=folder / way / "run", quiet=True)
    return folder / way / "run" / "last.ckpt"


def main() -> None:
    """Try the ways that the command line names, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="manifest whose train videos are divided")
    divided = parser.add_mutually_exclusive_group(required=True)
    divided.add_argument("--share", type=float, help="hold out this share of every class, chosen by the fold")
    divided.add_argument("--every", type=int, help="hold out every N-th group, from the fold on")
    divided.add_argument(
        "--groups", type=int, nargs=2, help="groups of a class to train on and to hold out, drawn anew"
    )
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="tsn-efficientnetlite0")
    parser.add_argument("--ways", nargs="+", choices=["probe", *WAYS], default=["probe", "steps"])
    wish = parser.parse_args()
    manifest = held_out(Manifest.open(wish.data), wish)
    print(f"{manifest.name}: {manifest.count('train')} videos to train on, {manifest.count('test')} held out")
    for way in wish.ways:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            found = try_way(way, wish.model, manifest, Path(folder), seed=wish.seed)
            minutes = (time.monotonic() - start) / 60
            tables = [kinema.evaluate(found, manifest, protocol=name) for name in ("clip", "uniform-3x1")]
        scores = ", ".join(f"{table.meta['protocol']} {100 * table.top(1):.1f}" for table in tables)
        print(f"{way:>10}: top-1 {scores}; {minutes:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
