"""Views of many videos through a network, in batches that fit into memory."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from kinema.errors import UserError, VideoError
from kinema.inference.views import VideoViews
from kinema.shapes import Clip

Compute = Callable[[Clip], torch.Tensor]
"""From views, uint8 ``v c t h w``, to one row for each on the CPU, floating point ``v d``."""

MAX_BATCH_VIEWS = 128
"""More views at once make no network faster."""

_CPU_BUDGET = 1 << 30
_GPU_SHARE = 0.5
_WORKING_BYTES = 100
"""Memory that a network takes for each byte of a uint8 view, in float32: 47 (ResNet-18) to 141 (ResNet-50 with
non-local blocks) were measured on the CPU. The halving corrects the rest."""

log = logging.getLogger("kinema")


class ComputedViews(NamedTuple):
    """A video and what the network made of each of its views.

    Attributes:
        video: The video.
        rows: Float32, axes ``v d``, in the order of the views.
    """

    video: VideoViews
    rows: np.ndarray


class BadVideo(NamedTuple):
    """A video that could not be read.

    Attributes:
        index: Row of the manifest.
        error: Why.
    """

    index: int
    error: VideoError


class _Waiting:
    """A video of which some views are not computed yet."""

    def __init__(self, video: VideoViews) -> None:
        self.video = video
        self.shape = (video.places.shape[1], *video.crops[0].box[2:])
        self.rows: list[np.ndarray] = []
        self.done = 0

    @property
    def left(self) -> int:
        return len(self.video) - self.done


def compute_views(
    videos: Iterable[VideoViews | BadVideo], compute: Compute, *, batch_views: int | None, device: torch.device
) -> Iterator[ComputedViews | BadVideo]:
    """Compute every view of every video, several videos in a batch or several batches of a video, as it comes.

    Views are cut out of their video's frames only for the batch that they are in. When memory runs out the batch is
    halved, for the rest of the run too.

    Args:
        videos: One after the other; a ``BadVideo`` is passed on.
        compute: The network.
        batch_views: Views of a batch; None works it out from the size of the views and the device's memory.
        device: Where the network computes.

    Raises:
        UserError: Not even a single view fits into the memory.
    """
    batches = _Batches(compute, batch_views, device)
    for video in videos:
        if isinstance(video, BadVideo):
            yield video
        else:
            yield from batches.add(video)
    yield from batches.finish()


class _Batches:
    """The queue of videos between the decoder and the network."""

    def __init__(self, compute: Compute, batch_views: int | None, device: torch.device) -> None:
        if batch_views is not None and batch_views < 1:
            raise UserError(f"batch_views is {batch_views}; it must be at least 1.")
        self.compute = compute
        self.given = batch_views
        self.most = MAX_BATCH_VIEWS if batch_views is None else batch_views
        self.device = device
        self.queue: deque[_Waiting] = deque()

    def add(self, video: VideoViews) -> Iterator[ComputedViews]:
        """Take a video on; gives the videos that are done by that."""
        waiting = _Waiting(video)
        if self.queue and self.queue[0].shape != waiting.shape:
            yield from self.finish()
        self.queue.append(waiting)
        limit = self._limit()
        while sum(other.left for other in self.queue) >= limit:
            yield from self._step(limit)
            limit = self._limit()

    def finish(self) -> Iterator[ComputedViews]:
        """Compute what is waiting."""
        while self.queue:
            yield from self._step(self._limit())

    def _limit(self) -> int:
        """Views of the next batch."""
        if self.given is not None or not self.queue:
            return self.most
        return min(self.most, views_that_fit(self.queue[0].video.view_bytes, self.device))

    def _step(self, count: int) -> Iterator[ComputedViews]:
        """Compute one batch of at most ``count`` views, from the front of the queue."""
        shares: list[tuple[_Waiting, int]] = []
        for waiting in self.queue:
            if count > 0:
                shares.append((waiting, min(count, waiting.left)))
                count -= shares[-1][1]
        pieces = [waiting.video.clips(waiting.done, waiting.done + share) for waiting, share in shares]
        # Joined in the order of memory (channels last), so that the batch has that order too.
        batch = torch.cat([piece.permute(0, 2, 3, 4, 1) for piece in pieces]).permute(0, 4, 1, 2, 3)
        rows = self._computed(batch)
        first = 0
        for waiting, share in shares:
            waiting.rows.append(rows[first : first + share])
            waiting.done += share
            first += share
        while self.queue and not self.queue[0].left:
            done = self.queue.popleft()
            yield ComputedViews(done.video, np.concatenate(done.rows))

    def _computed(self, batch: Clip) -> np.ndarray:
        """Compute a batch, in smaller parts when memory runs out."""
        parts: list[np.ndarray] = []
        place = 0
        while place < len(batch):
            part = batch[place : place + self.most]
            try:
                parts.append(self.compute(part).float().numpy())
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise self._too_large(batch) from None
                self.most = len(part) // 2
            else:
                place += len(part)
                continue
            log.info("memory ran out with %d views in a batch; going on with %d", len(part), self.most)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()  # fragments of the failed attempt
        return np.concatenate(parts)

    def _too_large(self, batch: Clip) -> UserError:
        frames, height, width = batch.shape[2:]
        return UserError(
            f"a single view of {frames} frames of {height}x{width} does not fit into the memory of {self.device}; "
            "use a protocol with fewer frames, --precision bf16, or another device."
        )


def views_that_fit(view_bytes: int, device: torch.device) -> int:
    """Estimate how many views a batch may have.

    Args:
        view_bytes: Bytes of a view as uint8.
        device: On a GPU half of the memory that is free is used, elsewhere 1 GiB: larger batches gain nothing there.
    """
    budget = _CPU_BUDGET
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch has reserved and does not use is free too, for torch.
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        budget = int(free * _GPU_SHARE)
    return max(1, min(MAX_BATCH_VIEWS, budget // (view_bytes * _WORKING_BYTES)))


_OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""How torch's host allocator, the CUDA runtime and cuBLAS say it, each in an error of no class of its own."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that an allocation failed, on an accelerator or on the host."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _OUT_OF_MEMORY)
