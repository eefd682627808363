"""The process that scores videos, alone or as one of several that share them out."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed
import torch.multiprocessing

from kinema.compute.allocation import freed_memory_kept
from kinema.compute.environment import launched_from_outside, require_cores
from kinema.compute.sendable import require_sendable
from kinema.errors import UserError, one_of
from kinema.models.register import Registered, register_all, registered

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What ``precision`` may be, and the type of numbers inside the network; scores are averaged in wider ones."""

CPU = torch.device("cpu")

_LONGEST_WAIT = timedelta(days=7)  # for the slowest process of a job; a dead one ends the job at once in other ways


class Process(Protocol):
    """What scoring asks of the process it runs in; the engine of a training run is one."""

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        ...

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        ...

    @property
    def world(self) -> int:
        """Number of processes."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """Collect one picklable value of every process, in the order of ranks."""
        ...

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the wanted precision inside the block."""
        ...


@dataclass(frozen=True)
class ScoringProcess:
    """A process that only scores.

    Attributes:
        device: Where the network computes.
        rank: Number of this process, from 0.
        world: Number of processes; with more than one, a process group of torch exists.
        precision: One of ``PRECISIONS``.
    """

    device: torch.device = CPU
    rank: int = 0
    world: int = 1
    precision: str = "fp32"

    def __post_init__(self) -> None:
        one_of("precision", self.precision, PRECISIONS)

    def gather(self, value: Any) -> list[Any]:
        """See ``Process``."""
        if self.world == 1:
            return [value]
        collected: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(collected, value)
        return collected

    def autocast(self) -> AbstractContextManager[Any]:
        """See ``Process``."""
        dtype = PRECISIONS[self.precision]
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)


def find_device(name: str, local_rank: int = 0) -> torch.device:
    """Find the device that a name means: ``auto`` (a GPU where there is one), or a name that torch knows.

    Args:
        name: The name; ``auto`` and ``cuda`` give each process of a machine its own GPU.
        local_rank: Number of the process on its machine.

    Raises:
        UserError: The name is not a device, or there is none such here.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda", local_rank % count) if count else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device {name!r}; give auto, cpu, cuda or cuda:N.") from error
    if device.type == "cuda":
        index = local_rank % count if device.index is None and count else device.index or 0
        if index >= count:
            raise UserError(f"device {name!r} is not here: torch sees {count} CUDA devices; use --device cpu.")
        return torch.device("cuda", index)
    return device


@contextmanager
def joined_process(device: str, precision: str) -> Iterator[ScoringProcess]:
    """Take part in a job that torchrun started; alone otherwise. A group that exists already is used and kept."""
    if not launched_from_outside():
        with freed_memory_kept():
            yield ScoringProcess(find_device(device), precision=precision)
        return
    ours = not torch.distributed.is_initialized()
    if ours:
        torch.distributed.init_process_group("gloo", timeout=_LONGEST_WAIT)
    try:
        with freed_memory_kept():
            yield ScoringProcess(
                find_device(device, int(os.environ.get("LOCAL_RANK", "0"))),
                torch.distributed.get_rank(),
                torch.distributed.get_world_size(),
                precision,
            )
    finally:
        if ours:
            torch.distributed.destroy_process_group()


def run_in_processes(
    num_processes: int, device: str, precision: str, work: Callable[..., Any], *arguments: object
) -> Any:
    """Run ``work(process, *arguments)`` in several new processes on this machine.

    Args:
        num_processes: How many; on a machine with GPUs one for each.
        device: See ``find_device``.
        precision: See ``ScoringProcess``.
        work: A function of a module (it is sent by name).
        *arguments: Picklable.

    Returns:
        What the first process returned.

    Raises:
        UserError: As ``work`` raised it in any process; or a process was killed; or there are too many.
    """
    require_cores(num_processes)
    require_sendable("the registered modules and backbones", registered())
    require_sendable("what is evaluated", arguments)
    with tempfile.TemporaryDirectory(prefix="kinema-") as folder:
        try:
            torch.multiprocessing.spawn(
                _work_in_process,
                (num_processes, Path(folder), device, precision, registered(), work, arguments),
                nprocs=num_processes,
            )
        except torch.multiprocessing.ProcessExitedException as error:
            for message in sorted(Path(folder).glob("error-*")):
                raise pickle.loads(message.read_bytes()) from None
            how = f"killed by {error.signal_name}" if error.signal_name else f"ended with exit code {error.exit_code}"
            raise UserError(
                f"process {error.error_index} of {num_processes} was {how}; nothing was scored. "
                "If memory ran out, use fewer processes or workers, or a smaller --batch-views."
            ) from None
        return pickle.loads((Path(folder) / "result").read_bytes())


def _work_in_process(
    rank: int,
    world: int,
    folder: Path,
    device: str,
    precision: str,
    parts: tuple[Registered, ...],
    work: Callable[..., Any],
    arguments: tuple[object, ...],
) -> None:
    """The body of a started process. A mistake of the user goes into a file, since torch would make it a long text."""
    torch.set_num_threads(max(1, torch.get_num_threads() // world))
    torch.distributed.init_process_group(
        "gloo", init_method=(folder / "rendezvous").as_uri(), rank=rank, world_size=world, timeout=_LONGEST_WAIT
    )
    try:
        register_all(parts)
        with freed_memory_kept():
            result = work(ScoringProcess(find_device(device, rank), rank, world, precision), *arguments)
    except UserError as error:
        (folder / f"error-{rank}").write_bytes(pickle.dumps(error))
        os._exit(1)  # the others may wait for this process in a collective, so a polite farewell would hang
    if rank == 0:
        (folder / "result").write_bytes(pickle.dumps(result))
    torch.distributed.destroy_process_group()
