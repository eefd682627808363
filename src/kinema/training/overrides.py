"""The fields of a recipe that the command line may change, as options such as ``--optim.lr 0.02``. Free of torch."""

from __future__ import annotations

import dataclasses
import re
import typing
from typing import Annotated, Any

import tyro

from kinema.errors import UserError
from kinema.specs.recipe import Recipe

OVERRIDABLE = (
    "seed",
    "data.frames",
    "data.sampling",
    "data.stride",
    "data.augmentation",
    "data.short_side",
    "data.crop_size",
    "data.flip",
    "data.balance",
    "data.num_workers",
    "data.backend",
    "data.flow",
    "optim.optimizer",
    "optim.lr",
    "optim.weight_decay",
    "optim.base_lr_scale",
    "optim.head_lr_scale",
    "optim.frozen_stages",
    "optim.linear_probe",
    "optim.clip_norm",
    "schedule.kind",
    "schedule.epochs",
    "schedule.epoch_clips",
    "schedule.min_steps",
    "schedule.warmup_epochs",
    "schedule.milestones",
    "schedule.gamma",
    "train.accumulate",
    "train.precision",
    "train.compile",
    "train.sync_bn",
    "train.frozen_bn",
    "train.dropout",
    "train.label_smoothing",
    "train.mixup",
    "train.ema_decay",
    "train.monitor",
    "train.patience",
    "train.validate_on",
    "train.save_minutes",
)
"""Dotted names, in the order of the help. ``train.batch_size`` is ``--batch``; whatever is missing needs a recipe."""

SHORT_NAMES = {"epochs": "schedule.epochs", "lr": "optim.lr", "workers": "data.num_workers"}
"""Options without a dot for the fields that are changed most."""


def _field_help(cls: type) -> dict[str, str]:
    """Read what the docstring of a part says about each field, from its Attributes section."""
    text = (cls.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^ {8}(\w+): (.*(?:\n {12,}.*)*)", text, flags=re.MULTILINE)
    return {name: re.sub(r"\s+", " ", help_text).replace("``", "") for name, help_text in entries}


def _option(kind: Any, help_text: str) -> Any:
    """Annotate an optional field with its help; tyro would show the choice of None, which nobody types."""
    shown = {int: "INT", float: "FLOAT", str: "TEXT", bool: "{True,False}", tuple[int, int]: "INT INT"}
    metavar = shown.get(kind, "FLOAT [FLOAT ...]")
    return Annotated[kind | None, tyro.conf.arg(help=help_text, metavar=metavar, help_behavior_hint="")]


def _part(cls: type, names: list[str], title: str) -> type:
    """Make a class with some fields of a recipe's part, all of them optional."""
    hints, help_texts = typing.get_type_hints(cls), _field_help(cls)
    fields: list[tuple[str, Any, Any]] = [(name, _option(hints[name], help_texts[name]), None) for name in names]
    part = dataclasses.make_dataclass(title, fields, frozen=True)
    part.__doc__ = ""
    return part


def _all_parts() -> type:
    """Make the class whose nested fields are exactly ``OVERRIDABLE``."""
    hints = typing.get_type_hints(Recipe)
    fields: list[tuple[str, Any, Any]] = []
    for part in dict.fromkeys(name.partition(".")[0] for name in OVERRIDABLE if "." in name):
        leaves: list[str] = [name.partition(".")[2] for name in OVERRIDABLE if name.startswith(f"{part}.")]
        made = _part(hints[part], leaves, f"{part.capitalize()}Overrides")
        fields.append((part, made, dataclasses.field(default_factory=made)))
    own = _part(Recipe, [name for name in OVERRIDABLE if "." not in name], "OwnOverrides")
    short: list[tuple[str, Any, Any]] = []
    for name, field in SHORT_NAMES.items():
        part, _, leaf = field.partition(".")
        help_text = _field_help(hints[part])[leaf].split(";")[0].rstrip(".")
        kind = typing.get_type_hints(hints[part])[leaf]
        short.append((name, _option(kind, f"{help_text}; the same as --{field.replace('_', '-')}."), None))
    own = dataclasses.make_dataclass("ShortOverrides", short, frozen=True, bases=(own,))
    own.__doc__ = ""
    return dataclasses.make_dataclass("Overrides", fields, frozen=True, bases=(own,))


Overrides = _all_parts()
"""Nested dataclass with one optional field for every name of ``OVERRIDABLE``; None leaves the recipe's value."""


def given_fields(overrides: Any) -> dict[str, Any]:
    """List the dotted names that were set, with their values.

    Raises:
        UserError: A field is given another value by its short name.
    """
    values = {}
    for name in OVERRIDABLE:
        part, _, leaf = name.rpartition(".")
        value = getattr(getattr(overrides, part) if part else overrides, leaf)
        if value is not None:
            values[name] = value
    for short, name in SHORT_NAMES.items():
        value = getattr(overrides, short)
        if value is None:
            continue
        if values.get(name, value) != value:
            raise UserError(
                f"--{short} {value} and --{name.replace('_', '-')} {values[name]} are the same option; give one of them"
            )
        values[name] = value
    return values
