"""Fine-tuning on one machine: the default recipe, for a few hundred to a few thousand clips."""

from __future__ import annotations

from kinema.specs.data import DataSpec
from kinema.specs.recipe import OptimSpec, Recipe, ScheduleSpec, TrainSpec


def finetune() -> Recipe:
    """Short cosine run of AdamW that moves the pretrained layers gently and the new classifier quickly.

    Mixup keeps a few hundred clips from being learnt by heart: it was worth twelve points on 562. Twenty epochs of two
    dozen clips are no more than forty steps; 200 bring it ahead of the linear probe (docs/results.md).

    Meant for networks that start from ImageNet or from another video set; a batch of 16 clips of 8 frames takes a
    ResNet-50 some 15 GB in fp32.
    """
    return Recipe(
        name="finetune",
        data=DataSpec(frames=8, per_segment=True, augmentation="multi-scale", crop_size=224),
        optim=OptimSpec(optimizer="adamw", lr=2e-3, weight_decay=0.05, base_lr_scale=0.1, clip_norm=5.0),
        schedule=ScheduleSpec(kind="cosine", epochs=20, warmup_epochs=1.0, min_steps=200),
        train=TrainSpec(batch_size=16, label_smoothing=0.1, dropout=0.5, mixup=0.2),
    )
