"""What the documents of version 0.1 told to import can still be imported from there."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from kinema.former_names import MOVED, MOVED_NAMES

DOCUMENTED = {
    "kinema.analyze.cost": ["Cost", "cost"],
    "kinema.data.spec": ["DataSpec"],
    "kinema.data.synthetic": ["make_reversible_shapes"],
    "kinema.models.backbones.resnet": ["RESNETS"],
    "kinema.models.convert.importer": ["import_checkpoint"],
    "kinema.models.flow_input": ["FlowInput"],
    "kinema.models.names": ["ALIASES", "BACKBONES", "MODULES", "list_models"],
    "kinema.models.optimize": ["optimize_for_inference"],
    "kinema.models.published": ["PUBLISHED"],
    "kinema.models.temporal.base": ["TemporalModule"],
    "kinema.models.weights": ["Preprocessing"],
    "kinema.recipes": ["load_recipe"],
    "kinema.training.recipe": ["OptimSpec", "Recipe", "ScheduleSpec", "TrainSpec"],
    "kinema.training.run_series": ["resume_series", "train_series"],
}


@pytest.mark.parametrize("module", DOCUMENTED)
def test_documented_names_are_where_they_were(module: str) -> None:
    home = import_module(module)
    for name in DOCUMENTED[module]:
        assert hasattr(home, name), name


def test_a_former_name_gives_the_same_module() -> None:
    for former, today in MOVED.items():
        assert import_module(former) is import_module(today)
        assert import_module(today).__spec__.name == today  # pyrefly: ignore[missing-attribute]


def test_a_former_package_gives_its_modules_once() -> None:
    from kinema.models.convert import families  # pyrefly: ignore[missing-import]

    assert families is import_module("kinema.weights.importing.families")
    assert import_module("kinema.models.convert.families") is families
    with pytest.raises(ModuleNotFoundError, match="nonsense"):
        import_module("kinema.models.convert.nonsense")


def test_a_former_home_of_a_name_still_has_it() -> None:
    for (module, name), today in MOVED_NAMES.items():
        assert getattr(import_module(module), name) is getattr(import_module(today), name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = import_module("kinema.models.build").nonsense


def test_a_former_name_works_in_a_fresh_process() -> None:
    code = "from kinema.training import recipe as former; from kinema.specs import recipe; assert former is recipe"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
