"""From a name to a network: the only place that loads what the rows of the catalogue name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinema.errors import CheckpointError, UserError, unknown_name
from kinema.models import catalogue
from kinema.models.action_model import ActionModel
from kinema.models.names import ModelName
from kinema.models.temporal.stack import Stack
from kinema.specs.flow_input import FlowInput
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.imagenet import TAGS, imagenet_record, read_imagenet, read_state_dict
from kinema.weights.inflate import INFLATIONS, load_weights
from kinema.weights.published import PublishedWeights
from kinema.weights.tags import find_tagged, find_weights, tags_of

_OF_EVERY_MODEL = ("inflation", "train_temporal")
"""Options that every model takes."""


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
    plan = catalogue.BACKBONES[parsed.backbone].load(parsed.backbone)
    kinds = [catalogue.MODULES[module].load() for module in parsed.modules]
    record = _published(parsed, weights)
    given = {**(record.options if record else {}), **(options or {})}
    _check_options(parsed, given, [*(option for kind in kinds for option in kind.option_names), *plan.option_names])
    inflation = given.get("inflation", INFLATIONS[0])
    modules = [kind(**{key: given[key] for key in kind.option_names if key in given}) for kind in kinds]
    model = ActionModel.compose(
        replace(plan, **{key: given[key] for key in plan.option_names if key in given}),
        modules[0] if len(modules) == 1 else Stack(modules),
        num_classes=num_classes,
        placement=parsed.placement,
        temporal_pooling=parsed.temporal_pooling,
        in_channels=in_channels,
        dropout=dropout,
        name=str(parsed),
    )
    model.options, model.named = given, True
    if weights == "imagenet" and parsed.no_image_weights:
        raise UserError(f"{parsed} cannot start from ImageNet weights: {parsed.no_image_weights}")
    if record is not None:
        _load_published(model, record)
    elif weights is not None:
        _load(model, parsed.backbone, weights, inflation)
    return model


def _check_options(name: ModelName, given: Mapping[str, Any], own: list[str]) -> None:
    """Refuse options that neither the model's parts nor all models take, and values of the latter that are wrong."""
    allowed = [*dict.fromkeys(own), *_OF_EVERY_MODEL]
    for option in given:
        if option not in allowed:
            raise unknown_name(f"option of {name}", option, allowed)
    inflation = given.get("inflation", INFLATIONS[0])
    if inflation not in INFLATIONS:
        raise unknown_name("inflation", str(inflation), INFLATIONS)
    if not isinstance(given.get("train_temporal", True), bool):
        raise UserError(f"train_temporal must be true or false, got {given['train_temporal']!r}")


def _published(name: ModelName, weights: str | Path | None) -> PublishedWeights | None:
    """The published weights that a tag names; None where ``weights`` means something else."""
    if not isinstance(weights, str) or weights in TAGS:
        return None
    is_tag = weights in tags_of(name) or (not Path(weights).exists() and find_tagged(weights) is not None)
    is_path = Path(weights).exists() or Path(weights).suffix
    return None if is_path and not is_tag else find_weights(name, weights)


def _load_published(model: ActionModel, record: PublishedWeights) -> None:
    from kinema.weights.download import read_published

    imported = read_published(record)
    load_weights(model, imported.model.state_dict(), source=f"the weights {record}")
    model.weights, model.preprocessing = record.tag, imported.preprocessing
    _see_channels(model)


def _load(model: ActionModel, backbone: str, weights: str | Path, inflation: str) -> None:
    if str(weights) in TAGS:
        record = imagenet_record(backbone)
        load_weights(model, read_imagenet(backbone), inflation=inflation, source=f"the ImageNet weights of {backbone}")
        model.weights, model.preprocessing = str(weights), record.preprocessing
    else:
        load_file(model, weights, inflation=inflation)
    _see_channels(model)


def load_file(model: ActionModel, weights: str | Path, *, inflation: str = INFLATIONS[0]) -> None:
    """Load a weights file into a model, and what the file says about its preprocessing.

    Raises:
        CheckpointError: The file cannot be read, or does not fit.
    """
    state, beside = read_state_dict(weights)
    load_weights(model, state, inflation=inflation, source=str(weights))
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
