"""The end of a run, whatever it is: its reason goes into ``log.txt`` and ``status.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinema.errors import UserError
from kinema.training.loop import fit
from kinema.training.resuming import Standing
from kinema.training.status import note_end, write_status
from kinema.training.stopping import signal_name

if TYPE_CHECKING:
    from kinema.training.state import Run


def fit_and_note_end(run: Run) -> int:
    """Train from the run's position on and write down why it ended; see ``kinema.training.loop.fit``.

    Returns:
        Number of the signal that stopped the run; 0 when it came to its end.
    """
    position, display = run.position, run.display

    def seconds() -> float:
        return position.seconds + (display.spent()[0] if position.step_in_epoch else 0.0)

    def note(state: str, reason: str) -> None:
        if run.engine.is_main:
            note_end(run.folder, state, reason, seconds=seconds())

    if run.engine.is_main:
        write_status(run.folder, "running", seconds=position.seconds + position.spent[0])
    try:
        with (
            run.stop.watching(run.folder, when_ended=lambda reason: note("stopped", reason)),
            display.running(
                run.recipe, position, steps_per_epoch=run.steps_per_epoch, score_names=run.task.train_scores
            ),
        ):
            stopped = fit(run)
    except KeyboardInterrupt:
        note("stopped", "ended at once, before it was saved")
        raise
    except Exception as error:
        note("failed", str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}")
        raise
    if stopped:
        note("stopped", f"by {signal_name(stopped)} {describe_position(run)}; the run is saved")
    else:
        note("finished", Standing(run.recipe, position).how_it_ended())
    return stopped


def describe_position(run: Run) -> str:
    """Say in words how far a run has come."""
    position = run.position
    if not position.step_in_epoch:
        return f"after epoch {position.epoch}"
    return f"in epoch {position.epoch + 1}, after step {position.step_in_epoch} of {run.steps_per_epoch}"
