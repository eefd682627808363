"""Which of a family's networks a file holds: each is tried on the keys and shapes, and exactly one has to fit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kinema.errors import CheckpointError, UserError
from kinema.models.action_model import ActionModel
from kinema.models.build import build_network
from kinema.models.names import ModelName
from kinema.weights.importing.family import Family, Network
from kinema.weights.importing.fitting import Fit, fit

_TRIAL_CLASSES = 400
"""Classes of the network that is tried before the file has said how many it has."""


class Choice(NamedTuple):
    """A network of a family, its shell without weights, and how the file fits."""

    network: Network
    shell: ActionModel
    fit: Fit


def refuse_other_networks(family: Family, tensors: Mapping[str, Tensor], source: str) -> None:
    """Stop at a file that holds what the family knows to be another network than any of ours.

    Raises:
        UserError: It does; the message says how it differs.
    """
    shown = [f"{key} {tuple(value.shape)}" for key, value in tensors.items()]
    for pattern, reason in family.refused.items():
        if any(re.fullmatch(pattern, text) for text in shown):
            raise UserError(f"{source} cannot become one of our networks: {reason}")


def choose(
    family: Family,
    tensors: Mapping[str, Tensor],
    source: str,
    *,
    model: str,
    options: Mapping[str, Any],
    temporal_pooling: bool | None = None,
) -> Choice:
    """Try the family's networks on a file; exactly one has to fit.

    Args:
        family: Whose file it is.
        tensors: The file's tensors.
        source: What messages call the file.
        model: The network that the user names; empty to find out.
        options: Options that the user gives.
        temporal_pooling: Whether the file says that it pools time, where several networks fit; None where it is silent.

    Raises:
        UserError: The family has no such network, or several fit.
        CheckpointError: None fits; the message lists every tensor that the nearest has no counterpart of.
    """
    tried: list[Choice] = []
    mistakes: list[UserError] = []
    candidates = _candidates(family, model)
    agreeing = [(network, name) for network, name in candidates if not _contradicts(network, options)]
    for network, name in agreeing or (candidates if model else ()):
        try:
            shell = _shell(network, name, tensors, family, options)
        except UserError as error:  # an option that this network does not have
            mistakes.append(error)
            continue
        if shell is not None:
            tried.append(Choice(network, shell, fit(shell, tensors, family, network)))
    fitting = {_label(choice.shell): choice for choice in tried if not choice.fit.num_faults}
    if len(fitting) > 1 and temporal_pooling is not None:
        fitting = {
            label: choice
            for label, choice in fitting.items()
            if ModelName.parse(choice.shell.name).temporal_pooling == temporal_pooling
        }
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if fitting:
        names = sorted(fitting)
        raise UserError(
            f"{source} fits networks with the same tensors: {'; '.join(names)}. "
            f"Say which it is, with --model or --options"
        )
    if mistakes and not tried:
        raise mistakes[0]
    if not tried:
        names = ", ".join(network.model for network in family.networks)
        raise CheckpointError(f"{source} holds none of {family.name}'s networks, with these options: {names}")
    nearest = min(tried, key=lambda choice: choice.fit.num_faults)
    raise CheckpointError(f"{source} does not fit {nearest.shell.name} as {family.name} has it:{nearest.fit.listing()}")


def _contradicts(network: Network, options: Mapping[str, Any]) -> bool:
    """Whether the user wants another value of an option that tells the family's networks apart."""
    own = {} if callable(network.options) else network.options
    return any(own.get(key, value) != value for key, value in options.items())


def _label(shell: ActionModel) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in shell.options.items())
    return f"{shell.name} with {settings}" if settings else shell.name


def _candidates(family: Family, model: str) -> list[tuple[Network, str]]:
    if not model:
        return [(network, network.model) for network in family.networks if "*" not in network.model]
    wanted = ModelName.parse(model)
    exact = [network for network in family.networks if "*" not in network.model]
    named = [(network, model) for network in exact if ModelName.parse(network.model) == wanted]
    named = named or [
        (network, model) for network in family.networks if "*" in network.model and fnmatchcase(model, network.model)
    ]
    if not named:
        names = ", ".join(network.model for network in family.networks)
        raise UserError(f"{family.name} has no {model}; it has: {names}")
    return named


def _shell(
    network: Network, name: str, tensors: Mapping[str, Tensor], family: Family, options: Mapping[str, Any]
) -> ActionModel | None:
    """The network on the meta device with the file's classes and channels; None where the file cannot be one."""
    if network.classifier and not any(re.fullmatch(network.classifier, key) for key in tensors):
        return None
    try:
        settings = {**network.options_for(tensors), **options}
    except KeyError:  # the tensor that tells an option is not there, so it is another network
        return None

    text = json.dumps(settings, sort_keys=True)
    trial = _build_shell(name, text, _TRIAL_CLASSES, 3)
    keys = network.keys(trial)
    num_classes = _rows(network, tensors, [keys.get(key) for key in trial.classifier_keys() if key.endswith("weight")])
    if num_classes is None:
        return trial  # the classifier will be listed as missing
    in_channels = 3
    if family.flow is not None:
        first = next(key for key, value in trial.state_dict().items() if value.ndim >= 4)
        foreign = keys.get(first)
        if isinstance(foreign, str) and foreign in tensors:
            in_channels = tensors[foreign].shape[1]
    return _build_shell(name, text, num_classes, in_channels)


@lru_cache(maxsize=100)
def _build_shell(name: str, options: str, num_classes: int, in_channels: int) -> ActionModel:
    """A network on the meta device, kept for the next file; options as JSON."""
    with torch.device("meta"):
        return build_network(name, num_classes=num_classes, in_channels=in_channels, options=json.loads(options))


def _rows(network: Network, tensors: Mapping[str, Tensor], keys: Sequence[object]) -> int | None:
    """How many classes a file has."""
    if network.classifier:
        keys = [key for key in tensors if re.fullmatch(network.classifier, key)]
    return next((len(tensors[key]) for key in keys if isinstance(key, str) and key in tensors), None)
