"""Training on one or several processes: precision, the exchange of gradients, and messages, by torch's own means."""

from __future__ import annotations

import atexit
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Self, TypeVar

import torch
import torch.distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from kinema.compute.allocation import freed_memory_kept
from kinema.compute.devices import find_device
from kinema.compute.environment import (
    local_ranks_from_outside,
    meet_where_slurm_says,
    processes_from_outside,
    rank_and_world_from_outside,
    require_cores,
)
from kinema.compute.mixed_precision import MixedPrecision
from kinema.compute.process import AUTOCAST_TYPES, CPU, Process
from kinema.errors import UserError, one_of
from kinema.specs.compute import PRECISIONS, Compute

Value = TypeVar("Value")

_LONGEST_WAIT = timedelta(minutes=30)  # a process that waits longer in an exchange takes the others for dead


class Engine(Process):
    """A process that trains: gradients, and the sums and messages that it shares with the others.

    Attributes:
        scaler: Loss scaler of fp16, which needs one against underflow, else None; a checkpoint keeps its state.
        dtype: Of clips and weights.
        gathers: Whether the inputs of large fully connected layers are gathered instead of exchanging their gradients.
        sum_dtype: For sums over an epoch; the widest that the device has.
    """

    precisions = PRECISIONS
    gathers = False

    def __init__(self, device: torch.device = CPU, rank: int = 0, world: int = 1, precision: str = "fp32") -> None:
        super().__init__(device, rank, world, precision)
        self.scaler = torch.amp.GradScaler("cuda") if precision == "fp16" else None
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

    @classmethod
    def load(cls) -> None:
        """See ``Process``: the exchange of gradients loads torch's compiler."""
        torch.compiler.disable(lambda: None)

    @staticmethod
    def is_started() -> bool:
        """Whether torchrun, SLURM's srun or the launcher has started this process as one of several."""
        return processes_from_outside() > 1

    @classmethod
    @contextmanager
    def joined(cls, compute: Compute) -> Generator[Self]:
        """Take part in the work as the process that the environment says this is."""
        device = _find_device(compute)
        rank, world = 0, 1
        with warnings.catch_warnings(), freed_memory_kept():
            _silence_notices()
            if cls.is_started():
                rank, world = rank_and_world_from_outside()
                device = find_device(device.type, local_ranks_from_outside()[0])
            if device.type == "cuda":
                torch.cuda.set_device(device)
            if world > 1 and not torch.distributed.is_initialized():
                _meet(device, rank, world)
            yield cls(device, rank, world, compute.precision)

    def prepare(self, model: nn.Module, *, compile: bool) -> nn.Module:
        """Move a model to the device and return it wrapped for precision, compilation and gradient exchange.

        The parameters stay the same objects, so that an optimizer that was made before goes on to serve them.
        """
        model.to(self.device, self.dtype)
        if compile:
            model.compile()
        return self.exchanging(model)

    def exchanging(self, part: nn.Module) -> nn.Module:
        """Wrap a part of a network, on its device, for precision and so that its gradients are averaged."""
        if dtype := AUTOCAST_TYPES.get(self.precision):
            part = MixedPrecision(part, self.device.type, dtype)
        if self.world == 1:
            return part
        return DistributedDataParallel(part, device_ids=None if self.device.type == "cpu" else [self.device.index])

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of a loss, scaled where the precision needs it."""
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def clip_gradients(self, optimizer: torch.optim.Optimizer, max_norm: float) -> None:
        """Scale the whole gradient of an optimizer's parameters down to ``max_norm`` where it is longer."""
        if self.scaler:
            self.scaler.unscale_(optimizer)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, max_norm)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Change the parameters by their gradients; where a scaled one has overflowed, lower the scale instead."""
        if self.scaler:
            self.scaler.step(optimizer)
            self.scaler.update()
        else:
            optimizer.step()

    def without_exchange(self, network: nn.Module, wanted: bool) -> AbstractContextManager[None]:
        """Keep gradients local inside the block when ``wanted``: all but the last part of an accumulated step."""
        return network.no_sync() if wanted and isinstance(network, DistributedDataParallel) else nullcontext()

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over all processes."""
        if self.world == 1:
            return values  # on the device it is not wanted, and not every device has doubles
        total = values.to(self.device, copy=True)
        torch.distributed.all_reduce(total)
        return total

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
        if self.world > 1:
            box = [answer]
            torch.distributed.broadcast_object_list(box)
            answer = box[0]
        value, error = answer
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


def _meet(device: torch.device, rank: int, world: int) -> None:
    """Form the group of all processes, which lasts as long as they do."""
    meet_where_slurm_says()
    is_cuda = device.type == "cuda"
    torch.distributed.init_process_group(
        "nccl" if is_cuda else "gloo",
        timeout=_LONGEST_WAIT,
        rank=rank,
        world_size=world,
        device_id=device if is_cuda else None,
    )
    if is_cuda:
        atexit.register(_part)  # NCCL complains where it is not done


def _part() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _silence_notices() -> None:
    """Hide what torch remarks about the insides of its exchange, which a user can do nothing about."""
    warnings.filterwarnings("ignore", module="torch.distributed")
    # The strides of a 1x1 convolution's gradient are ambiguous; the copy that it costs is a few kilobytes.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
