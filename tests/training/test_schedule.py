"""The learning rate over a run, against numbers worked out by hand."""

import math

import pytest

from kinema.specs.recipe import ScheduleSpec
from kinema.training.schedule import rate_scale


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (ScheduleSpec(kind="constant", epochs=10), {0: 1, 5.5: 1, 10: 1}),
        (ScheduleSpec(kind="step", milestones=(3, 6)), {0: 1, 2.99: 1, 3: 0.1, 5.99: 0.1, 6: 0.01}),
        (ScheduleSpec(kind="step", milestones=(2, 5), gamma=0.5), {1.9: 1, 2: 0.5, 4.9: 0.5, 5: 0.25, 29: 0.25}),
        (ScheduleSpec(kind="exponential", gamma=0.25), {0: 1, 0.5: 0.5, 1: 0.25, 2: 0.0625}),
        (
            ScheduleSpec(kind="exponential", gamma=0.25, warmup_epochs=2, warmup_scale=0.5),
            {0: 0.5, 1: 0.75, 2: 1, 2.5: 0.5, 3: 0.25},
        ),
        (ScheduleSpec(kind="cosine", epochs=10), {0: 1, 2.5: (1 + math.sqrt(0.5)) / 2, 5: 0.5, 10: 0}),
        (ScheduleSpec(kind="cosine", epochs=12, warmup_epochs=2, warmup_scale=0.5), {0: 0.5, 1: 0.75, 2: 1, 7: 0.5}),
        (
            ScheduleSpec(kind="step", milestones=(3, 6), warmup_epochs=4, warmup_scale=0),
            {2: 0.5, 4: 0.1, 6: 0.01},
        ),
    ],
)
def test_worked_numbers(schedule: ScheduleSpec, expected: dict[float, float]) -> None:
    for epoch, scale in expected.items():
        assert rate_scale(schedule, epoch) == pytest.approx(scale, abs=1e-12), epoch


def test_warmup_as_long_as_the_run() -> None:
    schedule = ScheduleSpec(kind="cosine", epochs=2, warmup_epochs=2)
    assert rate_scale(schedule, 1.0) == pytest.approx(0.505)
    assert rate_scale(schedule, 2.0) == pytest.approx(1.0)
