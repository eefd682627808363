"""The recipe of ``kinema demo``: a tiny network learns moving shapes from nothing in about a minute on two cores."""

from __future__ import annotations

from kinema.specs.data import DataSpec
from kinema.specs.recipe import OptimSpec, Recipe, ScheduleSpec, TrainSpec


def demo() -> Recipe:
    """Train ``tsm-resnettiny`` or ``tsn-resnettiny`` on the files of ``make_reversible_shapes``.

    Crops would be of no use, since every scene has its shape somewhere else; flips are made where they keep the class.
    """
    return Recipe(
        name="demo",
        model="tsm-resnettiny",
        data=DataSpec(frames=8, augmentation="center", crop_size=64, num_workers=1),
        optim=OptimSpec(optimizer="adamw", lr=0.005, weight_decay=0.02),
        schedule=ScheduleSpec(kind="cosine", epochs=12, warmup_epochs=2.0),
        train=TrainSpec(batch_size=16, dropout=0.0, monitor="loss", validate_every=4),
    )
