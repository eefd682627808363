"""Names for parts of the user's own: afterwards they stand in model names like the parts that come with the package."""

from __future__ import annotations

import inspect
import re
from typing import Final, NamedTuple

from kinema.compute.inherited import pass_on
from kinema.errors import UserError
from kinema.models import catalogue, names
from kinema.models.backbones.base import BackbonePlan
from kinema.models.cards import BackboneCard, ModuleCard
from kinema.models.temporal.base import TemporalModule

_WORD: Final = re.compile("[a-z][a-z0-9]*")


class Registered(NamedTuple):
    """A part that was registered, as it is sent to other processes.

    Attributes:
        name: Its word in model names.
        card: Its row of the catalogue, whose home is the class or the plan itself.
    """

    name: str
    card: ModuleCard | BackboneCard


def register_module(name: str, module: type[TemporalModule], *, summary: str = "") -> None:
    """Give a temporal module of your own a name, for this process and for those that it starts.

    Afterwards ``build_model(f"{name}-resnet18")``, ``kinema.train``, ``load`` and the rest know it, and ``list_models``
    lists it on every backbone. A checkpoint holds the name, not the code: whoever loads it registers the module first
    (on the command line: ``kinema --plugin FILE.py``, where the file does so). A name that you registered yourself may
    be given again to the same class, such as by running a cell of a notebook a second time.

    Args:
        name: Lower-case letters and digits, a letter first.
        module: The class. Its ``option_names`` are arguments of its constructor, which needs no others.
        summary: What it does, in a line.

    Raises:
        UserError: The name is taken or ill-formed, or the class is not a temporal module.
    """
    if not (isinstance(module, type) and issubclass(module, TemporalModule)) or module is TemporalModule:
        raise UserError(
            f"register_module({name!r}) takes a subclass of TemporalModule (kinema.models.temporal.base), the class "
            f"itself and not an object of it; got {module!r}"
        )
    _check_constructor(module)
    _register(name, ModuleCard(summary=summary or module.__name__, home=module, listed_on=("*",)))


def register_backbone(name: str, plan: BackbonePlan, *, summary: str = "", no_temporal_pooling: str = "") -> None:
    """Give a backbone of your own a name, for this process and for those that it starts; see ``register_module``.

    Args:
        name: Lower-case letters and digits, a letter first.
        plan: What builds it, such as ``ResNetPlan`` with other numbers of blocks, or a ``BackbonePlan`` of your own.
        summary: What it is, in a line.
        no_temporal_pooling: Why it has no form with ``-tp``; empty where it has one.

    Raises:
        UserError: The name is taken or ill-formed, or the plan is none.
    """
    if not isinstance(plan, BackbonePlan):
        raise UserError(
            f"register_backbone({name!r}) takes an object of a subclass of BackbonePlan "
            f"(kinema.models.backbones.base), got {plan!r}"
        )
    line = summary or type(plan).__name__
    _register(name, BackboneCard(summary=line, home=plan, no_temporal_pooling=no_temporal_pooling))


def registered() -> tuple[Registered, ...]:
    """All parts that were registered: the rows of the catalogue whose home is an object."""
    cards: dict[str, ModuleCard | BackboneCard] = {**catalogue.MODULES, **catalogue.BACKBONES}
    return tuple(Registered(name, card) for name, card in cards.items() if not isinstance(card.home, str))


def register_all(parts: tuple[Registered, ...]) -> None:
    """Register what another process did."""
    for part in parts:
        _register(part.name, part.card)


pass_on("the registered modules and backbones", registered, register_all)


def _check_constructor(module: type[TemporalModule]) -> None:
    """Refuse a class that a name and options cannot build; found out now, not in the middle of ``build_model``."""
    arguments = inspect.signature(module).parameters.values()
    takes_any = any(argument.kind is argument.VAR_KEYWORD for argument in arguments)
    absent = sorted(set(module.option_names) - {argument.name for argument in arguments})
    if absent and not takes_any:
        raise UserError(f"{module.__name__}.option_names has {', '.join(absent)}, which its constructor does not take")
    single = [a for a in arguments if a.kind not in (a.VAR_KEYWORD, a.VAR_POSITIONAL)]
    needed = [a.name for a in single if a.default is a.empty and a.name not in module.option_names]
    if needed:
        raise UserError(
            f"the constructor of {module.__name__} needs {', '.join(needed)}, which a model's name does not say; give "
            "defaults, or make them options by option_names"
        )


def _register(name: str, card: ModuleCard | BackboneCard) -> None:
    if not _WORD.fullmatch(name) or name == "tp":
        raise UserError(
            f"{name!r} cannot stand in a model's name; take lower-case letters and digits, a letter first, "
            "such as diff or mynet50"
        )
    earlier = {part.name: part.card for part in registered()}.get(name)
    if earlier is None or _origin(earlier) != _origin(card):
        for kind, words in (("module", names.MODULES), ("backbone", names.BACKBONES), ("alias", names.ALIASES)):
            if name in words:
                raise UserError(f"{name!r} is a {kind} already ({words[name]}); choose another name")
    if isinstance(card, BackboneCard):
        catalogue.BACKBONES[name] = card
    else:
        catalogue.MODULES[name] = card


def _origin(card: ModuleCard | BackboneCard) -> tuple[str, str, bool]:
    """Where a part's code is, and whether it is a module; two definitions of one notebook cell have the same."""
    kind = card.home if isinstance(card.home, type) else type(card.home)
    return kind.__module__, kind.__qualname__, isinstance(card, ModuleCard)
