"""What one row of the catalogue holds: every fact about a temporal module or a backbone. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinema.models.backbones.base import BackbonePlan
    from kinema.models.temporal.base import TemporalModule


@dataclass(frozen=True, kw_only=True)
class ModuleCard:
    """A temporal module: where its code is, what it goes with, where it is listed.

    Reasons are given to the user who asks for what they refuse, so they are whole clauses.

    Attributes:
        summary: A line about it.
        home: Its class, as ``"package.module:Class"``, which is imported when a network is built; or the class itself.
        listed_on: Backbones whose lists show it, as patterns (``*`` and ``?``); by default all that show every usual
            module. A module for some backbones only names them here, or its name stands in their ``lists``.
        refuses: Patterns of backbones that it does not go with, each with the reason.
        refuses_modules: Modules that it cannot be stacked with, each with the reason.
        alone: Why it goes with no placement, no ``-tp`` and no other module; empty where it does.
        no_temporal_pooling: Why it has no form with ``-tp``; empty where it has one.
        no_image_weights: Why it cannot start from an image network's weights; empty where it can.
        one_length: Whether it is built for clips of one length, which the option ``frames`` has to say.
    """

    summary: str
    home: str | type[TemporalModule]
    listed_on: tuple[str, ...] | None = None
    refuses: Mapping[str, str] = field(default_factory=dict)
    refuses_modules: Mapping[str, str] = field(default_factory=dict)
    alone: str = ""
    no_temporal_pooling: str = ""
    no_image_weights: str = ""
    one_length: bool = False

    @property
    def is_usual(self) -> bool:
        """Whether it is listed wherever every usual module is."""
        return self.listed_on is None

    def load(self) -> type[TemporalModule]:
        """Import the module's class."""
        return _imported(self.home) if isinstance(self.home, str) else self.home


@dataclass(frozen=True, kw_only=True)
class BackboneCard:
    """A backbone: where its code is, what it goes with, which modules are listed on it.

    Attributes:
        summary: A line about it.
        home: Its plan, as ``"package.module:NAME"``, which is imported when a network is built; or the plan itself.
            The name may be that of a plan, of a class whose object without arguments is the plan, or of a table of
            plans that has the backbone's name as a key.
        lists: Modules that the list shows on it, in this order; by default every usual module. Other pairs can be
            named too, unless refused.
        stacks: Stacks that the list shows on it, such as ``"tsm+nl"``.
        refuses: Modules that it does not go with, each with the reason.
        no_temporal_pooling: Why it has no form with ``-tp``; empty where it has one.
    """

    summary: str
    home: str | BackbonePlan
    lists: tuple[str, ...] | None = None
    stacks: tuple[str, ...] = ()
    refuses: Mapping[str, str] = field(default_factory=dict)
    no_temporal_pooling: str = ""

    def load(self, name: str) -> BackbonePlan:
        """Import the plan.

        Args:
            name: The backbone's name, for homes that are tables of plans.
        """
        if not isinstance(self.home, str):
            return self.home
        plan = _imported(self.home)
        if isinstance(plan, Mapping):
            plan = plan[name]
        return plan() if isinstance(plan, type) else plan


def _imported(home: str) -> Any:
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)
