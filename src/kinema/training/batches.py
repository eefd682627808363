"""The batches of a run, in an order that depends on nothing but the seed, the epoch and the step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from kinema.data.order import ClipKey, EndlessOrder, EpochOrder, balance_weights

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.specs.recipe import Recipe
    from kinema.training.position import Position
    from kinema.training.state import Run


class RunOrder:
    """The batches of every epoch that is left, one after the other, as lists of clip keys.

    One loader reads them all, so that decoding goes on across the border of two epochs and during validation, and
    worker processes start once. An epoch is a pass over the videos, or, with ``schedule.epoch_clips``, that many clips
    (rounded up to full batches) of a sequence of passes without end.

    Args:
        training: The videos.
        recipe: Batch size, seed, epochs and class balance.
        position: Where to begin.
        rank: This process.
        world: Number of processes.
    """

    def __init__(self, training: Manifest, recipe: Recipe, position: Position, *, rank: int, world: int) -> None:
        self._recipe, self._rank, self._world = recipe, rank, world
        self._num_samples = len(training)
        self._num_steps = steps_per_epoch(len(training), recipe, world)
        self._first = (position.epoch, position.step_in_epoch)
        balanced = recipe.data.balance == "sampler"
        labels = training.labels
        self._weights = balance_weights(labels, len(training.classes))[labels] if balanced else None

    def __iter__(self) -> Iterator[list[ClipKey]]:
        """Yield the keys of one batch of this process."""
        if self._recipe.schedule.epoch_clips:
            yield from self._endless()
            return
        for epoch in range(self._first[0], self._recipe.schedule.epochs):
            yield from self._epoch(epoch, start_step=self._first[1] if epoch == self._first[0] else 0)

    def __len__(self) -> int:
        """Count the batches that are left."""
        epochs = self._recipe.schedule.epochs - self._first[0]
        return epochs * self._num_steps - self._first[1]

    def _epoch(self, epoch: int, *, start_step: int) -> EpochOrder:
        return EpochOrder(
            self._num_samples,
            batch_size=self._recipe.train.batch_size,
            seed=self._recipe.seed,
            epoch=epoch,
            rank=self._rank,
            world=self._world,
            start_step=start_step,
            weights=self._weights,
        )

    def _endless(self) -> EndlessOrder:
        return EndlessOrder(
            self._num_samples,
            batch_size=self._recipe.train.batch_size,
            seed=self._recipe.seed,
            num_steps=self._recipe.schedule.epochs * self._num_steps,
            rank=self._rank,
            world=self._world,
            start_step=self._first[0] * self._num_steps + self._first[1],
            weights=self._weights,
        )


def steps_per_epoch(num_samples: int, recipe: Recipe, world: int) -> int:
    """Count the optimiser steps of one epoch over a number of training samples."""
    if recipe.schedule.epoch_clips:
        return math.ceil(recipe.schedule.epoch_clips / recipe.train.batch_size)
    return len(EpochOrder(num_samples, batch_size=recipe.train.batch_size, seed=0, epoch=0, rank=0, world=world))


def with_enough_steps(num_samples: int, recipe: Recipe, world: int) -> Recipe:
    """Lengthen the epochs of a recipe whose run would have fewer steps than ``schedule.min_steps``.

    A few dozen videos fill two or three batches, and no number of epochs that suits thousands of videos moves a network
    far enough in so few steps. The number of epochs stays, and with it the number of validations.

    Args:
        num_samples: Videos to train on.
        recipe: With its batch.
        world: Number of processes.
    """
    schedule = recipe.schedule
    steps = math.ceil(schedule.min_steps / schedule.epochs)
    if steps_per_epoch(num_samples, recipe, world) >= steps:
        return recipe
    return recipe.with_fields({"schedule.epoch_clips": steps * recipe.train.batch_size})


def clips_of_step(run: Run, step: int) -> int:
    """Count the clips of one step over all processes; only the last step of a pass may differ from the others."""
    size, is_last = run.recipe.train.batch_size, step + 1 == run.steps_per_epoch
    if run.recipe.schedule.epoch_clips or not is_last:
        return size
    return run.task.num_samples - size * (run.steps_per_epoch - 1)


def class_weights(training: Manifest, recipe: Recipe) -> np.ndarray | None:
    """Factors of the loss per class, when the recipe balances classes there."""
    if recipe.data.balance != "loss":
        return None
    return balance_weights(training.labels, len(training.classes))
