"""Writes files as the installed version of kinema writes them, for later versions to open.

    python tests/compatibility/make.py version_0_1.tar.xz

Run it with the version whose name it carries, never again with a later one. The weights repeat a few values and the
backbone is frozen, so that the archive stays small.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
from pathlib import Path

import torch

import kinema
from kinema.cli.main import run
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.importing.importer import Imported

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from make_videos import numbered_frames, write_video

MODEL = "tsn-resnettiny"


def write_clips(folder: Path) -> None:
    """Two classes of three videos, with a train and a test split."""
    rows = ["video_id,path,label,split"]
    for label in ("high", "low"):
        for number in range(3):
            name = f"{label}{number}.mp4"
            first = (2048 if label == "high" else 0) + 40 * number
            write_video(folder / name, numbered_frames(12, first=first), 25)
            rows.append(f"{label}{number},{name},{label},{'test' if number == 2 else 'train'}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")


def write_start(path: Path) -> None:
    """A checkpoint of few distinct values, as the importer writes it."""
    torch.manual_seed(0)
    model = kinema.build_model(MODEL, num_classes=2)
    for values in model.parameters():
        if values.dim() > 1:
            few = torch.randn(251) * values.std()
            values.data = few.repeat(-(-values.numel() // 251))[: values.numel()].reshape(values.shape)
    Imported(model, ("left", "right"), Preprocessing(), "torchvision", "start.pt", {"fc.extra": "not needed"}).save(
        path
    )


def command(*words: str) -> None:
    """Run a command of the command line in the folder."""
    print("kinema", *words, flush=True)
    assert run(words) == 0


def main() -> None:
    """Write everything and pack it."""
    target = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clips(folder)
        os.chdir(folder)
        write_start(folder / "start.ckpt")
        small = ("--data.crop-size", "32", "--data.frames", "4", "--data.short-side", "36", "36", "--batch", "2")
        command("data", "scan", "clips.csv")
        frozen = ("--optim.linear-probe", "True", "--workers", "0")
        command(
            "train",
            MODEL,
            "--data",
            "clips.csv",
            "--weights",
            "start.ckpt",
            "--out",
            "run",
            "--epochs",
            "2",
            *small,
            *frozen,
        )
        command(
            "evaluate", "run", "--data", "clips.csv", "--split", "test", "--out", "scores.npz", "--num-workers", "0"
        )
        command("features", "run", "--data", "clips.csv", "--out", "features.npz", "--num-workers", "0")
        command("data", "pack", "--data", "clips.csv", "--out", "packed", "--num-workers", "0")
        command("data", "pack", "--data", "clips.csv", "--out", "shards", "--shard-videos", "2", "--num-workers", "0")
        command(
            "flow", "extract", "--data", "clips.csv", "--out", "flow", "--method", "farneback", "--num-workers", "0"
        )
        for path in (folder / "run").glob("events.*"):  # named after the machine
            path.unlink()
        with tarfile.open(target, "w:xz") as archive:
            archive.add(folder, arcname=".", filter=plain)


def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who wrote the file."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    main()
