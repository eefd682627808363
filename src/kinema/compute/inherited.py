"""What this process knows that the processes it starts have to know too, such as parts that a user has registered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from kinema.compute.sendable import require_sendable

Value = TypeVar("Value")

Inheritance = tuple[tuple[Callable[[Any], object], Any], ...]
"""Functions of modules, each with the value that it is called with in a started process."""


class _Inherited(NamedTuple):
    what: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]


_inherited: list[_Inherited] = []


def pass_on(what: str, read: Callable[[], Value], restore: Callable[[Value], object]) -> None:
    """Let started processes have a value that this one has at that time.

    Args:
        what: What it is, for a message when it cannot be sent.
        read: Gives the value, which has to be picklable.
        restore: Takes it in the started process; a function of a module.
    """
    _inherited.append(_Inherited(what, read, restore))


def inheritance() -> Inheritance:
    """Everything that a process started now has to know.

    Raises:
        UserError: Something of it cannot be sent.
    """
    values = [(each, each.read()) for each in _inherited]
    for each, value in values:
        require_sendable(each.what, value)
    return tuple((each.restore, value) for each, value in values)


def inherit(everything: Inheritance) -> None:
    """Take over what the process that started this one knew."""
    for restore, value in everything:
        restore(value)
