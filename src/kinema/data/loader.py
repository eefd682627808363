"""Batches of training clips: their order, the worker processes that read them, and the step to floating point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.utils.data import Sampler

from kinema.data.dataset import ClipDataset, Sample
from kinema.data.process_loader import Failure, ProcessLoader, process_loader
from kinema.errors import UserError
from kinema.shapes import Clip

if TYPE_CHECKING:
    from kinema.models.weights import Preprocessing


class Batch(NamedTuple):
    """Training clips on their way to the device.

    Attributes:
        clips: Axes ``b c t h w``, uint8 RGB, channels-last in memory.
        labels: Class indices, axis ``b``, int64.
        indices: Rows of the manifest, axis ``b``, int64.
    """

    clips: Clip
    labels: torch.Tensor
    indices: torch.Tensor


class EpochOrder(Sampler[list[tuple[int, int]]]):
    """The batches of one epoch as lists of (epoch, index): a function of seed, epoch and step alone.

    A batch of the whole job is dealt out to the processes in turn, so the same clips meet in a step on any number of
    processes. The last batch may be short; one with fewer clips than processes joins the batch before it.

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
        if weights is not None and (len(weights) != num_samples or np.min(weights) < 0 or np.sum(weights) <= 0):
            raise UserError(f"give one weight of 0 or more for each of the {num_samples} videos, not all of them 0")
        self.num_samples = num_samples
        self.seed, self.epoch = seed, epoch
        self.rank, self.world = rank, world
        self.start_step = start_step
        self.weights = weights
        edges = [*range(0, num_samples, batch_size), num_samples]
        if len(edges) > 2 and edges[-1] - edges[-2] < world:
            del edges[-2]
        self.edges = edges

    def __len__(self) -> int:
        """Steps that are left of the epoch."""
        return max(0, len(self.edges) - 1 - self.start_step)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.weights is None:
            order = rng.permutation(self.num_samples)
        else:
            shares = self.weights / np.sum(self.weights)
            order = rng.choice(self.num_samples, size=self.num_samples, p=shares)
        for step in range(self.start_step, len(self.edges) - 1):
            batch = order[self.edges[step] : self.edges[step + 1]]
            yield [(self.epoch, int(index)) for index in batch[self.rank :: self.world]]


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


def build_loader(
    dataset: ClipDataset,
    order: Iterable[list[tuple[int, int]]],
    *,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> ProcessLoader:
    """Build the loader of a training run; iterating gives ``Batch``es.

    Args:
        dataset: Where clips come from.
        order: Which clips meet in which batch: an ``EpochOrder``, or several epochs of it one after the other.
        num_workers: Processes that decode; 0 decodes in this one.
        pin_memory: Page-locked memory, for copies to a GPU; ignored where there is none.

    Raises:
        VideoError: While iterating, when a video cannot be read; the message has its path and id.
    """
    return process_loader(
        dataset,
        order=order,
        batched=True,
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate=collate,
    )


def collate(samples: Sequence[Sample | Failure]) -> Batch | Failure:
    """Join samples into a batch; the first failure among them takes its place.

    Raises:
        UserError: The clips have different lengths.
    """
    good: list[Sample] = []
    for sample in samples:
        if isinstance(sample, Failure):
            return sample
        good.append(sample)
    lengths = sorted({sample.clip.shape[1] for sample in good})
    if len(lengths) > 1:
        error = (
            f"clips of {lengths[0]} to {lengths[-1]} frames do not form a batch; with sampling 'all' use batches of 1"
        )
        return Failure(UserError(error))
    pixels = torch.stack([sample.clip.permute(1, 2, 3, 0) for sample in good])
    return Batch(
        clips=pixels.permute(0, 4, 1, 2, 3),
        labels=torch.tensor([sample.label for sample in good]),
        indices=torch.tensor([sample.index for sample in good]),
    )


def to_clip(
    clips: Clip,
    preprocessing: Preprocessing,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
) -> Clip:
    """Bring uint8 clips to the device, and only there to floating point: scaled to 0..1 and normalised.

    Args:
        clips: Axes ``b c t h w``, uint8 RGB.
        preprocessing: Its ``mean`` and ``std`` are in the order of the network's input channels.
        device: Where the network is.
        dtype: Floating point type of the result.

    Returns:
        Axes ``b c t h w`` in the memory order of ``clips`` (channels-last stays so); BGR where the network wants that.
    """
    assert clips.dtype == torch.uint8, "clips are uint8 until they are on the device"
    clips = clips.to(device, non_blocking=True)
    exact = torch.promote_types(dtype, torch.float32)  # rounded to 16 bits, the factors would be off by up to 0.4 %
    std = torch.tensor(preprocessing.std, dtype=exact).view(1, -1, 1, 1, 1)
    mean = torch.tensor(preprocessing.mean, dtype=exact).view(1, -1, 1, 1, 1)
    # Without non_blocking every batch would wait here for all work that the GPU still has to do.
    offset, scale = (factor.to(device, non_blocking=True) for factor in (-mean / std, 1 / (255 * std)))
    if preprocessing.channel_order == "bgr":
        clips = clips.flip(1)
    return torch.addcmul(offset, clips.to(exact), scale).to(dtype)
