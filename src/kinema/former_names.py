"""Modules that have moved, under the names that scripts and recipe files of earlier versions import them by."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from types import ModuleType

MOVED = {
    "kinema.analyze.cost": "kinema.models.cost",
    "kinema.data.spec": "kinema.specs.data",
    "kinema.data.synthetic": "kinema.demo.synthetic",
    "kinema.models.convert": "kinema.weights.importing",
    "kinema.models.flow_input": "kinema.specs.flow_input",
    "kinema.models.published": "kinema.weights.published",
    "kinema.models.trained": "kinema.weights.trained",
    "kinema.models.weights": "kinema.specs.preprocessing",
    "kinema.training.recipe": "kinema.specs.recipe",
}
"""Former names of modules that documents of version 0.1 told to import, each with today's name; a package also stands
for its modules."""

MOVED_NAMES = {("kinema.models.build", "build_model"): "kinema.weights.pretrained"}
"""Former homes of single names, in modules that still are, each with the module that has the name today."""


def home_today(former: str) -> str | None:
    """Today's name of a module; None where it never had another."""
    parent, _, name = former.rpartition(".")
    return MOVED.get(former) or (f"{MOVED[parent]}.{name}" if parent in MOVED else None)


def moved_name(module: str, name: str) -> object:
    """What a module had under a name that has moved, for its ``__getattr__``.

    Raises:
        AttributeError: It never had such a name.
    """
    if (module, name) not in MOVED_NAMES:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return getattr(import_module(MOVED_NAMES[module, name]), name)


class FormerNames(MetaPathFinder, Loader):
    """Finds today's module under its former name; both names give the same module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Say that a former name can be imported, or the package that it was in; None for every other name."""
        if home_today(fullname):
            return spec_from_loader(fullname, self)
        had_moved = any(name.startswith(f"{fullname}.") for name in MOVED)
        is_gone = had_moved and PathFinder.find_spec(fullname, path) is None
        return spec_from_loader(fullname, self, is_package=True) if is_gone else None

    def __init__(self) -> None:
        self.own: dict[str, ModuleSpec | None] = {}

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Import today's module in place of a new one; a package that is gone comes back empty."""
        today = home_today(spec.name)
        if today is None:
            return None
        module = import_module(today)
        self.own[module.__name__] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing, the module has run under its own name; give it back the description that Python replaced."""
        if module.__name__ not in self.own:
            return
        module.__spec__ = self.own[module.__name__]
        module.__loader__ = module.__spec__.loader if module.__spec__ else None


def install() -> None:
    """Let Python find the former names, once; first, for a moved package's files would be found again elsewise."""
    if not any(isinstance(finder, FormerNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, FormerNames())
