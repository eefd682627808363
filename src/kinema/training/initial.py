"""The network that a run starts from: random, ImageNet, or another run's checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kinema.errors import CheckpointError, UserError
from kinema.specs.flow_input import FlowInput
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.recipe import MUST_BE_GIVEN
from kinema.weights.checkpoint import Checkpoint
from kinema.weights.imagenet import TAGS
from kinema.weights.inflate import adapt_input, load_inflated
from kinema.weights.pretrained import build_model, inflation_of, load_file
from kinema.weights.state_dicts import load_exact
from kinema.weights.tags import find_tagged, find_weights, model_tags, tags_of
from kinema.weights.trained import checkpoint_path
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel
    from kinema.specs.data import DataSpec
    from kinema.specs.recipe import Recipe

RANDOM = "random"
"""What a user gives for weights in order to start without any, whatever the recipe says."""

NORMALISATION = ("mean", "std", "channel_order", "modality")
"""What a network keeps of the preprocessing of the weights it starts from; the rest comes from the recipe."""


def starting_model(
    recipe: Recipe, classes: tuple[str, ...], *, note: Callable[[str], None], network: ActionModel | None = None
) -> tuple[ActionModel, Preprocessing]:
    """Build the recipe's model with its initial weights.

    Args:
        recipe: Names model, options, weights and dropout.
        classes: Names of the classes to tell apart.
        note: Called with what the user should know, such as a classifier that starts anew.
        network: The user's own, to take instead of the one that the recipe names.

    Returns:
        The network and the preprocessing that its checkpoints will carry.

    Raises:
        UserError: When the model or the weights are unknown.
        CheckpointError: When weights do not fit in anything but the classifier.
    """
    weights = recipe.weights
    if network is not None:
        network.options = {**network.options, **recipe.options}  # what an earlier part of the run has decided
    known = () if network is not None else (*TAGS, *tags_of(recipe.model))
    if weights not in known and (weights.endswith(".ckpt") or Path(weights or "-").is_dir()):
        return _from_checkpoint(recipe, classes, note, network)
    if network is not None:
        if weights:
            load_file(network, weights)
        return network, preprocessing_of(recipe.data, network.preprocessing or Preprocessing())
    if not weights and recipe.optim.base_lr_scale < 1:
        tags = ", ".join(model_tags(recipe.model)) or "a file"
        note(
            f"recipe {recipe.name} moves pretrained layers gently, and starts from random weights here; few videos "
            f"need pretrained ones: --weights ({tags})"
        )
    torch.manual_seed(recipe.seed)
    model = build_model(
        recipe.model,
        num_classes=len(classes),
        in_channels=num_channels(recipe.data),
        dropout=recipe.train.dropout,
        options=recipe.options,
        weights=weights or None,
    )
    return model, preprocessing_of(recipe.data, model.preprocessing or Preprocessing())


def num_channels(data: DataSpec) -> int:
    """Channels that the network sees."""
    return data.flow_input.num_channels if data.flow_input else 3


def preprocessing_of(data: DataSpec, normalisation: Preprocessing) -> Preprocessing:
    """Describe what a network trained on ``data`` wants at test time.

    Args:
        data: Frames, sampling, crop and flow of the training clips.
        normalisation: Where mean, deviation, channel order and modality come from.

    Raises:
        UserError: The weights are a flow network's and the data are RGB.
    """
    kept = {name: getattr(normalisation, name) for name in NORMALISATION}
    flow = data.flow_input
    if flow is None and normalisation.modality == "flow":
        raise UserError("these weights see optical flow; say which with --data.flow, such as tvl1-20x10")
    if flow is not None:
        if normalisation.modality != "flow":
            kept |= FlowInput.normalisation(flow.num_channels)
        kept["flow"] = str(flow)
    return Preprocessing(
        frames=data.frames,
        sampling=data.sampling,
        stride=data.stride,
        crop_size=data.crop_size,
        resize=data.resize if data.augmentation in ("fixed", "multi-fiber", "center") else (),
        **kept,
    )


def _from_checkpoint(
    recipe: Recipe, classes: tuple[str, ...], note: Callable[[str], None], network: ActionModel | None
) -> tuple[ActionModel, Preprocessing]:
    """Start from a checkpoint: everything must fit but the classifier, which is kept only for the same classes."""
    path = checkpoint_path(recipe.weights)
    saved = Checkpoint.read(path)
    weights = dict(saved.weights_in_use)
    torch.manual_seed(recipe.seed)
    if network is not None:
        model = network
    else:
        model = build_model(
            recipe.model,
            num_classes=len(classes),
            in_channels=num_channels(recipe.data),
            dropout=recipe.train.dropout,
            options={**saved.options, **recipe.options} if saved.model == recipe.model else recipe.options,
        )
    if saved.classes != classes:
        head = {id(parameter) for parameter in model.head_parameters()}
        weights |= {name: parameter.detach() for name, parameter in model.named_parameters() if id(parameter) in head}
        note(
            f"{path} was trained on {len(saved.classes)} other classes: its classifier is dropped, "
            f"a new one for {counted(len(classes), 'class', 'classes')} starts from random weights"
        )
    for key in model.input_keys():  # from RGB to flow, or between stacks of other lengths
        weights[key] = adapt_input(weights[key], model.state_dict()[key].shape[1])
    if saved.model == recipe.model:
        load_exact(model, weights, source=str(path))
    else:  # such as the network on images that a 3-D one starts from
        inflation = inflation_of(model)
        note(f"{path} holds {saved.model}; kernels that {recipe.model} has in 3-D are inflated ({inflation})")
        load_inflated(model, weights, inflation=inflation, source=str(path))
    return model, preprocessing_of(recipe.data, saved.preprocessing)


def with_initial(recipe: Recipe, *, model: str, weights: str | None) -> Recipe:
    """Fill in the model and, where given, the weights of a recipe; ``random`` takes away the recipe's own.

    Raises:
        UserError: The recipe goes on from an earlier run, and none is given; or there are no such weights.
    """
    weights = recipe.weights if weights is None else weights
    if weights == MUST_BE_GIVEN:
        raise UserError(
            f"recipe {recipe.name} goes on from a trained network; say which with --weights: a run directory, a "
            "checkpoint, a weights file or a tag"
        )
    weights = "" if weights == RANDOM else weights
    _require_weights(weights, model)
    return dataclasses.replace(recipe, model=model, weights=weights)


def _require_weights(weights: str, model: str) -> None:
    """Look whether there are such weights, without reading them; the look at all videos comes first and may be long."""
    if weights in ("", *TAGS) or Path(weights).exists() or find_tagged(weights):
        return
    if Path(weights).suffix:
        raise CheckpointError(f"{weights}: no such checkpoint file, weights file or run directory")
    find_weights(model, weights)  # which names those that there are
