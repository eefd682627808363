"""Reading a dataclass of settings from nested dictionaries, with errors that name the field."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, TypeVar

from kinema.errors import UserError, unknown_name

Spec = TypeVar("Spec")


def spec_from_dict(cls: type[Spec], values: Any, *, prefix: str = "") -> Spec:
    """Build a dataclass of a recipe, and those inside it, from a dictionary, checking names and types.

    Args:
        cls: The dataclass.
        values: Values by field.
        prefix: What errors put before the name of a field, such as ``optim.``.

    Raises:
        UserError: A field is unknown, a value is of the wrong type or out of range, or one is missing.
    """
    if not isinstance(values, dict):
        raise UserError(f"recipe field {prefix or 'recipe'!r} must hold named values, not {values!r}")
    hints = typing.get_type_hints(cls)
    arguments = {}
    for name, value in values.items():
        if name not in hints:
            raise unknown_name("recipe field", prefix + name, [prefix + known for known in hints])
        kind = hints[name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            arguments[name] = spec_from_dict(kind, value, prefix=f"{prefix}{name}.")
        else:
            arguments[name] = _typed(kind, value, prefix + name)
    try:
        return cls(**arguments)
    except TypeError as error:  # a field without default is missing
        raise UserError(f"recipe {prefix or 'itself'}: {error}") from None


def _typed(kind: Any, value: Any, name: str) -> Any:
    """Return ``value`` as the field's type: integers pass as floats, lists as tuples, and nothing else is bent."""
    origin = typing.get_origin(kind) or kind
    if origin is tuple and isinstance(value, list | tuple):
        inner = typing.get_args(kind)
        if inner[-1] is not ... and len(inner) != len(value):
            raise UserError(f"recipe field {name!r} must hold {len(inner)} values, not {value!r}")
        return tuple(_typed(inner[0], one, name) for one in value)
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, origin) or (origin is int and isinstance(value, bool)):
        raise UserError(f"recipe field {name!r} must be {origin.__name__}, not {value!r}")
    return value
