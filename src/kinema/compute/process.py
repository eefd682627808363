"""A process that computes: its device and precision, and what it exchanges with those that share its work."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
import torch.distributed

from kinema.compute.allocation import freed_memory_kept
from kinema.compute.devices import CPU, find_device
from kinema.compute.environment import launched_from_outside, require_cores
from kinema.errors import one_of
from kinema.specs.compute import Compute

Value = TypeVar("Value")

AUTOCAST_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Precisions in which a network can be scored, each with the type of numbers inside it."""

_LONGEST_WAIT = timedelta(days=7)  # for the slowest process of a job; a dead one ends the job at once in other ways


class Process:
    """One of the processes that share a piece of work, or the only one.

    Args:
        device: Where the network computes.
        rank: Number of this process, from 0.
        world: Number of processes; with more than one, a process group of torch exists.
        precision: One of ``precisions``.

    Attributes:
        precisions: Those that this kind of process can compute in.
    """

    precisions: Sequence[str] = tuple(AUTOCAST_TYPES)

    def __init__(self, device: torch.device = CPU, rank: int = 0, world: int = 1, precision: str = "fp32") -> None:
        self.device, self.rank, self.world = device, rank, world
        self.precision = one_of("precision", precision, self.precisions)

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def gather(self, value: Value) -> list[Value]:
        """Collect one picklable value of every process, in the order of ranks."""
        if self.world == 1:
            return [value]
        collected: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(collected, value)
        return collected

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the wanted precision inside the block."""
        dtype = AUTOCAST_TYPES.get(self.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    @classmethod
    def load(cls) -> None:
        """Import what all processes of this kind need and torch leaves until it is used, before they are forked."""

    @classmethod
    def alone(cls, compute: Compute) -> Self:
        """A process that does all of the work."""
        return cls(find_device(compute.device), precision=compute.precision)

    @classmethod
    def require(cls, compute: Compute) -> None:
        """Refuse what this machine cannot do, before any process is started.

        Raises:
            UserError: A device is not here, the precision is another kind's, or there are too many processes.
        """
        one_of("precision", compute.precision, cls.precisions)
        find_device(compute.device)
        require_cores(compute.devices)

    @staticmethod
    def is_started() -> bool:
        """Whether torchrun, or the launcher, has started this process as one of several."""
        return launched_from_outside()

    @classmethod
    @contextmanager
    def joined(cls, compute: Compute) -> Generator[Self]:
        """Take part in the work as the process that the environment says this is; alone where it says nothing.

        A process group of torch that exists already is used and kept.

        Args:
            compute: Device and precision; how many processes there are is left to who has started them.
        """
        if not cls.is_started():
            with freed_memory_kept():
                yield cls.alone(compute)
            return
        is_ours = not torch.distributed.is_initialized()
        if is_ours:
            torch.distributed.init_process_group("gloo", timeout=_LONGEST_WAIT)
        try:
            device = find_device(compute.device, int(os.environ.get("LOCAL_RANK", "0")))
            rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
            with freed_memory_kept():
                yield cls(device, rank, world, compute.precision)
        finally:
            if is_ours:
                torch.distributed.destroy_process_group()
