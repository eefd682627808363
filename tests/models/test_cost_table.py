"""The table of counted costs is what the networks give, and the list needs nothing else."""

from pathlib import Path

import pytest

from kinema.models.cost import cost
from kinema.models.cost_table import FRAMES, SIZE, TABLE, Cost, known_cost, write_table
from kinema.models.names import list_models

SOME = ["tsn-inceptionv1", "tam-resnet50", "s3d-resnet18-tp", "mf-mfnet", "slowfast-resnet50", "tsn-vgg16"]


def known(name: str) -> Cost:
    cost = known_cost(name, frames=FRAMES, size=SIZE)
    assert cost is not None
    return cost


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


def test_other_clips_and_names_are_not_in_the_table() -> None:
    assert known_cost("tsm-resnettiny", frames=4, size=SIZE) is None
    assert known_cost("tsm-resnettiny", frames=FRAMES, size=32) is None
    assert known_cost("tsm@tophalf-resnettiny", frames=FRAMES, size=SIZE) is None


def test_the_table_is_written_as_it_is_read(tmp_path: Path) -> None:
    written = tmp_path / "costs.csv"
    write_table([known(name) for name in list_models()], written)
    assert written.read_text() == TABLE.read_text()
