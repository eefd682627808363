"""``kinema models``."""

import json

import pytest

from kinema.cli.models import models
from kinema.errors import UserError


def test_table_names_the_models_and_their_cost(capsys: pytest.CaptureFixture[str]) -> None:
    models("ts?-resnet50")
    table = capsys.readouterr().out
    tsn, tsm = (next(line for line in table.splitlines() if f"{name}-resnet50" in line) for name in ("tsn", "tsm"))
    assert "24.33 M" in tsn
    assert "32.70 G" in tsn
    assert tsn.split()[-2] == "no"
    assert tsm.split()[-2] == "yes"
    assert "i3d" not in table


def test_json_gives_one_line_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    models("tam@tophalf-resnettiny-tp", frames=16, size=64, json=True)  # a name that no pattern lists
    (line,) = capsys.readouterr().out.splitlines()
    counted = json.loads(line)
    assert counted["name"] == "tam@tophalf-resnettiny-tp"
    assert counted["temporal_stride"] == 8
    assert (counted["frames"], counted["size"]) == (16, 64)


@pytest.mark.parametrize(("pattern", "told"), [("tsm-resnet5", "did you mean resnet50"), ("x*", "no model matches")])
def test_unknown_names_are_explained(pattern: str, told: str) -> None:
    with pytest.raises(UserError) as raised:
        models(pattern)
    assert told in str(raised.value)
