"""Which clips meet in which batch: orders that are functions of the seed and the position alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kinema.errors import UserError


class ClipKey(NamedTuple):
    """What one training clip is drawn from, see ``kinema.data.dataset.ClipDataset``.

    Attributes:
        epoch: Number of the pass over the videos, from 0.
        row: Row of the manifest.
        repeat: How often the pass has drawn this row before; 0 unless rows are drawn with replacement.
    """

    epoch: int
    row: int
    repeat: int = 0


def one_pass(num_samples: int, *, seed: int, number: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Order the videos of one pass over a training set.

    Args:
        num_samples: Videos of the training set.
        seed: Of the order.
        number: Of the pass, from 0.
        weights: One number per video: draw ``num_samples`` of them with replacement, in proportion. None visits
            every video once.

    Returns:
        Rows of the manifest, int64, as many as there are videos.
    """
    rng = np.random.default_rng([seed, number])
    if weights is None:
        return rng.permutation(num_samples)
    return rng.choice(num_samples, size=num_samples, p=weights / np.sum(weights))


def count_repeats(rows: np.ndarray) -> np.ndarray:
    """Count, for each clip of a whole pass, how often its row came before; all 0 where no row comes twice.

    Args:
        rows: The pass in its order, see ``one_pass``.

    Returns:
        Int64, as many as there are rows.
    """
    by_row = np.argsort(rows, kind="stable")
    _, firsts, counts = np.unique(rows[by_row], return_index=True, return_counts=True)
    repeats = np.empty(len(rows), np.int64)
    repeats[by_row] = np.arange(len(rows)) - np.repeat(firsts, counts)
    return repeats


class EpochOrder:
    """The batches of one epoch as lists of clip keys: a function of seed, epoch and step alone.

    A batch of the whole job is dealt out to the processes in turn, so the same clips meet in a step on any number of
    processes. The last batch may be short; where it has fewer clips than there are processes, those that would get
    none read its first clip too, which counts for nothing there (``training.loop.train_step``).

    Args:
        num_samples: Videos of the training set.
        batch_size: Clips of one step over all processes.
        seed: Of the order.
        epoch: Counted from 0.
        rank: Number of this process.
        world: Number of processes.
        start_step: Steps of this epoch that were done before a restart; they are left out.
        weights: One number per video: draw ``num_samples`` of them with replacement, in proportion. None visits
            every video once.

    Raises:
        UserError: There are fewer videos or smaller batches than processes, or the weights do not fit.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        batch_size: int,
        seed: int,
        epoch: int,
        rank: int = 0,
        world: int = 1,
        start_step: int = 0,
        weights: np.ndarray | None = None,
    ) -> None:
        if min(num_samples, batch_size) < world:
            raise UserError(f"{num_samples} videos in batches of {batch_size} cannot be dealt out to {world} processes")
        _check_weights(weights, num_samples)
        self.num_samples = num_samples
        self.seed, self.epoch = seed, epoch
        self.rank, self.world = rank, world
        self.start_step = start_step
        self.weights = weights
        self.edges = [*range(0, num_samples, batch_size), num_samples]

    def __len__(self) -> int:
        """Steps that are left of the epoch."""
        return max(0, len(self.edges) - 1 - self.start_step)

    def __iter__(self) -> Iterator[list[ClipKey]]:
        rows = one_pass(self.num_samples, seed=self.seed, number=self.epoch, weights=self.weights)
        repeats = count_repeats(rows)
        for step in range(self.start_step, len(self.edges) - 1):
            part = slice(self.edges[step], self.edges[step + 1])
            batch = _keys(self.epoch, rows[part], repeats[part])
            yield batch[self.rank :: self.world] if self.rank < len(batch) else batch[:1]


class EndlessOrder:
    """Batches that are always full, cut from pass after pass over the videos, as lists of clip keys.

    Within a pass no video is left out or comes twice, unless ``weights`` draw them; a batch may span the border of two
    passes, and is dealt out to the processes in turn. Step ``k`` takes the clips ``k * batch_size`` to
    ``(k + 1) * batch_size`` of this sequence, whatever was done before.

    Args:
        num_samples: Videos of the training set.
        batch_size: Clips of one step over all processes; may be larger than the training set.
        seed: Of the order.
        num_steps: Steps from the first of the run on, with those that are left out.
        rank: Number of this process.
        world: Number of processes.
        start_step: Steps that were done before a restart; they are left out.
        weights: One number per video, see ``one_pass``.

    Raises:
        UserError: The batches are smaller than the number of processes, or the weights do not fit.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        batch_size: int,
        seed: int,
        num_steps: int,
        rank: int = 0,
        world: int = 1,
        start_step: int = 0,
        weights: np.ndarray | None = None,
    ) -> None:
        if num_samples < 1 or batch_size < world:
            raise UserError(f"{num_samples} videos in batches of {batch_size} cannot be dealt out to {world} processes")
        _check_weights(weights, num_samples)
        self.num_samples, self.batch_size = num_samples, batch_size
        self.seed, self.weights = seed, weights
        self.rank, self.world = rank, world
        self.start_step, self.num_steps = start_step, num_steps

    def __len__(self) -> int:
        """Steps that are left."""
        return max(0, self.num_steps - self.start_step)

    def __iter__(self) -> Iterator[list[ClipKey]]:
        clips = self._clips()
        for _ in range(len(self)):
            yield [next(clips) for _ in range(self.batch_size)][self.rank :: self.world]

    def _clips(self) -> Iterator[ClipKey]:
        """Go through the sequence without end, from the first clip of the first step that is left."""
        number, first = divmod(self.start_step * self.batch_size, self.num_samples)
        while True:
            rows = one_pass(self.num_samples, seed=self.seed, number=number, weights=self.weights)
            yield from _keys(number, rows[first:], count_repeats(rows)[first:])
            number, first = number + 1, 0


def balance_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Weigh each class by the inverse of how many videos it has, so that classes count equally.

    Args:
        labels: Class of every video, int64.
        num_classes: Number of classes.

    Returns:
        Float64, one weight per class; the mean over the videos is 1, and classes without videos get 0.
    """
    counts = np.bincount(labels, minlength=num_classes)
    weights = np.divide(1.0, counts, out=np.zeros(num_classes), where=counts > 0)
    return weights * (len(labels) / np.count_nonzero(counts))


def _keys(number: int, rows: np.ndarray, repeats: np.ndarray) -> list[ClipKey]:
    return [ClipKey(number, row, repeat) for row, repeat in zip(rows.tolist(), repeats.tolist(), strict=True)]


def _check_weights(weights: np.ndarray | None, num_samples: int) -> None:
    if weights is not None and (len(weights) != num_samples or np.min(weights) < 0 or np.sum(weights) <= 0):
        raise UserError(f"give one weight of 0 or more for each of the {num_samples} videos, not all of them 0")
