"""What one training clip asks of a device, counted on torch's meta device: arithmetic, memory held and memory moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kinema.models.action_model import ActionModel, TrainingScores
from kinema.models.build import build_network
from kinema.models.cost import cost
from kinema.models.names import ModelName
from kinema.specs.recipe import Recipe
from kinema.training.initial import num_channels
from kinema.training.parameters import freeze, training_mode


@dataclass(frozen=True, kw_only=True)
class TrainingLoad:
    """Counts for one clip of a recipe's training, all of them as if everything were fp32.

    Attributes:
        parameters: Parameters of the network.
        trained: Those that learn.
        buffers: Numbers that are kept beside them, such as running statistics.
        macs: Multiply-adds of the forward pass, see ``kinema.cost``.
        saved_bytes: What the forward pass keeps for the backward pass, the clip itself included.
        moved_bytes: What the operations of the forward pass read and write, each of them for itself; weights, which
            all clips of a batch share, are left out.
    """

    parameters: int
    trained: int
    buffers: int
    macs: int
    saved_bytes: int
    moved_bytes: int


def training_load(recipe: Recipe, *, num_classes: int) -> TrainingLoad:
    """Count a recipe's network in training, without computing anything.

    Args:
        recipe: With the model filled in; its frozen parts keep nothing for the backward pass.
        num_classes: Classes of the classifier.

    Raises:
        UserError: The model or its options are unknown, or more is frozen than there is.
    """
    data = recipe.data
    name = ModelName.parse(recipe.model)
    with torch.device("meta"):
        model = build_network(
            name,
            num_classes=num_classes,
            in_channels=num_channels(data),
            dropout=recipe.train.dropout,
            options={**name.needed_options(frames=data.frames), **recipe.options},
        )
    counted = cost(model, frames=data.frames, size=data.crop_size)
    freeze(model, recipe)
    training_mode(model, recipe)
    shape = (1, model.in_channels, data.frames, data.crop_size, data.crop_size)
    saved, moved = _memory(model, torch.empty(shape, device="meta"))
    return TrainingLoad(
        parameters=counted.parameters,
        trained=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        buffers=sum(buffer.numel() for buffer in model.buffers()),
        macs=counted.macs,
        saved_bytes=saved,
        moved_bytes=moved,
    )


def _memory(model: ActionModel, clip: Tensor) -> tuple[int, int]:
    """Bytes that a forward pass in training keeps, and bytes that its operations move."""
    own = {id(tensor.untyped_storage()) for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[id(storage)] = storage  # holding it keeps its id its own
        return tensor

    traffic = _Traffic(own)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), traffic:
        scores = TrainingScores.of(model(clip))
        nn.functional.cross_entropy(scores.logits, torch.zeros(len(clip), dtype=torch.long, device="meta"))
    return sum(storage.nbytes() for number, storage in kept.items() if number not in own), traffic.num_bytes


class _Traffic(TorchFunctionMode):
    """Adds up what each operation reads and writes; operations that only look at memory in another way are free."""

    def __init__(self, left_out: set[int]) -> None:
        super().__init__()
        self.num_bytes = 0
        self._left_out = left_out

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        read, written = list(_tensors((args, kwargs))), list(_tensors(result))
        before = {id(tensor.untyped_storage()) for tensor in read}
        name = getattr(func, "__name__", "")
        in_place = kwargs.get("inplace") or (name.endswith("_") and not name.endswith("__"))
        if in_place or any(id(tensor.untyped_storage()) not in before for tensor in written):
            self.num_bytes += sum(
                tensor.numel() * tensor.element_size()
                for tensor in (*read, *written)
                if id(tensor.untyped_storage()) not in self._left_out
            )
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _tensors(inner)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
