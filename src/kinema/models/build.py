"""From a name to a network: the only place that loads what the rows of the catalogue name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kinema.errors import UserError, unknown_name
from kinema.former_names import moved_name
from kinema.models import catalogue
from kinema.models.action_model import ActionModel
from kinema.models.names import ModelName
from kinema.models.temporal.stack import Stack

INFLATIONS = ("mean", "repeat", "centre")
"""How a k x k kernel becomes t x k x k: divided over the frames, copied to each, or put on the middle one."""

_OF_EVERY_MODEL = ("inflation", "train_temporal")
"""Options that every model takes."""


def build_network(
    name: str | ModelName,
    *,
    num_classes: int = 400,
    in_channels: int = 3,
    dropout: float = 0.5,
    options: Mapping[str, Any] | None = None,
) -> ActionModel:
    """Build the network that a name stands for, with random weights.

    Args:
        name: Such as ``"tsm-resnet50"``; see ``ModelName`` for the grammar and ``list_models`` for the names.
        num_classes: Number of classes.
        in_channels: Channels of a frame: 3 for RGB, 2 for flow, 2 L for a stack of flow.
        dropout: Dropout before the classifier, in [0, 1).
        options: Settings of the parts, by name, and those that every model takes, see ``build_model``.

    Raises:
        UserError: A name or an option is unknown (the nearest known ones are offered) or out of range.
    """
    parsed = name if isinstance(name, ModelName) else ModelName.parse(name)
    plan = catalogue.BACKBONES[parsed.backbone].load(parsed.backbone)
    kinds = [catalogue.MODULES[module].load() for module in parsed.modules]
    given = dict(options or {})
    _check_options(parsed, given, [*(option for kind in kinds for option in kind.option_names), *plan.option_names])
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


def __getattr__(name: str) -> object:
    """Find ``build_model``, which scripts of version 0.1 may import from here."""
    return moved_name(__name__, name)
