"""The table of counted costs is what the networks give, and the list needs nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from kinema.models.cost import cost
from kinema.models.cost_table import FRAMES, SIZE, TABLE, Cost, listed_cost, write_table
from kinema.models.names import list_models

SOME = ["tsn-inceptionv1", "tam-resnet50", "s3d-resnet18-tp", "mf-mfnet", "slowfast-resnet50", "tsn-vgg16"]


def known(name: str) -> Cost:
    return listed_cost(name, frames=FRAMES, size=SIZE)


def test_every_listed_model_has_a_row() -> None:
    """After a new backbone or module: ``python tests/count_costs.py``."""
    names = [line.split(",")[0] for line in TABLE.read_text().splitlines()[1:]]
    assert names == list_models()


@pytest.mark.parametrize("name", [name for name in list_models() if name in SOME])
def test_rows_are_counted(name: str) -> None:
    assert known(name) == cost(name, frames=FRAMES, size=SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_all_rows_are_counted(name: str) -> None:
    assert known(name) == cost(name, frames=FRAMES, size=SIZE)


def test_what_the_table_lacks_is_counted() -> None:
    assert listed_cost("tsm-resnettiny", frames=4, size=32) == cost("tsm-resnettiny", frames=4, size=32)
    assert known("tsm@tophalf-resnettiny") == replace(known("tsm-resnettiny"), name="tsm@tophalf-resnettiny")


def test_the_table_is_written_as_it_is_read(tmp_path: Path) -> None:
    written = tmp_path / "costs.csv"
    write_table([known(name) for name in list_models()], written)
    assert written.read_text() == TABLE.read_text()
