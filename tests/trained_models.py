"""Trained networks for tests: a transparent one whose scores can be worked out by hand, and a checkpoint on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from make_videos import numbered_frames, write_video
from torch import nn

from kinema import build_model
from kinema.data.manifest import Manifest, Record
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.checkpoint import Checkpoint
from kinema.weights.trained import TrainedModel

CLASSES = ("run", "jump", "sit")
PREPROCESSING = Preprocessing(frames=4, crop_size=32)
NUM_FRAMES = (30, 3, 17, 41, 8, 25, 12)
"""Lengths of the videos of ``write_videos``; the second is shorter than a clip."""


class WeighedFrames(nn.Module):
    """Three logits from the frames' average colours, weighed by their place in time: order, crop and frame matter.

    Attributes:
        batches: Number of views of every batch that it was given.
        largest: More views at once than this run out of memory.
    """

    def __init__(self, largest: int = 10**6) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([[3.0, -1.0, 0.5], [-2.0, 2.0, 1.0], [0.3, 0.7, -2.0]]))
        self.norm = nn.BatchNorm1d(3)
        self.tag = self.name = "weighed-frames"
        self.batches: list[int] = []
        self.largest = largest

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(clip))
        if len(clip) > self.largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        # Columns are weighed too, else a crop on the left and one on the right could look alike.
        columns = torch.linspace(0.5, 1.5, clip.shape[-1])
        by_frame = (clip * columns).mean(dim=(3, 4))
        steps = torch.linspace(1, 2, clip.shape[2])
        return self.norm((by_frame * steps).mean(dim=2)) @ self.gain

    def features(self, clip: torch.Tensor) -> torch.Tensor:
        return clip


def transparent(**changes: Any) -> TrainedModel:
    """A trained ``WeighedFrames``."""
    parts = {
        "model": WeighedFrames().eval(),
        "classes": CLASSES,
        "preprocessing": PREPROCESSING,
        "recipe": {},
        "scores": {},
        "weights_sha256": "0" * 64,
        "path": "weighed.ckpt",
    }
    return TrainedModel(**(parts | changes))


def write_videos(folder: Path) -> Manifest:
    """Write seven numbered videos of several lengths and sizes; their classes are in another order than the model's."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("jump", "run", "sit")
    records = []
    for place, num_frames in enumerate(NUM_FRAMES):
        frames = numbered_frames(num_frames, 48, 64 + 16 * (place % 2), first=37 * place)
        write_video(folder / f"{place}.mp4", frames, gop=12)
        records.append(Record(f"video {place}", f"{place}.mp4", names[place % 3], split="test" if place % 2 else "val"))
    return Manifest.from_records(records, classes=names, root=folder, source="numbered")


def write_checkpoint(path: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """Write a checkpoint of an untrained tsm-resnettiny."""
    torch.manual_seed(0)
    model = build_model("tsm-resnettiny", num_classes=len(classes))
    path.parent.mkdir(parents=True, exist_ok=True)
    Checkpoint.of(model, classes=classes, preprocessing=PREPROCESSING).write(path)
    return path
