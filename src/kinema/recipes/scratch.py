"""Training a small network from random weights on a small set."""

from __future__ import annotations

from kinema.specs.data import DataSpec
from kinema.specs.recipe import OptimSpec, Recipe, ScheduleSpec, TrainSpec


def scratch() -> Recipe:
    """Small pictures, a longer run and strong regularisation, for networks such as ``tsm-resnettiny``."""
    return Recipe(
        name="scratch",
        data=DataSpec(frames=8, per_segment=True, augmentation="short-side", short_side=(116, 144), crop_size=112),
        optim=OptimSpec(optimizer="sgd", lr=0.05, nesterov=True, weight_decay=5e-4, clip_norm=5.0),
        schedule=ScheduleSpec(kind="cosine", epochs=40, warmup_epochs=2.0),
        train=TrainSpec(batch_size=32, label_smoothing=0.1, dropout=0.2),
    )
