"""Recipes of the runs on eight UCF101 classes in docs/results.md: small clips, so that two CPU cores suffice.

Clips of 8 frames, 4 apart (1.1 to 1.3 seconds), because the classes differ by motion; crops of 112 pixels from
160x120 video. The bound of flow is 10 pixels, half of what is usual at 320x240.
"""

from dataclasses import replace

from kinema.specs.data import DataSpec
from kinema.specs.recipe import OptimSpec, Recipe, ScheduleSpec, TrainSpec


def imagenet() -> Recipe:
    """Fine-tune from ImageNet weights; the first three stages stay as they are, which halves the time of a step."""
    return Recipe(
        name="ucf101-eight-imagenet",
        protocol="dense-10x1",
        data=_data(num_workers=1),
        optim=OptimSpec(lr=0.01, nesterov=True, weight_decay=5e-4, head_lr_scale=5.0, clip_norm=20.0, frozen_stages=3),
        schedule=ScheduleSpec(kind="cosine", epochs=20, warmup_epochs=1.0),
        train=TrainSpec(batch_size=16, label_smoothing=0.1, dropout=0.5, mixup=0.2, validate_on="none"),
    )


def temporal() -> Recipe:
    """Fine-tune a network on flow from ImageNet weights: three stacks of ten fields from all over the video."""
    recipe = imagenet()
    return replace(
        recipe,
        name="ucf101-eight-temporal",
        protocol="two-stream-25x10",
        data=replace(
            recipe.data,
            frames=3,
            sampling="uniform",
            stride=1,
            per_segment=True,
            color_jitter=(0, 0, 0),
            flow="farneback-10x10",
            num_workers=0,
        ),
        optim=replace(recipe.optim, frozen_stages=0),
    )


def scratch() -> Recipe:
    """Train a tiny network from random weights."""
    return Recipe(
        name="ucf101-eight-scratch",
        protocol="dense-10x1",
        data=_data(num_workers=1),
        optim=OptimSpec(lr=0.05, nesterov=True, weight_decay=5e-4, clip_norm=20.0),
        schedule=ScheduleSpec(kind="cosine", epochs=12, warmup_epochs=1.0),
        train=TrainSpec(batch_size=32, label_smoothing=0.1, dropout=0.2, validate_on="none"),
    )


def _data(num_workers: int) -> DataSpec:
    return DataSpec(
        frames=8,
        sampling="dense",
        stride=4,
        augmentation="multi-scale",
        crop_size=112,
        color_jitter=(10, 30, 30),
        num_workers=num_workers,
    )
