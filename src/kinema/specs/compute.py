"""Where a network runs, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass

from kinema.errors import UserError, one_of

PRECISIONS = ("fp32", "bf16", "fp16", "fp64")
"""What ``precision`` may be; ``fp64`` in training only."""


@dataclass(frozen=True, kw_only=True)
class Compute:
    """The devices of a piece of work, one process for each.

    Attributes:
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        devices: Processes on each machine; with GPUs each has one of its own.
        nodes: Machines; more than one needs torchrun or srun.
        precision: One of ``PRECISIONS``, inside the network.

    Raises:
        UserError: A value is not allowed; names of devices are looked up only where the work is done.
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "fp32"

    def __post_init__(self) -> None:
        one_of("precision", self.precision, PRECISIONS)
        for name in ("devices", "nodes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
