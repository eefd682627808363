"""From the name of a device to the device, for one process or for several workers of one machine."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kinema.compute.environment import local_ranks_from_outside
from kinema.errors import UserError
from kinema.wording import counted

CPU = torch.device("cpu")


def is_here(kind: str) -> bool:
    """Whether torch sees a device of a kind (``cpu``, ``cuda`` or ``mps``); those of other kinds are taken as given."""
    if kind == "cuda":
        return torch.cuda.device_count() > 0
    return torch.backends.mps.is_available() if kind == "mps" else True


def find_device(name: str, local_rank: int = 0, *, automatic: Sequence[str] = ("cuda",)) -> torch.device:
    """Find the device that a name means.

    Args:
        name: ``auto``, or a name that torch knows, such as ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``auto`` and
            ``cuda`` give each process of a machine a GPU of its own.
        local_rank: Number of the process on its machine.
        automatic: Kinds among which ``auto`` takes the first that is here; the CPU where none is. Scoring leaves out
            ``mps``, which lacks operations of some networks that the CPU has.

    Raises:
        UserError: The name is not a device, or there is none such here.
    """
    if name == "auto":
        name = next((kind for kind in automatic if is_here(kind)), "cpu")
    device = parse_device(name)
    if not is_here(device.type) and device.type != "cuda":
        raise UserError(f"device {name!r} is not here: torch sees no {device.type.upper()} device; use --device cpu.")
    if device.type != "cuda":
        return device
    count = torch.cuda.device_count()
    index = local_rank % count if device.index is None and count else device.index or 0
    if index >= count:
        raise UserError(f"device {name!r} is not here: torch sees {counted(count, 'CUDA device')}; use --device cpu.")
    return torch.device("cuda", index)


def find_devices_of_workers(name: str) -> tuple[str, ...]:
    """Find the devices that the workers of this process take in turn.

    Args:
        name: As in :func:`find_device`; ``auto`` and ``cuda`` give all GPUs of the machine, divided among the processes
            that torchrun or SLURM has started on it.

    Raises:
        UserError: See :func:`find_device`.
    """
    count = torch.cuda.device_count()
    if name in ("auto", "cuda") and count:
        rank, num_processes = local_ranks_from_outside()
        own = [f"cuda:{index}" for index in range(rank % count, count, num_processes)]
        return tuple(own[: max(1, count // num_processes)])
    return (str(find_device(name)),)


def parse_device(name: str) -> torch.device:
    """Read a device's name, whether or not it is here.

    Raises:
        UserError: Torch knows no such device.
    """
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device {name!r}; give auto, cpu, cuda, cuda:N or mps.") from error


def one_device(device: str, accelerator: str | None) -> str:
    """Take the device's name from either of the two options that it may be given by.

    Raises:
        UserError: They name different ones.
    """
    if accelerator is None or accelerator == device:
        return device
    if device != "auto":
        raise UserError(
            f"device is {device!r} and accelerator is {accelerator!r}, two names of one option; give device"
        )
    return accelerator
