"""The grammar of names, placements, and the messages about both."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from kinema.errors import UserError
from kinema.models import catalogue, names
from kinema.models.cards import BackboneCard, ModuleCard
from kinema.models.names import ModelName, list_models
from kinema.models.placement import placed_units


@pytest.mark.parametrize("name", list_models())
def test_printing_undoes_parsing(name: str) -> None:
    assert str(ModelName.parse(name)) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tsn-resnet50", ModelName(("tsn",), "resnet50")),
        ("tam@tophalf-resnet18-tp", ModelName(("tam",), "resnet18", "tophalf", True)),
        ("tsm+nl@bottom3-resnet101", ModelName(("tsm", "nl"), "resnet101", "bottom3")),
        ("i3d@top0-inceptionv1", ModelName(("i3d",), "inceptionv1", "top0")),
    ],
)
def test_every_word_is_read(text: str, expected: ModelName) -> None:
    assert ModelName.parse(text) == expected
    assert str(expected) == text


def test_all_is_the_default_placement() -> None:
    assert str(ModelName.parse("tam@all-resnet18")) == "tam-resnet18"


def test_an_alias_prints_itself_and_equals_what_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    aliases: Mapping[str, str] = {"i2d": "i3d@top0-inceptionv1"}
    monkeypatch.setattr(names, "ALIASES", aliases)
    assert str(ModelName.parse("i2d")) == "i2d"
    assert ModelName.parse("i2d") == ModelName.parse("i3d@top0-inceptionv1")
    assert "i2d" in list_models()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tsmm-resnet50", "did you mean tsm"),
        ("tsm-resnet51", "did you mean resnet50"),
        ("tsm@middle-resnet50", "unknown placement 'middle'"),
        ("tsm@top-resnet50", "topN"),
        ("resnet50", "module{+module}"),
        ("tsm@-resnet50", "module{+module}"),
        ("tsm-resnet50-tp-tp", "unknown backbone 'tp'"),
        ("tsn+tsm-resnet50", "write tsm-resnet50"),
        ("tsm+tsm-resnet50", "at most once"),
        ("tsm+-resnet50", "unknown temporal module ''"),
        ("", "unknown model ''"),
    ],
)
def test_wrong_names_are_explained(text: str, told: str) -> None:
    with pytest.raises(UserError) as raised:
        ModelName.parse(text)
    assert told in str(raised.value)


def test_the_names_of_version_0_1_are_listed_in_their_order() -> None:
    earlier = (Path(__file__).resolve().parents[1] / "golden" / "models.txt").read_text().split()
    assert [name for name in list_models() if name in set(earlier)] == earlier


def test_a_row_that_refuses_something_is_listed_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a row refuses must not break the list of everything else."""
    module = ModuleCard(summary="", home="", refuses={"vgg*": "why"}, no_temporal_pooling="why")
    backbone = BackboneCard(summary="", home="", refuses={"tam": "why"})
    monkeypatch.setitem(catalogue.MODULES, "newmodule", module)
    monkeypatch.setitem(catalogue.BACKBONES, "newbackbone", backbone)
    assert list_models("newmodule-resnet18*") == ["newmodule-resnet18"]
    assert list_models("newmodule-vgg*") == []
    assert {"tsm-newbackbone-tp", "newmodule-newbackbone"} <= set(list_models("*-newbackbone*"))
    assert list_models("tam-newbackbone*") == []
    with pytest.raises(UserError, match="newmodule does not go with vgg16: why"):
        ModelName.parse("newmodule-vgg16")


def test_listing_by_pattern() -> None:
    assert list_models("tsm-resnet18*") == ["tsm-resnet18", "tsm-resnet18-tp"]
    assert list_models("nothing*") == []


@pytest.mark.parametrize(
    ("placement", "num_units", "expected"),
    [
        ("", 3, "111"),
        ("all", 3, "111"),
        ("tophalf", 8, "00001111"),  # Table 6 of the deep analysis: four of ResNet-18's eight blocks each
        ("bottomhalf", 8, "11110000"),
        ("uniformhalf", 8, "10101010"),
        ("tophalf", 9, "000011111"),
        ("top0", 3, "000"),
        ("top2", 3, "011"),
        ("bottom2", 3, "110"),
        ("top9", 3, "111"),
    ],
)
def test_placements(placement: str, num_units: int, expected: str) -> None:
    assert placed_units(placement, num_units) == tuple(flag == "1" for flag in expected)


def test_names_load_no_torch() -> None:
    code = "import sys, kinema.models.names, kinema.weights.imagenet; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
