"""The learning rate as a function of how far a run is; it has no state, so a resumed run needs none."""

from __future__ import annotations

import bisect
import math

from kinema.specs.recipe import ScheduleSpec


def rate_scale(schedule: ScheduleSpec, epoch: float) -> float:
    """Compute the factor of the peak learning rate.

    Args:
        schedule: Kind and times.
        epoch: Epochs so far, as a fraction: the middle of the third epoch is 2.5.

    Returns:
        The linear rise during warm-up, afterwards the schedule's own factor. Milestones of ``step`` count epochs from
        the start of the run; ``exponential`` falls from the end of warm-up on, a little with every step; ``cosine``
        (arXiv:1608.03983, without restarts) spans what warm-up leaves over, and falls with every step too. Differs from
        the code of the unified framework (arXiv 2010.11757), whose cosine and warm-up change once an epoch.
    """
    if epoch < schedule.warmup_epochs:
        return schedule.warmup_scale + (1 - schedule.warmup_scale) * epoch / schedule.warmup_epochs
    match schedule.kind:
        case "exponential":
            return schedule.gamma ** (epoch - schedule.warmup_epochs)
        case "step":
            return schedule.gamma ** bisect.bisect_right(schedule.milestones, epoch)
        case "cosine":
            span = max(schedule.epochs - schedule.warmup_epochs, 1e-9)
            done = min((epoch - schedule.warmup_epochs) / span, 1.0)
            return 0.5 * (1 + math.cos(math.pi * done))
        case _:
            return 1.0
