"""Batches of views: which views go into the next one, and how many of them the memory holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from kinema.inference.views import VideoViews
from kinema.shapes import Clip

MAX_BATCH_VIEWS = 128
"""More views at once make no network faster."""

_CPU_BUDGET_PER_THREAD, _CPU_BUDGET_MOST = 1 << 27, 1 << 30
_GPU_FRACTION = 0.5
_WORKING_BYTES = 100
"""Memory that a network takes for each byte of a uint8 view, in float32: 47 (ResNet-18) to 141 (ResNet-50 with
non-local blocks) were measured on the CPU. Halving the batch when memory runs out corrects the rest."""


class ViewRows(NamedTuple):
    """A video and what a network makes of each of its views.

    Attributes:
        video: The video.
        rows: Float32, axes ``v ...``, in the order of the views.
    """

    video: VideoViews
    rows: np.ndarray


class _Waiting:
    """A video of which some views have no row yet."""

    def __init__(self, video: VideoViews) -> None:
        self.video = video
        self.num_taken = 0
        self.rows: list[np.ndarray] = []


class ViewQueue:
    """Videos between the decoder and the network: their views leave in batches, and rows come back for them.

    Views are cut out of their video's frames only for the batch that they are in. All waiting views have one shape.
    """

    def __init__(self) -> None:
        self._videos: deque[_Waiting] = deque()

    def __len__(self) -> int:
        """Views that are in no batch yet."""
        return sum(len(waiting.video) - waiting.num_taken for waiting in self._videos)

    @property
    def first(self) -> VideoViews:
        """The video that waits longest."""
        return self._videos[0].video

    def has_room_for(self, video: VideoViews) -> bool:
        """Whether the video's views can be in a batch with those that wait."""
        return not self._videos or self.first.view_shape == video.view_shape

    def add(self, video: VideoViews) -> None:
        """Let a video wait."""
        assert self.has_room_for(video), "views of two shapes are in no batch together"
        self._videos.append(_Waiting(video))

    def take(self, count: int) -> Clip:
        """Cut out the next batch: ``count`` views, or all where fewer wait.

        Returns:
            Axes ``v c t h w``, uint8, channels-last in memory.
        """
        pieces: list[torch.Tensor] = []
        for waiting in self._videos:
            piece = waiting.video.clips(waiting.num_taken, waiting.num_taken + count)
            waiting.num_taken += len(piece)
            count -= len(piece)
            pieces.append(piece.permute(0, 2, 3, 4, 1))  # joined in the order of memory, so that the batch has it too
            if count == 0:
                break
        return torch.cat(pieces).permute(0, 4, 1, 2, 3)

    def put_back(self, rows: np.ndarray) -> Iterator[ViewRows]:
        """Hand in the rows of the batch that was taken last; gives the videos that are complete now."""
        for waiting in self._videos:
            missing = waiting.num_taken - sum(map(len, waiting.rows))
            if missing:
                waiting.rows.append(rows[:missing])
                rows = rows[missing:]
        assert not len(rows), "one row for each view of the batch"
        while self._videos and sum(map(len, self._videos[0].rows)) == len(self.first):
            done = self._videos.popleft()
            yield ViewRows(done.video, np.concatenate(done.rows))


def views_that_fit(view_bytes: int, device: torch.device) -> int:
    """Estimate how many views a batch may have.

    Args:
        view_bytes: Bytes of a view as uint8.
        device: On a GPU half of the memory that is free is used, elsewhere 128 MiB for each thread, at most 1 GiB:
            larger batches took between 8 % less and 10 % more time a view, and two to three times the memory.
    """
    budget = min(_CPU_BUDGET_PER_THREAD * torch.get_num_threads(), _CPU_BUDGET_MOST)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch has reserved and does not use is free too, for torch.
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        budget = int(free * _GPU_FRACTION)
    return max(1, min(MAX_BATCH_VIEWS, budget // (view_bytes * _WORKING_BYTES)))


_OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""How torch's host allocator, the CUDA runtime and cuBLAS say it, each in an error of no class of its own."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that an allocation failed, on an accelerator or on the host."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _OUT_OF_MEMORY)
