"""Training a network that the user built: as an object, or from a function that builds it for a number of classes."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch

from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.training.initial import RANDOM, num_channels
from kinema.weights.checkpoint import Checkpoint
from kinema.weights.imagenet import TAGS
from kinema.weights.trained import built_for, require_buildable

if TYPE_CHECKING:
    from kinema.specs.recipe import Recipe

OwnNetwork: TypeAlias = ActionModel | Callable[[int], ActionModel]
"""A network, or a function from the number of classes to one."""


def own_network(given: OwnNetwork, classes: tuple[str, ...], recipe: Recipe) -> ActionModel:
    """The user's network for a data set.

    Args:
        given: The network, or what builds it; random weights that it draws follow the recipe's seed.
        classes: Names of the classes of the data.
        recipe: Says what a frame is, and the seed.

    Raises:
        UserError: It is no ``ActionModel``, or made for another number of classes or channels.
    """
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = built_for(given, len(classes))
    channels = num_channels(recipe.data)
    if network.in_channels != channels:
        raise UserError(f"{network.name} takes {network.in_channels} channels; this recipe's clips have {channels}")
    return network


def with_own(recipe: Recipe, network: ActionModel, weights: str | Path | None) -> tuple[Recipe, str]:
    """The recipe of a run of the user's network, and a note about what of it does not apply.

    Args:
        recipe: As it was chosen.
        network: The network.
        weights: A checkpoint, a run or a weights file to start from; None for the weights that the network has.

    Raises:
        UserError: The weights are a tag, which belongs to a name.
    """
    wanted = "" if weights in (None, RANDOM) else str(weights)
    if wanted and (wanted in TAGS or not Path(wanted).exists()):
        raise UserError(
            f"weights {wanted!r} with a model object: give a checkpoint, a run or a weights file that exists; weights "
            "by tag go with names: register the part (kinema.register_module) and train by name, or load them before"
        )
    weighed = "options and dropout" if wanted else "weights, options and dropout"
    note = (
        f"{network.name} is an object: its own {weighed} are used, not those of recipe {recipe.name}; to load or "
        "resume this run, give it again"
    )
    return dataclasses.replace(recipe, model=network.name, options=dict(network.options), weights=wanted), note


def resumed_network(
    given: OwnNetwork | None, checkpoint: Path, classes: tuple[str, ...], recipe: Recipe
) -> ActionModel | None:
    """The network to go on with: None where its name is enough.

    Raises:
        UserError: It has to be given and is not, or the reverse.
    """
    saved = Checkpoint.read(checkpoint)
    if given is not None and saved.named:
        raise UserError(f"{checkpoint} holds {saved.model}, which its name builds; leave the model object out")
    if given is not None:
        return own_network(given, classes, recipe)
    require_buildable(saved, checkpoint, instead="kinema.train(model, resume=RUN)")
    return None


def copy_of(network: ActionModel) -> ActionModel:
    """A copy to train, so that the user's stays as it is and processes share no memory; its name builds no such one."""
    own = copy.deepcopy(network)
    own.named = False
    return own
