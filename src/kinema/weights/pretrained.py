"""A network by its name with weights to start from: the public ``build_model``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinema.errors import CheckpointError, UserError
from kinema.models.action_model import ActionModel
from kinema.models.build import INFLATIONS, build_network
from kinema.models.names import ModelName
from kinema.specs.flow_input import FlowInput
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.download import read_imagenet, read_published
from kinema.weights.imagenet import TAGS, imagenet_record
from kinema.weights.inflate import load_inflated
from kinema.weights.published import PublishedWeights
from kinema.weights.state_dicts import read_state_dict
from kinema.weights.tags import find_tagged, find_weights, tags_of


def build_model(
    name: str | ModelName,
    *,
    num_classes: int = 400,
    in_channels: int = 3,
    dropout: float = 0.5,
    options: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
) -> ActionModel:
    """Build the network that a name stands for.

    Args:
        name: Such as ``"tsm-resnet50"``; see ``ModelName`` for the grammar and ``list_models`` for the names.
        num_classes: Number of classes.
        in_channels: Channels of a frame: 3 for RGB, 2 for flow, 2 L for a stack of flow.
        dropout: Dropout before the classifier, in [0, 1).
        options: Settings of the parts, by name; which are allowed depends on the parts (the error lists them).
            ``"inflation"`` (``"mean"``, ``"repeat"`` or ``"centre"``) says how image weights are spread over time,
            ``"train_temporal"`` (true or false) whether temporal parts learn inside stages that training freezes.
        weights: ``"imagenet"`` for the backbone's ImageNet weights, the tag of published weights of this model, such
            as ``"k400-f32"`` (with the options that they need), or the path of a weights file; image weights are
            inflated, a head of another number of classes is left out.

    Raises:
        UserError: A name or an option is unknown (the nearest known ones are offered) or out of range.
        CheckpointError: The weights cannot be read or do not fit.
    """
    parsed = name if isinstance(name, ModelName) else ModelName.parse(name)
    record = _published(parsed, weights)
    model = build_network(
        parsed,
        num_classes=num_classes,
        in_channels=in_channels,
        dropout=dropout,
        options={**(record.options if record else {}), **(options or {})},
    )
    if record is not None:
        _load_published(model, record)
    elif weights is not None and str(weights) in TAGS:
        _load_imagenet(model, parsed)
    elif weights is not None:
        load_file(model, weights)
    _see_channels(model)
    return model


def _published(name: ModelName, weights: str | Path | None) -> PublishedWeights | None:
    """The published weights that a tag names; None where ``weights`` means something else."""
    if not isinstance(weights, str) or weights in TAGS:
        return None
    is_tag = weights in tags_of(name) or (not Path(weights).exists() and find_tagged(weights) is not None)
    is_path = Path(weights).exists() or Path(weights).suffix
    return None if is_path and not is_tag else find_weights(name, weights)


def _load_published(model: ActionModel, record: PublishedWeights) -> None:
    imported = read_published(record)
    load_inflated(model, imported.model.state_dict(), source=f"the weights {record}")
    model.weights, model.preprocessing = record.tag, imported.preprocessing


def _load_imagenet(model: ActionModel, name: ModelName) -> None:
    if name.no_image_weights:
        raise UserError(f"{name} cannot start from ImageNet weights: {name.no_image_weights}")
    record, state = imagenet_record(name.backbone), read_imagenet(name.backbone)
    source = f"the ImageNet weights of {name.backbone}"
    load_inflated(model, state, inflation=inflation_of(model), source=source)
    model.weights, model.preprocessing = TAGS[0], record.preprocessing


def inflation_of(model: ActionModel) -> str:
    """How the model's options say that image weights are spread over time: one of ``INFLATIONS``."""
    return model.options.get("inflation", INFLATIONS[0])


def load_file(model: ActionModel, weights: str | Path) -> None:
    """Load a weights file into a model, and what the file says about its preprocessing.

    Raises:
        CheckpointError: The file cannot be read, or does not fit.
    """
    state, beside = read_state_dict(weights)
    load_inflated(model, state, inflation=inflation_of(model), source=str(weights))
    model.weights = Path(weights).stem
    model.preprocessing = _preprocessing_of(beside, weights)


def _see_channels(model: ActionModel) -> None:
    """Normalise flow as flow where the network takes other channels than the weights were trained on."""
    if model.preprocessing is not None and len(model.preprocessing.mean) != model.in_channels:
        model.preprocessing = replace(model.preprocessing, **FlowInput.normalisation(model.in_channels))


def _preprocessing_of(beside: Mapping[str, Any], source: str | Path) -> Preprocessing | None:
    if not isinstance(beside.get("preprocessing"), Mapping):
        return None
    try:
        return Preprocessing.from_dict(beside["preprocessing"])
    except (UserError, TypeError) as error:
        raise CheckpointError(f"{source}: {error}") from error
