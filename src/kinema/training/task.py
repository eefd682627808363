"""What a run learns, as the training loop sees it: batches, the loss of a step, and a validation.

The loop knows steps, epochs, stopping and saving; a task knows data, loss and scores. Classification is one
(``kinema.training.classification``); others, such as detection or distillation, stand beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from kinema.compute.engine import Engine
    from kinema.data.manifest import Manifest
    from kinema.models.action_model import ActionModel
    from kinema.shapes import Clip
    from kinema.specs.preprocessing import Preprocessing
    from kinema.specs.recipe import Recipe
    from kinema.training.position import Position


class TaskBatch(Protocol):
    """What every task's batches hold; the rest is the task's own."""

    @property
    def clips(self) -> Clip:
        """Pixels, axes ``b c t h w``, uint8."""
        ...

    @property
    def indices(self) -> torch.Tensor:
        """Which samples of the training data they are, axis ``b``, int64."""
        ...


class PartLoss(NamedTuple):
    """What the network made of some samples of a step.

    Attributes:
        loss: Summed over the samples, a scalar with its graph; the loop divides it by the samples of the whole step.
        scores: Sums of the task's ``train_scores`` over the samples, scalars without a graph, in their order.
    """

    loss: torch.Tensor
    scores: tuple[torch.Tensor, ...] = ()


class Task(ABC):
    """What a run learns. One object for each process of the run, made for its device.

    Attributes:
        train_scores: Names of the scores (0..1) that are averaged over the samples of an epoch beside the loss, such
            as ``top1``; column ``train_top1`` of ``metrics.csv``.
        classes: Names of the classes, in the order of the network's outputs.
        preprocessing: What the checkpoint tells its users to do with frames.
        num_samples: Training samples of one pass.
        num_validation: Samples that are validated on; 0 for none.
        data_name: What messages call the training data.
    """

    train_scores: tuple[str, ...] = ()
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    num_samples: int
    num_validation: int
    data_name: str

    @classmethod
    @abstractmethod
    def start(
        cls,
        engine: Engine,
        recipe: Recipe,
        *,
        training: Manifest,
        validation: Manifest | None,
        note: Callable[[str], None],
        network: ActionModel | None = None,
    ) -> tuple[ActionModel, Task]:
        """Build the network that a run starts from, and its task.

        Args:
            engine: The process.
            recipe: With the model filled in.
            training: Videos to train on.
            validation: Videos to validate on, or None.
            note: Is told what a user should know.
            network: The user's own network, instead of the one that the recipe names; it is trained itself.

        Raises:
            UserError: Recipe, network and data do not go together.
        """

    @abstractmethod
    def batches(self, recipe: Recipe, position: Position) -> Iterator[Any]:
        """Start loading the batches (see ``TaskBatch``) that are left of a run, from ``position`` on.

        Their order depends on nothing but the seed, the epoch and the step, so that a resumed run goes on bit for bit.
        """

    def draw(self, batch: Any, rng: np.random.Generator) -> Any:
        """Draw what is random in a step, once for all its parts; nothing by default."""
        del batch, rng
        return None

    @abstractmethod
    def part_loss(self, network: nn.Module, batch: Any, rows: torch.Tensor, drawn: Any) -> PartLoss:
        """Run the network on some neighbouring rows of a batch and compute their loss.

        Args:
            network: The network, wrapped for precision and gradient exchange; it may be called once.
            batch: One of ``batches``.
            rows: Which samples of it, ascending, axis ``rows``.
            drawn: What ``draw`` gave for this batch.
        """

    @abstractmethod
    def blank_loss(self, model: nn.Module, clips: Clip) -> torch.Tensor:
        """The loss of blank input, to try how many samples fit into the memory; a scalar."""

    @abstractmethod
    def validate(self, model: ActionModel, *, monitor: str) -> dict[str, float]:
        """Score the validation data, each sample exactly once over all processes.

        Args:
            model: The bare network, with the weights to be scored.
            monitor: The score that the run picks its best epoch by; it must be among the answers.

        Returns:
            ``loss``, and scores (0..1) by name, the headline one first; the columns ``val_NAME`` of ``metrics.csv``.
        """

    @abstractmethod
    def digest(self) -> str:
        """A hash of the training data; a run is resumed on the same only."""

    @abstractmethod
    def sample_ids(self, rows: Sequence[int]) -> list[str]:
        """What messages call samples of the training data."""
