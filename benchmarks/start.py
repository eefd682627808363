"""How much processor time commands take that have little to do: almost all of it is their start.

    OMP_NUM_THREADS=1 python benchmarks/start.py [--before DIR] [--rounds N] [--only NAME ...]

Each command runs in a process of its own, with whatever it starts; ``import torch`` alone is the yardstick. With
``--before`` the same commands of another checkout (which has its own ``.venv``) take turns with ours. The table shows
medians of processor seconds and, in brackets, how many times ``import torch`` of the same round they are.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from kinema.data.manifest import Manifest
from kinema.demo.synthetic import make_reversible_shapes

TINY = ["--epochs", "1", "--schedule.min-steps", "0", "--data.frames", "4", "--data.crop-size", "32"]
TINY += ["--data.short-side", "36", "36", "--device", "cpu"]


def commands(folder: Path, videos: Path) -> dict[str, list[str]]:
    """What is measured, by name; ``RUN`` stands for a new folder, ``TRAINED`` for a run that is there."""
    train = ["train", "tsm-resnettiny", "--recipe", "scratch", "--data", str(videos), "--out", "RUN", *TINY]
    return {
        "models 'tsm-*'": ["models", "tsm-*"],
        "train, ten clips": train,
        "train, ten clips, three processes": [*train, "--devices", "3"],
        "evaluate, two clips": ["evaluate", "TRAINED", "--data", str(videos), "--split", "val", "--out", "RUN.npz"],
        "predict, one clip": ["predict", "TRAINED", str(next(folder.rglob("*.mp4")))],
        "features, ten clips": ["features", "TRAINED", "--data", str(videos), "--out", "RUN.npz"],
    }


def ten_videos(folder: Path) -> Path:
    """Write a manifest of eight videos to train on and two to validate on."""
    shapes = make_reversible_shapes(folder, num_videos=80, size=64, num_frames=8)
    records = [*list(shapes.select("train"))[:8], *list(shapes.select("val"))[:2]]
    manifest = Manifest.from_records(records, classes=shapes.classes, root=folder)
    manifest.write(folder / "ten.csv")
    return folder / "ten.csv"


def processor_sec(words: list[str]) -> float:
    """Seconds of processor time of a command and of all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def filled(words: list[str], run: Path, trained: Path) -> list[str]:
    """The words of a command with its folders put in; what an earlier round has left in the new one goes."""
    shutil.rmtree(run, ignore_errors=True)
    return [word.replace("RUN", str(run)).replace("TRAINED", str(trained)) for word in words]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], help="beginnings of names of commands")
    options = parser.parse_args()
    pythons = {"ours": sys.executable}
    if options.before:
        pythons["before"] = str(options.before / ".venv" / "bin" / "python")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = ten_videos(folder / "videos")
        measured = commands(folder / "videos", videos)
        trained = folder / "trained"
        processor_sec([sys.executable, "-m", "kinema", *filled(measured["train, ten clips"], trained, trained)])
        chosen = [key for key in measured if not options.only or key.startswith(tuple(options.only))]
        seconds: dict[tuple[str, str], list[float]] = {}
        torch: list[float] = []
        for _ in range(options.rounds):
            torch.append(processor_sec([sys.executable, "-c", "import torch"]))
            for key in chosen:
                for who, python in pythons.items():
                    words = [python, "-m", "kinema", *filled(measured[key], folder / "run", trained)]
                    seconds.setdefault((key, who), []).append(processor_sec(words))
    print(f"import torch: {statistics.median(torch):.2f} s")
    for key in chosen:
        cells = []
        for who in pythons:
            times = seconds[key, who]
            ratio = statistics.median(time / one for time, one in zip(times, torch, strict=True))
            cells.append(f"{who} {statistics.median(times):6.2f} s ({ratio:4.2f})")
        print(f"{key:34} {'   '.join(cells)}")


if __name__ == "__main__":
    main()
