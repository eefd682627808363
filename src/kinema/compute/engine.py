"""Processes, devices and precision, through Lightning Fabric, which only this file knows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Self, TypeVar

import torch
import torch.distributed
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from kinema.compute.allocation import freed_memory_kept
from kinema.compute.devices import find_device
from kinema.compute.environment import processes_from_outside, require_cores
from kinema.compute.process import Process
from kinema.errors import UserError, one_of
from kinema.specs.compute import PRECISIONS, Compute

Value = TypeVar("Value")

# fp64 is a network of another type under Fabric's "no change"; its own "64-true" rounds logits to fp32.
_FABRIC_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp64": "32-true"}
# Fabric announces every process.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


class Engine(Process):
    """A process that trains: gradients, and the sums and messages that it shares with the others.

    Attributes:
        scaler: Loss scaler of fp16, else None.
        dtype: Of clips and weights.
        gathers: Whether the inputs of large fully connected layers are gathered instead of exchanging their gradients.
        sum_dtype: For sums over an epoch; the widest that the device has.
    """

    precisions = PRECISIONS
    gathers = False

    def __init__(self, fabric: Fabric, scaler: torch.amp.GradScaler | None, precision: str) -> None:
        super().__init__(torch.device(fabric.device), fabric.global_rank, fabric.world_size, precision)
        self._fabric = fabric
        self.scaler = scaler
        self.dtype = torch.float64 if precision == "fp64" else torch.float32
        self.sum_dtype = torch.float32 if self.device.type == "mps" else torch.float64

    @classmethod
    def require(cls, compute: Compute) -> None:
        """Refuse what this machine cannot do, before any process is started.

        Raises:
            UserError: A device is not here, or is of a kind that nobody trains on; fp16 is wanted elsewhere than on
                CUDA; there are too few devices; or those who started this process started another number.
        """
        one_of("precision", compute.precision, cls.precisions)
        started, wanted = processes_from_outside(), compute.devices * compute.nodes
        if compute.nodes > 1 and started == 1:
            raise UserError(
                f"{compute.nodes} nodes need their processes started by torchrun or SLURM's srun on every node"
            )
        if started not in (1, wanted):
            raise UserError(
                f"torchrun or srun has started {started} processes, "
                f"but devices x nodes is {compute.devices} x {compute.nodes}"
            )
        device = _find_device(compute)
        if compute.precision == "fp16" and device.type != "cuda":
            raise UserError("precision fp16 needs a CUDA device; use bf16 or fp32 here")
        if device.type == "cpu":
            require_cores(compute.devices)
            return
        most = torch.cuda.device_count() if device.type == "cuda" else 1
        if compute.devices > most:
            raise UserError(
                f"devices is {compute.devices}, but this machine has {most} for {device.type}; give fewer devices"
            )

    @staticmethod
    def is_started() -> bool:
        """Whether torchrun, SLURM's srun or the launcher has started this process as one of several."""
        return processes_from_outside() > 1

    @classmethod
    @contextmanager
    def joined(cls, compute: Compute) -> Generator[Self]:
        """Take part in the work as the process that the environment says this is."""
        device = _find_device(compute)
        is_numbered = compute.device.startswith("cuda:")
        # The loss scaler that fp16 needs against underflow is ours, so that a checkpoint can keep its state.
        scaler = torch.amp.GradScaler("cuda") if compute.precision == "fp16" else None
        with warnings.catch_warnings(), freed_memory_kept():
            _silence_notices()
            fabric = Fabric(
                accelerator=device.type,
                devices=[device.index] if is_numbered else compute.devices,
                num_nodes=compute.nodes,
                strategy="ddp" if compute.devices * compute.nodes > 1 else "auto",
                precision=None if scaler else _FABRIC_PRECISIONS[compute.precision],  # type: ignore[arg-type]
                plugins=[MixedPrecision("16-mixed", device="cuda", scaler=scaler)] if scaler else None,
            )
            fabric.launch()
            yield cls(fabric, scaler, compute.precision)

    def prepare(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, *, compile: bool
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Move both to the device and return them wrapped for precision, compilation and gradient exchange."""
        model.to(self.dtype)
        if compile:
            model.compile()
        return self._fabric.setup(model, optimizer)

    def exchanging(self, part: nn.Module) -> nn.Module:
        """Wrap a part of a network, on its device, so that its gradients are averaged over the processes."""
        return self._fabric.setup_module(part)

    def stepping(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Wrap an optimizer of parameters that are on their device; for networks that are not wrapped as a whole."""
        return self._fabric.setup_optimizers(optimizer)  # pyrefly: ignore[bad-return]

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of a loss, scaled where the precision needs it."""
        self._fabric.backward(loss)

    def clip_gradients(self, network: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float) -> None:
        """Scale the whole gradient down to ``max_norm`` where it is longer."""
        self._fabric.clip_gradients(network, optimizer, max_norm=max_norm, error_if_nonfinite=False)

    def without_exchange(self, network: nn.Module, wanted: bool) -> AbstractContextManager[None]:
        """Keep gradients local inside the block when ``wanted``: all but the last part of an accumulated step."""
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

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Give every process the main one's buffers: between two steps each has running statistics of its own."""
        if self.world > 1:
            for buffer in model.buffers():
                torch.distributed.broadcast(buffer, src=0)

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


def _find_device(compute: Compute) -> torch.device:
    """The device of the first process of this machine.

    Raises:
        UserError: It is not here, it is of a kind that nobody trains on, or it is one for several processes.
    """
    device = find_device(compute.device, automatic=("cuda", "mps"))
    if device.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"nobody has trained on device {compute.device!r}; give auto, cpu, cuda, cuda:N or mps")
    if compute.device.startswith("cuda:") and compute.devices * compute.nodes > 1:
        raise UserError(
            f"device {compute.device!r} is a single GPU, but devices x nodes is {compute.devices} x {compute.nodes}; "
            "use --device cuda, which gives every process one of its own"
        )
    return device


def _silence_notices() -> None:
    """Hide what Fabric and DDP remark about their own insides, which a user can do nothing about."""
    warnings.filterwarnings("ignore", module="lightning_fabric")
    warnings.filterwarnings("ignore", module="torch.distributed")
    # The strides of a 1x1 convolution's gradient are ambiguous; the copy that it costs is a few kilobytes.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
