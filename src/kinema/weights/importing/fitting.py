"""Foreign tensors put in the place of a model's, all of them and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kinema.models.action_model import ActionModel
from kinema.weights.importing.family import Family, Network

_COUNTER = "num_batches_tracked"
"""Batch norm's counter, which files written before 2018 lack and inference does not use."""


@dataclass
class Fit:
    """How a file's tensors and a model's go together.

    Attributes:
        state: The model's tensors, by our keys; views of the file's wherever possible.
        missing: Tensors of the model that the file lacks, by foreign key.
        unknown: Tensors of the file that the model has no tensor for.
        misshapen: Tensors of another shape than the model's, with both.
        ignored: Tensors of the file that the family says are not needed, with the reason.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)

    @property
    def num_faults(self) -> int:
        """Tensors that do not go together; 0 for a perfect fit."""
        return len(self.missing) + len(self.unknown) + len(self.misshapen)

    def listing(self) -> str:
        """The faults, every one of them by name."""
        lists = (("missing in the file", self.missing), ("without a place in the model", self.unknown))
        lists += (("of another shape", self.misshapen),)
        return "".join(f"\n  {len(names)} {what}: {', '.join(names)}" for what, names in lists if names)


def fit(model: ActionModel, tensors: Mapping[str, Tensor], family: Family, network: Network) -> Fit:
    """Give every tensor of a model its counterpart in a file.

    Args:
        model: The model; may be on the meta device, as only keys and shapes are read.
        tensors: The file's tensors, prepared.
        family: Says which of them are ignored.
        network: Says which is which.
    """
    found, used = Fit(), set()
    keys = network.keys(model)
    for own_key, own in model.state_dict().items():
        wanted = keys.get(own_key, "")
        names = (wanted,) if isinstance(wanted, str) else wanted
        absent = [name for name in names if name not in tensors]
        if not absent:
            used.update(names)
            value = _shaped([tensors[name] for name in names], own.shape)
            if value is None:
                shapes = ", ".join(str(tuple(tensors[name].shape)) for name in names)
                found.misshapen.append(f"{' + '.join(names)} {shapes} for {own_key} {tuple(own.shape)}")
            else:
                found.state[own_key] = value.to(torch.int64 if own_key.endswith(_COUNTER) else torch.float32)
        elif own_key.endswith(_COUNTER):
            found.state[own_key] = torch.zeros((), dtype=torch.int64)
        elif (filling := _filling(names, network)) is not None:
            found.state[own_key] = torch.full(own.shape, filling)
        else:
            found.missing += [name or f"a tensor for {own_key}" for name in absent]
    for name in tensors.keys() - used:
        reason = next((why for pattern, why in family.ignored.items() if re.fullmatch(pattern, name)), "")
        if reason:
            found.ignored[name] = reason
        else:
            found.unknown.append(f"{name} {tuple(tensors[name].shape)}")
    found.unknown.sort()
    return found


def _shaped(values: list[Tensor], shape: torch.Size) -> Tensor | None:
    """One tensor or the stack of several in the model's form; None where the numbers do not correspond."""
    if len(values) > 1:
        flat = [value.flatten() for value in values]
        return torch.stack(flat) if {(len(values), *one.shape) for one in flat} == {tuple(shape)} else None
    value = values[0]
    if value.shape == shape:
        return value
    if value.ndim == 5 and len(shape) == 4 and value.shape[2] == 1:  # a frame's convolution written as a flat 3-D one
        value = value.squeeze(2)
    elif value.ndim == 4 and len(shape) == 5 and shape[2] == 1:
        value = value.unsqueeze(2)
    elif value.ndim > len(shape) == 2 and value.shape[2:].numel() == 1:  # a classifier written as a convolution
        value = value.flatten(1)
    elif value.ndim == 2 < len(shape) and shape[2:].numel() == 1:
        value = value.reshape(*value.shape, *shape[2:])
    return value if value.shape == shape else None


def _filling(names: tuple[str, ...], network: Network) -> float | None:
    for pattern, value in network.fills.items():
        if all(re.fullmatch(pattern, name) for name in names):
            return value
    return None
