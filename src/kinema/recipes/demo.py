"""The recipe of ``kinema demo``: a tiny network learns moving shapes from nothing in about a minute on two cores."""

from __future__ import annotations

from kinema.data.spec import DataSpec
from kinema.training.recipe import OptimSpec, Recipe, ScheduleSpec, TrainSpec


def demo() -> Recipe:
    """Train ``tsm-resnettiny`` or ``tsn-resnettiny`` on the files of ``make_reversible_shapes``.

    The rate and its cosine were chosen on the validation videos of seed 0; flips double the few scenes where they
    keep the class.
    """
    return Recipe(
        name="demo",
        model="tsm-resnettiny",
        data=DataSpec(frames=8, augmentation="short-side", short_side=(64, 72), crop_size=64, num_workers=2),
        optim=OptimSpec(optimizer="adamw", lr=0.01, weight_decay=0.02),
        schedule=ScheduleSpec(kind="cosine", epochs=16, warmup_epochs=3.0),
        train=TrainSpec(batch_size=16, dropout=0.0, label_smoothing=0.1, monitor="loss", validate_every=4),
    )
