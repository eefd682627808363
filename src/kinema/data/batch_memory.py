"""Memory in which the workers of a loader hand their batches over, used again and again.

Fresh shared memory is slow: the system clears each of its pages when a worker touches it first, and maps it once more
in the process that receives the batch. With long clips that took a seventh to a quarter of a worker's time.
"""

from __future__ import annotations

import itertools
import math
import os
import weakref
from collections.abc import Sequence
from ctypes import c_bool
from multiprocessing.sharedctypes import RawArray
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate

SLOTS_PER_WORKER = 3
"""Two batches that a worker may have ready (torch's default) and one in the hands of the run.

For a moment a run holds two; a fast worker then sends one batch in memory of its own."""

_keys = itertools.count()
_receiving: weakref.WeakValueDictionary[int, BatchMemory] = weakref.WeakValueDictionary()


class BatchMemory:
    """A few slots of shared memory for each worker, each holding one batch until the run has let go of it.

    A worker takes the first of its slots that is free, and the tensor that the run receives frees the slot when the
    last view of it is gone. When a run keeps more batches than there are slots, further ones travel in memory of their
    own, so a batch never changes in the hands of the process that received it. One that is forked meanwhile and wants
    to keep a batch has to copy it.

    Args:
        num_workers: Workers of the loader, numbered from 0.
    """

    def __init__(self, num_workers: int) -> None:
        self._taken = RawArray(c_bool, num_workers * SLOTS_PER_WORKER)
        self._written: dict[int, torch.Tensor] = {}  # in a worker: its own slots
        self._received: dict[int, np.ndarray] = {}  # in the process that receives: the same memory
        self._key = next(_keys)
        _receiving[self._key] = self

    def stack(self, worker: int, items: Sequence[torch.Tensor], axes: tuple[int, ...]) -> Any:
        """Join tensors into a batch inside a worker.

        Args:
            worker: The worker's number.
            items: Tensors of one shape and type.
            axes: The order in which the run sees the axes of the batch, of which 0 counts the items.

        Returns:
            What comes out as a tensor in the process that receives it.
        """
        first = worker * SLOTS_PER_WORKER
        slot = next((slot for slot in range(first, first + SLOTS_PER_WORKER) if not self._taken[slot]), None)
        if slot is None:
            return default_collate(list(items)).permute(axes)
        self._taken[slot] = True
        shape = (len(items), *items[0].shape)
        memory = self._written.get(slot)
        if memory is None or memory.numel() < math.prod(shape) or memory.dtype != items[0].dtype:
            # Unlike torch.stack, this writes into memory that is shared already.
            self._written[slot] = memory = default_collate(list(items)).flatten()
            return _Lent(self._key, slot, shape, axes, memory)
        torch.stack(list(items), out=memory[: math.prod(shape)].view(shape))
        return _Lent(self._key, slot, shape, axes, None)

    def receive(
        self, slot: int, shape: tuple[int, ...], axes: tuple[int, ...], memory: torch.Tensor | None
    ) -> torch.Tensor:
        """Find the batch in a slot; it is free for the next one when the tensor given back and its views are gone.

        Args:
            slot: Where a worker wrote it.
            shape: Of the batch, as it was written.
            axes: The order of axes that is wanted.
            memory: The slot's memory when the batch is the first in it.
        """
        if memory is not None:
            self._received[slot] = memory.numpy()
        # An array of its own, which lives exactly as long as the tensor's storage.
        batch = self._received[slot][: math.prod(shape)].reshape(shape)
        freed = weakref.finalize(batch, _let_go, self._taken, slot, os.getpid())
        freed.atexit = False  # type: ignore[misc]
        return torch.from_numpy(batch).permute(axes)


class _Lent:
    """A batch on its way out of a worker: arrives as a tensor."""

    def __init__(self, *address: Any) -> None:
        self._address = address

    def __reduce__(self) -> tuple[Any, ...]:
        return _receive, self._address


def _receive(key: int, *address: Any) -> torch.Tensor:
    return _receiving[key].receive(*address)


def _let_go(taken: Any, slot: int, owner: int) -> None:
    if os.getpid() == owner:  # the array's copy in a process forked meanwhile ends too, and frees nothing
        taken[slot] = False
