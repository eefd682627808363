"""Going on with a run: where it stands, whether it is finished, and training longer than was planned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kinema.compute.environment import is_first_process
from kinema.errors import UserError
from kinema.files import write_text
from kinema.specs.recipe import Recipe
from kinema.training.directory import ABOUT, LAST, RECIPE, VIDEOS, read_about
from kinema.training.schedule import rate_scale
from kinema.training.state import Position, save_last
from kinema.training.status import log_line, read_status, require_idle
from kinema.weights.checkpoint import Checkpoint
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.training.state import Run


class Standing(NamedTuple):
    """Where a run stands: its recipe, and how far it has come."""

    recipe: Recipe
    position: Position

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.position.is_over(self.recipe)

    def how_it_ended(self) -> str:
        """Why nothing is left to do."""
        if self.position.epoch >= self.recipe.schedule.epochs:
            epochs = self.recipe.schedule.epochs
            return "its only epoch is done" if epochs == 1 else f"all {epochs} epochs are done"
        train = self.recipe.train
        return f"it stopped early, after {counted(train.patience, 'validation')} without a better {train.monitor}"


def where_it_stands(folder: Path) -> Standing:
    """Read where a run stands.

    Raises:
        UserError: The folder holds no run that can be resumed, or another process trains it.
    """
    if not (folder / LAST).is_file() or not (folder / VIDEOS).is_file():
        raise UserError(f"{folder} is no run that can be resumed: it has no {LAST} with a {VIDEOS}")
    if is_first_process():  # the others may look when it has begun
        require_idle(folder)
    recipe = Recipe.from_json((folder / RECIPE).read_text(encoding="utf-8"))
    training = Checkpoint.read(folder / LAST).training
    return Standing(recipe, Position(**training.position) if training else Position())


def note_kill(folder: Path) -> str:
    """Write into the log that the process of a run ended without a word; gives what to say, empty where it did not."""
    status = read_status(folder)
    if status.state != "killed":
        return ""
    log_line(folder, f"killed: {status.reason}")
    return f"the last time {status.reason}; what came after the last save is done again"


def with_epochs(folder: Path, now: Standing, epochs: int) -> Recipe:
    """The recipe of a run with another number of epochs.

    Raises:
        UserError: The run has as many epochs behind it.
    """
    done = now.position.epoch
    if epochs <= done and epochs != now.recipe.schedule.epochs:
        raise UserError(
            f"{folder} has trained {counted(done, 'epoch')} already; give more than that, such as --epochs {2 * done}"
        )
    return now.recipe.with_fields({"schedule.epochs": epochs})


def go_on_longer(run: Run, before: Recipe) -> None:
    """Make a resumed run last as long as its recipe says now: on disk, so that it can be stopped and resumed as ever.

    The schedule is that of a run of so many epochs from its start; where the run stands it may jump, which is said.
    Patience counts anew. The best checkpoint stays until an epoch is better.

    Args:
        run: The run, its state restored; all of its processes call this.
        before: Its recipe up to now.
    """
    position, epochs = run.position, run.recipe.schedule.epochs
    if before.schedule.epochs == epochs:
        return
    if 0 < run.recipe.train.patience <= position.num_stale:
        position.num_stale = 0
    if run.engine.is_main:
        about = read_about(run.folder)
        change = {"after_epoch": position.epoch, "epochs_before": before.schedule.epochs, "epochs": epochs}
        about["lengthened"] = [*about.get("lengthened", ()), change]
        write_text(run.folder / ABOUT, json.dumps(about, indent=2) + "\n")
        write_text(run.folder / RECIPE, run.recipe.to_json() + "\n")
    save_last(run)
    run.display.note(rate_note(before, run.recipe, position.epoch + position.step_in_epoch / run.steps_per_epoch))


def rate_note(before: Recipe, after: Recipe, epoch: float) -> str:
    """One line about the learning rate of a run that is made longer.

    Args:
        before: The recipe up to now.
        after: The recipe from now on.
        epoch: Where the run stands.
    """
    kind, epochs = after.schedule.kind, after.schedule.epochs
    was, will = (recipe.optim.lr * rate_scale(recipe.schedule, epoch) for recipe in (before, after))
    end = after.optim.lr * rate_scale(after.schedule, epochs)
    if abs(was - will) > 1e-9 * after.optim.lr:
        way = "rises" if will > was else "falls"
        how = f"the {kind} now spans {epochs} epochs, so the learning rate {way} from {was:.3g} to {will:.3g}"
    else:
        how = f"the learning rate goes on at {will:.3g} ({kind})"
    then = f" and reaches {end:.3g} at the end" if abs(end - will) > 1e-9 * after.optim.lr else ""
    return f"training until epoch {epochs} instead of {before.schedule.epochs}: {how}{then}"
