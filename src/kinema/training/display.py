"""What a run shows while it trains: a bar on a terminal, one line per epoch elsewhere, and a log file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kinema.compute.progress import ProgressBar, progress_bar
from kinema.training.logs import Logs
from kinema.training.status import log_line
from kinema.wording import SCORE_NAMES

if TYPE_CHECKING:
    from kinema.specs.recipe import Recipe
    from kinema.training.position import Position

HIGH_WAIT = 0.3
"""From this part of the time on that is spent waiting for data, the display says what to do about it."""

WIDE = 120
"""Columns of a terminal that hold the bar and all its numbers; on fewer the bar and the accuracy are left out."""


class Display:
    """Shows and logs one run; in other processes than the main one every method is silent.

    Args:
        folder: Run directory, which gets ``log.txt``.
        main: Whether this is the main process.
        quiet: Show nothing; the log file is still written.
    """

    def __init__(self, folder: Path, *, main: bool, quiet: bool = False) -> None:
        self._folder, self._main, self._quiet = folder, main, quiet
        self._logs: Logs | None = None
        self._bar = ProgressBar()
        self._steps_per_epoch = 1
        self._num_epochs = 1
        self._num_workers = 0
        self._score_names: tuple[str, ...] = ()
        self._is_narrow = False
        self._hinted = False
        self._earlier = [0.0] * 4
        self._reset()

    @contextmanager
    def running(
        self, recipe: Recipe, position: Position, *, steps_per_epoch: int, score_names: Sequence[str] = ()
    ) -> Iterator[None]:
        """Keep the bar and the log files open inside the block.

        Args:
            recipe: Epochs and workers.
            position: Where the run begins.
            steps_per_epoch: Optimiser steps of one epoch.
            score_names: Scores that ``Position.sums`` holds between the loss and the number of samples.
        """
        num_epochs = recipe.schedule.epochs
        self._steps_per_epoch, self._num_epochs = steps_per_epoch, num_epochs
        self._num_workers, self._score_names = recipe.data.num_workers, tuple(score_names)
        if not self._main:
            yield
            return
        self._logs = Logs(self._folder, num_epochs=position.epoch)
        self._is_narrow = Console(stderr=True).width < WIDE
        try:
            with progress_bar(
                num_epochs * steps_per_epoch,
                f"epoch {min(position.epoch + 1, num_epochs)}/{num_epochs}",
                shown=not self._quiet,
                width=None if self._is_narrow else 24,
                completed=position.epoch * steps_per_epoch + position.step_in_epoch,
            ) as self._bar:
                yield
        finally:
            self._bar = ProgressBar()
            self._logs.close()

    def note(self, text: str) -> None:
        """Say something once, on standard error and in the log file."""
        self.log(text)
        if not self._main or self._quiet:
            return
        if self._bar.is_shown and self._bar.console is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def log(self, text: str) -> None:
        """Write a line to the log file alone; a run goes on without it when the disk is full."""
        if not self._main:
            return
        log_line(self._folder, text)

    def start_epoch(self, position: Position) -> None:
        """Begin to measure an epoch, or the rest of one that a resumed run has begun before."""
        self._reset()
        self._earlier = list(position.spent)
        done = position.epoch * self._steps_per_epoch + position.step_in_epoch
        self._bar.show("", title=f"epoch {position.epoch + 1}/{self._num_epochs}", completed=done)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside the block as waiting for data."""
        start = time.perf_counter()
        yield
        self._wait_sec += time.perf_counter() - start

    def step(self, num_clips: int) -> None:
        """Count a finished step of ``num_clips`` clips over all processes."""
        self._num_clips += num_clips
        self._train_sec = time.perf_counter() - self._start
        self._bar()

    def show(self, position: Position) -> None:
        """Bring the numbers beside the bar up to date."""
        if self._bar.is_shown:
            loss, *scores, clips = position.sums
            speed, waiting = f"{self._num_clips / self._train_sec:.1f} clips/s", f"{100 * self._wait_fraction:.0f} %"
            shown = [in_percent(name, value / clips) for name, value in zip(self._score_names, scores, strict=True)]
            numbers = [f"loss {loss / clips:.3f}", *shown, speed, f"waiting for data {waiting}"]
            if self._is_narrow:
                numbers[1:] = [speed, f"waiting {waiting}"]
            self._bar.show("  ".join(numbers))

    def spent(self) -> list[float]:
        """Measure the epoch so far, as ``Position.spent``; what was spent before the run was resumed counts."""
        now = [time.perf_counter() - self._start, self._train_sec, self._wait_sec, float(self._num_clips)]
        return [earlier + own for earlier, own in zip(self._earlier, now, strict=True)]

    def epoch_times(self) -> dict[str, float]:
        """Measure the whole epoch: seconds, clips per second while training, fraction of that time without data."""
        seconds, train_sec, wait_sec, num_clips = self.spent()
        return {
            "seconds": seconds,
            "clips_per_sec": num_clips / train_sec if num_clips else 0.0,
            "wait_share": wait_sec / train_sec if num_clips else 0.0,
        }

    def write_numbers(self, position: Position) -> None:
        """Write the history to ``metrics.csv``, and its newest row as events.

        Raises:
            UserError: They cannot be written, as on a full disk.
        """
        if self._logs is not None:
            self._logs.write(position.history)

    def finish_epoch(self, position: Position) -> None:
        """Print and log the line of the newest row of the history."""
        row = position.history[-1]
        best = "  (best so far)" if position.best.get("epoch") == row["epoch"] else ""
        self.note(f"{describe(row, self._num_epochs)}{best}")
        if row["wait_share"] > HIGH_WAIT and row["seconds"] > 5 and not self._hinted:
            self._hinted = True
            self.note(
                f"training waited for data {100 * row['wait_share']:.0f} % of the time: raise --data.num-workers "
                f"(now {self._num_workers}; this machine has {os.cpu_count()} cores) or store smaller videos"
            )

    @property
    def _wait_fraction(self) -> float:
        return self._wait_sec / self._train_sec if self._num_clips else 0.0

    def _reset(self) -> None:
        self._start = time.perf_counter()
        self._wait_sec = self._train_sec = 0.0
        self._num_clips = 0


def describe(row: dict[str, Any], num_epochs: int) -> str:
    """Write one row of the history as a line of text: losses, the training scores and the first validation score."""
    parts = [f"epoch {row['epoch']}/{num_epochs}", f"loss {row['train_loss']:.4f}"]
    training, validation = (_scores(row, kind) for kind in ("train_", "val_"))
    parts += [in_percent(name, value) for name, value in training.items()]
    if "val_loss" in row:
        parts.append(f"val loss {row['val_loss']:.4f}")
        parts += [f"val {in_percent(name, value)}" for name, value in list(validation.items())[:1]]
    if row["clips_per_sec"]:  # no step was left of an epoch that was resumed behind its last one
        parts += [f"{row['clips_per_sec']:.1f} clips/s", f"waited for data {100 * row['wait_share']:.0f} %"]
    return ", ".join([*parts, f"{row['seconds']:.1f} s"])


def in_percent(name: str, score: float) -> str:
    """Write a score (0..1) with its name, such as ``top-1 84.5 %``."""
    return f"{SCORE_NAMES.get(name, name.replace('_', ' '))} {100 * score:.1f} %"


def _scores(row: dict[str, Any], prefix: str) -> dict[str, float]:
    found = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    return {name: value for name, value in found.items() if not name.endswith("loss")}
