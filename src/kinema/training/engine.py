"""Processes, devices and precision, through Lightning Fabric, which only this file knows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from kinema.compute.environment import processes_from_outside, require_cores
from kinema.errors import UserError, one_of
from kinema.specs.recipe import PRECISIONS
from kinema.training.fc_gather import GatheredNetwork

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel

Value = TypeVar("Value")

# fp64 is a network of another type under Fabric's "no change"; its own "64-true" rounds logits to fp32.
_FABRIC_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp64": "32-true"}
# Fabric announces every process.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Where a run computes.

    Attributes:
        devices: Processes on this node, one per device.
        nodes: Machines; more than one needs torchrun or SLURM to start the processes.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: One of ``fp32``, ``bf16``, ``fp16``, ``fp64``.
        fc_gather: With several processes, gather what goes into large fully connected layers instead of exchanging
            their gradients.
    """

    devices: int = 1
    nodes: int = 1
    accelerator: str = "auto"
    precision: str = "fp32"
    fc_gather: bool = False

    def __post_init__(self) -> None:
        one_of("accelerator", self.accelerator, ("auto", "cpu", "cuda", "mps"))
        one_of("precision", self.precision, PRECISIONS)
        if self.fc_gather and self.devices * self.nodes == 1:
            raise UserError("fc gathering is for several processes; leave it out, or give more devices")
        if self.devices < 1 or self.nodes < 1:
            raise UserError(f"devices is {self.devices} and nodes is {self.nodes}; both must be at least 1")
        started, wanted = processes_from_outside(), self.devices * self.nodes
        if self.nodes > 1 and started == 1:
            raise UserError(
                f"{self.nodes} nodes need their processes started by torchrun or SLURM's srun on every node"
            )
        if started not in (1, wanted):
            raise UserError(
                f"torchrun or srun has started {started} processes, "
                f"but devices x nodes is {self.devices} x {self.nodes}"
            )


class Engine:
    """One process of a run: its device, and the sums and messages it shares with the others.

    Attributes:
        scaler: Loss scaler of fp16, else None.
        device: Where this process computes.
        rank: Number of this process, from 0.
        world: Number of processes.
        dtype: Of clips and weights.
        gathers: Whether the inputs of large fully connected layers are gathered, see ``fc_gather``.
        sum_dtype: For sums over an epoch; the widest that the device has.
    """

    device: torch.device
    rank: int
    world: int

    def __init__(self, fabric: Fabric, scaler: torch.amp.GradScaler | None, hardware: Hardware) -> None:
        self._fabric = fabric
        self.scaler = scaler
        self.device: torch.device = torch.device(fabric.device)
        self.rank: int = fabric.global_rank
        self.world: int = fabric.world_size
        self.dtype = torch.float64 if hardware.precision == "fp64" else torch.float32
        self.gathers = hardware.fc_gather
        self.sum_dtype = torch.float32 if self.device.type == "mps" else torch.float64

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def prepare(
        self, model: ActionModel, optimizer: torch.optim.Optimizer, *, compile: bool
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Move both to the device and return them wrapped for precision, compilation and gradient exchange."""
        model.to(self.dtype)
        if not self.gathers:
            if compile:
                model.compile()
            return self._fabric.setup(model, optimizer)
        network = GatheredNetwork(
            model.to(self.device), exchanged=self._fabric.setup_module, autocast=self.autocast, compile=compile
        )
        return network, self._fabric.setup_optimizers(optimizer)  # pyrefly: ignore[bad-return]

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of a loss, scaled where the precision needs it."""
        self._fabric.backward(loss)

    def clip_gradients(self, network: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float) -> None:
        """Scale the whole gradient down to ``max_norm`` where it is longer."""
        self._fabric.clip_gradients(network, optimizer, max_norm=max_norm, error_if_nonfinite=False)

    def without_exchange(self, network: nn.Module, wanted: bool) -> AbstractContextManager[None]:
        """Keep gradients local inside the block when ``wanted``: all but the last part of an accumulated step."""
        if isinstance(network, GatheredNetwork):
            if not network.exchanges:
                return nullcontext()
            network = network.convolutions
        return self._fabric.no_backward_sync(network, enabled=wanted)  # pyrefly: ignore[bad-argument-type]

    def autocast(self) -> AbstractContextManager[None]:
        """Compute in the run's precision inside the block."""
        return self._fabric.autocast()

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over all processes."""
        if self.world == 1:
            return values  # Fabric would move it to the device, and not every device has doubles
        reduced = self._fabric.all_reduce(values, reduce_op="sum")
        assert isinstance(reduced, torch.Tensor)
        return reduced

    def share_buffers(self, model: nn.Module) -> None:
        """Give every process the main one's buffers: between two steps each has running statistics of its own."""
        if self.world > 1:
            for buffer in model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def gather(self, value: Value) -> list[Value]:
        """Collect one picklable value of every process, in the order of ranks."""
        if self.world == 1:
            return [value]
        collected: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(collected, value)
        return collected

    def from_main(self, compute: Callable[[], Value]) -> Value:
        """Run ``compute`` on the main process alone and give its result, or its UserError, to every process."""
        answer: tuple[Value | None, UserError | None] = (None, None)
        if self.is_main:
            try:
                answer = compute(), None
            except UserError as error:
                if self.world == 1:
                    raise
                answer = None, error
        value, error = self._fabric.broadcast(answer) if self.world > 1 else answer
        if error is not None:
            error.by_all = True
            raise error
        return value  # pyrefly: ignore[bad-return]


def join(hardware: Hardware) -> Engine:
    """Join the run as the process that the environment says this is.

    Raises:
        UserError: See ``require_device``.
    """
    require_device(hardware)
    # The loss scaler that fp16 needs against underflow is ours, so that a checkpoint can keep its state.
    scaler = torch.amp.GradScaler("cuda") if hardware.precision == "fp16" else None
    fabric = Fabric(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.nodes,
        strategy="ddp" if hardware.devices * hardware.nodes > 1 else "auto",
        precision=None if scaler else _FABRIC_PRECISIONS[hardware.precision],  # type: ignore[arg-type]
        plugins=[MixedPrecision("16-mixed", device="cuda", scaler=scaler)] if scaler else None,
    )
    fabric.launch()
    return Engine(fabric, scaler, hardware)


def require_device(hardware: Hardware) -> None:
    """Make sure that the devices of a run are here.

    Raises:
        UserError: CUDA (by name or by fp16) or MPS is asked for and torch sees none, or more devices than there are.
    """
    here = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available(), "cpu": True}
    if not here.get(hardware.accelerator, True):
        name = hardware.accelerator
        raise UserError(f"accelerator is {name!r}, but torch sees no {name.upper()} device here; use auto or cpu")
    if hardware.precision == "fp16" and (hardware.accelerator == "cpu" or not here["cuda"]):
        raise UserError("precision fp16 needs a CUDA device; use bf16 or fp32 here")
    kind = next(kind for kind, is_here in here.items() if is_here and hardware.accelerator in (kind, "auto"))
    if kind == "cpu":
        require_cores(hardware.devices)
        return
    most = torch.cuda.device_count() if kind == "cuda" else 1
    if hardware.devices > most:
        raise UserError(f"devices is {hardware.devices}, but this machine has {most} for {kind}; give fewer devices")


def silence_notices() -> None:
    """Hide what Fabric and DDP remark about their own insides, which a user can do nothing about."""
    warnings.filterwarnings("ignore", module="lightning_fabric")
    warnings.filterwarnings("ignore", module="torch.distributed")
    # The strides of a 1x1 convolution's gradient are ambiguous; the copy that it costs is a few kilobytes.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
