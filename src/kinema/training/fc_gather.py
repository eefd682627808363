"""Training on several processes without exchanging the gradients of large fully connected layers.

VGG-16 has nine tenths of its parameters in three layers. Where these see the clips of all processes, every process
finds their whole gradient by itself. What travels instead is what goes into them, which is small.

Source: "Towards Good Practices for Very Deep Two-Stream ConvNets" (arXiv 1507.02159), section 2.2.
Differs from the paper: each process takes the loss of its own clips, so that labels stay where they are; the gradients
of the scores, which are as small, are gathered in the backward pass instead.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn import functional

from kinema.compute.engine import Engine
from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.models.fully_connected import FullyConnectedHead

if TYPE_CHECKING:
    from kinema.shapes import Clip, Features, Logits
    from kinema.specs.compute import Compute

BROADCAST_EVERY = 1000
"""Passes between two in which the main process's head replaces the others': where their devices are of different kinds,
sums are rounded differently, and nothing else would keep the weights from drifting apart."""


class ConvolutionalPart(nn.Module):
    """A model up to its head, holding the parameters of that part alone.

    Args:
        model: The whole network.
    """

    def __init__(self, model: ActionModel) -> None:
        super().__init__()
        self.parts = nn.ModuleList(child for child in model.children() if child is not model.head)
        self._features = model.features

    def forward(self, clip: Clip) -> Features:
        """The last feature map, ``b d t' h' w'``."""
        return self._features(clip)


class GatheredNetwork(nn.Module):
    """A network whose convolutions see this process's clips, and whose fully connected layers see those of all.

    Gradients are those of ``DistributedDataParallel``: of every parameter, the average over the processes of the
    gradient of each one's own loss. A unit that is dropped is dropped in every process; each pass draws anew.
    Every process has to make the same number of passes; they may have different numbers of clips.

    Attributes:
        convolutions: The part whose gradients are exchanged.
        exchanges: Whether it has any; frozen layers have not.
        head: The fully connected layers, whose gradients every process has in full.

    Args:
        model: The whole network, on its device.
        exchanged: Wraps the convolutional part so that its gradients are averaged over the processes.
        autocast: Computes in the run's precision inside its block.
        compile: Pass the convolutional part through ``torch.compile``.

    Raises:
        UserError: The model has no large fully connected layers.
    """

    def __init__(
        self,
        model: ActionModel,
        *,
        exchanged: Callable[[nn.Module], nn.Module],
        autocast: Callable[[], AbstractContextManager[Any]],
        compile: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model.head, FullyConnectedHead):
            raise UserError(
                f"{model.name} has no large fully connected layers in front of its classifier, so gathering has "
                "nothing to save; leave out --fc-gather (it is for VGG and clarifainet)"
            )
        self.head = model.head
        part = ConvolutionalPart(model)
        if compile:
            part.compile()
        self.exchanges = any(parameter.requires_grad for parameter in part.parameters())
        self.convolutions = exchanged(part) if self.exchanges else part
        self._autocast = autocast
        self._num_passes = 0

    def forward(self, clip: Clip) -> Logits:
        """Score this process's clips; ``b c t h w`` to ``b classes``."""
        if self._num_passes % BROADCAST_EVERY == 0:
            for parameter in self.head.parameters():
                torch.distributed.broadcast(parameter.detach(), src=0)
        self._num_passes += 1
        with self._autocast():
            features = self.convolutions(clip)
            steps = self.head.steps_of(features)
            if torch.is_autocast_enabled(steps.device.type):  # as the layers will want them, and half the size
                steps = steps.to(torch.get_autocast_dtype(steps.device.type))
            counts, seed = _agreement(steps)
            with torch.random.fork_rng([steps.device] if steps.device.type == "cuda" else []):
                torch.manual_seed(seed)
                scores = self.head.score_steps(_OfAll.apply(steps, counts))
            own = self.head.consensus(_Own.apply(scores, counts), features.shape[2])
        return own.to(torch.promote_types(own.dtype, torch.float32))


class GatheringEngine(Engine):
    """An engine for several processes that gathers what enters large fully connected layers."""

    gathers = True

    @classmethod
    def require(cls, compute: Compute) -> None:
        """See ``Engine``.

        Raises:
            UserError: There is one process only; and as there.
        """
        super().require(compute)
        if compute.devices * compute.nodes == 1:
            raise UserError("fc gathering is for several processes; leave it out, or give more devices")

    def prepare(self, model: nn.Module, *, compile: bool) -> nn.Module:
        """See ``Engine``; the convolutions alone are wrapped."""
        assert isinstance(model, ActionModel), "no other network has a head that could be gathered"
        model.to(self.device, self.dtype)
        return GatheredNetwork(model, exchanged=self.exchanging, autocast=self.autocast, compile=compile)

    def without_exchange(self, network: nn.Module, wanted: bool) -> AbstractContextManager[None]:
        """See ``Engine``; frozen convolutions exchange nothing anyway."""
        assert isinstance(network, GatheredNetwork), "prepare has made it"
        return super().without_exchange(network.convolutions, wanted) if network.exchanges else nullcontext()


class _OfAll(torch.autograd.Function):
    """The rows of all processes in the order of ranks; back go those of this process."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return _gathered(rows, counts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        # The share of one process of an average; those who take it average over the processes again.
        return _own_rows(gradient, ctx.counts) * len(ctx.counts), None


class _Own(torch.autograd.Function):
    """The rows of this process; back go those of all, as shares of an average over the processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return _own_rows(rows, counts).clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _gathered(gradient / len(ctx.counts), ctx.counts), None


def _agreement(rows: Tensor) -> tuple[list[int], int]:
    """How many rows each process has, and the number from which all of them draw what is dropped."""
    own = torch.stack([torch.tensor(len(rows)), torch.randint(2**62, ())]).to(rows.device)
    everyones = own.new_empty(torch.distributed.get_world_size() * len(own))
    torch.distributed.all_gather_into_tensor(everyones, own)
    counts, seeds = everyones.view(-1, len(own)).T.tolist()
    return counts, seeds[0]


def _gathered(rows: Tensor, counts: list[int]) -> Tensor:
    """The rows of all processes; each sends as many as the one that has most, for a gathering needs equal sizes."""
    most = max(counts)
    own = functional.pad(rows, (0, 0, 0, most - len(rows))).contiguous()
    everyones = own.new_empty(most * len(counts), own.shape[1])
    torch.distributed.all_gather_into_tensor(everyones, own)
    if min(counts) == most:
        return everyones
    return torch.cat([part[:count] for part, count in zip(everyones.split(most), counts, strict=True)])


def _own_rows(rows: Tensor, counts: list[int]) -> Tensor:
    return rows.split(counts)[torch.distributed.get_rank()]
