"""What a run says of itself when it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.training.state import Run


def facts(run: Run, *, source: str) -> dict[str, Any]:
    """What ``run.json`` says about a run that begins."""
    return {
        "data": source,
        "num_training": run.task.num_samples,
        "num_validation": run.task.num_validation,
        "processes": run.engine.world,
        "device": str(run.engine.device),
    }


def headline(run: Run) -> str:
    """What is trained, where, and on how much."""
    millions = sum(parameter.numel() for parameter in run.model.parameters()) / 1e6
    processes = f"{run.engine.world} processes, " if run.engine.world > 1 else ""
    validated = f", {run.task.num_validation} to validate on" if run.task.num_validation else ""
    return (
        f"{run.recipe.model}, {millions:.2f} M parameters, on {processes}{run.engine.device.type}: "
        f"{counted(run.task.num_samples, 'video')} to train on{validated}"
    )
