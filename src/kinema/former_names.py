"""Modules that have moved, under the names that scripts and recipe files of earlier versions import them by."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

MOVED = {
    "kinema.analyze.cost": "kinema.models.cost",
    "kinema.data.spec": "kinema.specs.data",
    "kinema.data.synthetic": "kinema.demo.synthetic",
    "kinema.models.flow_input": "kinema.specs.flow_input",
    "kinema.training.recipe": "kinema.specs.recipe",
}
"""Former names of modules that documents of version 0.1 told to import, each with today's name."""


class FormerNames(MetaPathFinder, Loader):
    """Finds today's module under its former name; both names give the same module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Say that a former name can be imported, or the package that it was in; None for every other name."""
        is_package = any(name.startswith(f"{fullname}.") for name in MOVED)
        known = is_package or fullname in MOVED
        return spec_from_loader(fullname, self, is_package=is_package) if known else None

    def __init__(self) -> None:
        self.own: dict[str, ModuleSpec | None] = {}

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Import today's module in place of a new one; a package that is gone comes back empty."""
        if spec.name not in MOVED:
            return None
        module = import_module(MOVED[spec.name])
        self.own[module.__name__] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing, the module has run under its own name; give it back the description that Python replaced."""
        if module.__name__ not in self.own:
            return
        module.__spec__ = self.own[module.__name__]
        module.__loader__ = module.__spec__.loader if module.__spec__ else None


def install() -> None:
    """Let Python find the former names, once."""
    if not any(isinstance(finder, FormerNames) for finder in sys.meta_path):
        sys.meta_path.append(FormerNames())
