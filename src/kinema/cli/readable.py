"""Help pages that can be read: arguments called by their names, no line breaks of the source, no empty defaults."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

_KINDS = {str: "TEXT", Path: "PATH", int: "INT", float: "FLOAT"}
_PLURALS = {"videos": "VIDEO", "scores": "FILE"}
_PATHS = ("data", "out", "resume")
"""Options that hold a path although their type is text."""


def readable(verb: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """Give a verb a twin from whose annotations and docstring tyro makes a clearer help page.

    The twin does nothing but return the call that was asked for, so that reading a command line and obeying it are two
    steps. Positional arguments are shown by name instead of type, optional values without ``{None}|``, and nothing
    is said about defaults that only mean "not given". Options that the verb annotates itself stay as they are.

    Args:
        verb: Function of a verb, with an ``Args`` section in its docstring.
    """
    hints = typing.get_type_hints(verb, include_extras=True)
    texts = _argument_help(verb)

    @functools.wraps(verb)
    def shown(*args: Any, **kwargs: Any) -> Callable[[], None]:
        return functools.partial(verb, *args, **kwargs)

    parameters = [
        parameter.replace(annotation=_annotation(parameter, hints[name], texts[name]))
        for name, parameter in inspect.signature(verb).parameters.items()
    ]
    shown.__dict__["__signature__"] = inspect.Signature(parameters)
    shown.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del shown.__dict__["__wrapped__"]  # or tyro reads the annotations of the verb
    return shown


def first_paragraph(verb: Callable[..., None]) -> str:
    """What the list of verbs says about one: the first paragraph of its docstring."""
    return _joined((inspect.getdoc(verb) or "").partition("\n\n")[0])


def _annotation(parameter: inspect.Parameter, hint: Any, text: str) -> Any:
    marks = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    if any(type(mark) is type(tyro.conf.arg()) for mark in marks):
        return hint
    bare = typing.get_args(hint)[0] if marks else hint
    is_required = parameter.default is inspect.Parameter.empty
    settings: dict[str, Any] = {"help": text}
    if is_required:
        settings["help_behavior_hint"] = "(required)"
    elif parameter.default is None or parameter.default is False or parameter.default in ("", ()):
        settings["help_behavior_hint"] = ""
    metavar = _metavar(parameter.name, bare, is_positional=hint == Positional[bare], is_required=is_required)
    if metavar:
        settings["metavar"] = metavar
    return Annotated[(hint, tyro.conf.arg(**settings))]


def _metavar(name: str, kind: Any, *, is_positional: bool, is_required: bool) -> str:
    """The word for a value on the page; empty where tyro's own, such as the list of choices, says more."""
    inner = next((one for one in typing.get_args(kind) if one is not NoneType), kind)
    is_many = typing.get_origin(kind) is tuple
    if is_positional:
        shown = _PLURALS.get(name, name.upper())
        return f"{shown} [{shown} ...]" if is_many else shown if is_required else f"[{shown}]"
    if name in _PATHS:
        return "PATH [PATH ...]" if is_many else "PATH"
    value = _KINDS.get(inner, "")
    return f"{value} [{value} ...]" if is_many else value


def _argument_help(verb: Callable[..., None]) -> dict[str, str]:
    section = (inspect.getdoc(verb) or "").partition("Args:\n")[2]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: _joined(text) for name, text in entries}


def _joined(text: str) -> str:
    return re.sub(r"\s+", " ", text)
