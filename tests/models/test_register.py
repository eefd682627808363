"""Names for parts of one's own: what they can do afterwards, and what is refused."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from own_parts import AddedDifference, Difference, forgotten_afterwards

import kinema
from kinema import load
from kinema.cli.main import run
from kinema.compute.sendable import require_sendable
from kinema.errors import CheckpointError, UserError
from kinema.models.backbones.resnet import RESNETS
from kinema.models.temporal.base import TemporalModule
from kinema.models.temporal.tam import Tam
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.checkpoint import Checkpoint


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    with forgotten_afterwards():
        yield


def test_a_module_stands_in_every_name() -> None:
    kinema.register_module("diff", Difference, summary="differences of frames")
    for name in ("diff-resnettiny", "diff+nl-resnettiny-tp", "diff@top2-inceptionv1", "diff-vresnet18"):
        with torch.device("meta"):
            model = kinema.build_model(name, num_classes=3, options={"start": 0.25})
        assert str(kinema.ModelName.parse(name)) == model.name == name
        assert any(isinstance(part, AddedDifference) for part in model.modules())
        assert not model.order_blind
    backbones = {kinema.ModelName.parse(name).backbone for name in kinema.list_models("diff-*")}
    assert backbones == {kinema.ModelName.parse(name).backbone for name in kinema.list_models()}
    assert "tsm-resnet18" in kinema.list_models()
    with pytest.raises(UserError, match=r"unknown option of diff-resnettiny .begin.; .*start"):
        kinema.build_model("diff-resnettiny", options={"begin": 1})


def test_its_options_reach_it() -> None:
    kinema.register_module("diff", Difference)
    model = kinema.build_model("diff-resnettiny", num_classes=3, options={"start": 0.25})
    assert {float(part.share.detach().mean()) for part in model.modules() if isinstance(part, AddedDifference)} == {
        0.25
    }


def test_it_starts_from_the_weights_of_an_image_network() -> None:
    kinema.register_module("diff", Difference)
    model = kinema.build_model("diff-efficientnetlite0", num_classes=7, weights="imagenet")
    image = kinema.build_model("tsn-efficientnetlite0", num_classes=7, weights="imagenet")
    still = torch.randn(1, 3, 1, 64, 64).expand(-1, -1, 4, -1, -1)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval().features(still), image.eval().features(still), rtol=1e-4, atol=1e-5)


def test_a_backbone_carries_every_module() -> None:
    plan = dataclasses.replace(RESNETS["resnettiny"], layers=(1, 2, 1, 1))
    kinema.register_backbone("mynet", plan, no_temporal_pooling="its author never tried")
    assert kinema.build_model("tsm-mynet", num_classes=3)(torch.randn(1, 3, 4, 32, 32)).shape == (1, 3)
    assert "tam-mynet" in kinema.list_models("*-mynet*")
    with pytest.raises(UserError, match="mynet has no form with -tp: its author never tried"):
        kinema.build_model("tsm-mynet-tp")
    with pytest.raises(UserError, match="there are no ImageNet weights of mynet"):
        kinema.build_model("tsm-mynet", weights="imagenet")


@pytest.mark.parametrize("name", ["", "Diff", "my-diff", "my_diff", "a+b", "a@b", "a.b", "1diff", "tp", "*"])
def test_ill_formed_names(name: str) -> None:
    with pytest.raises(UserError, match="cannot stand in a model's name"):
        kinema.register_module(name, Difference)
    with pytest.raises(UserError, match="cannot stand in a model's name"):
        kinema.register_backbone(name, RESNETS["resnet18"])


@pytest.mark.parametrize(("name", "kind"), [("tsm", "module"), ("resnet18", "backbone"), ("i2d", "alias")])
def test_taken_names(name: str, kind: str) -> None:
    before = kinema.list_models()
    with pytest.raises(UserError, match=f"'{name}' is a {kind} already"):
        kinema.register_module(name, Difference)
    with pytest.raises(UserError, match=f"'{name}' is a {kind} already"):
        kinema.register_backbone(name, RESNETS["resnet18"])
    assert kinema.list_models() == before


def test_the_same_class_may_be_registered_again_and_no_other() -> None:
    kinema.register_module("diff", Difference)
    edited = type("Difference", (Difference,), {"__module__": Difference.__module__, "sees_order": False})
    kinema.register_module("diff", edited)  # a cell of a notebook was run again
    assert kinema.build_model("diff-resnettiny", num_classes=2).order_blind
    with pytest.raises(UserError, match="'diff' is a module already"):
        kinema.register_module("diff", Tam)
    with pytest.raises(UserError, match="'diff' is a module already"):
        kinema.register_backbone("diff", RESNETS["resnet18"])


class _Needy(TemporalModule):
    def __init__(self, width: int) -> None:
        self.width = width


class _Wrong(TemporalModule):
    option_names = ("width",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Difference(), "takes a subclass of TemporalModule .* not an object"),
        (TemporalModule, "takes a subclass of TemporalModule"),
        (torch.nn.Conv3d, "takes a subclass of TemporalModule"),
        (_Needy, "the constructor of _Needy needs width"),
        (_Wrong, "_Wrong.option_names has width, which its constructor does not take"),
    ],
)
def test_what_is_no_module(given: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        kinema.register_module("diff", given)


def test_what_is_no_backbone() -> None:
    with pytest.raises(UserError, match="takes an object of a subclass of BackbonePlan"):
        kinema.register_backbone("mynet", type(RESNETS["resnet18"]))


def test_a_checkpoint_says_what_to_register(tmp_path: Path) -> None:
    with forgotten_afterwards():
        kinema.register_module("diff", Difference)
        model = kinema.build_model("diff-resnettiny", num_classes=2)
        path = tmp_path / "best.ckpt"
        Checkpoint.of(model, classes=("a", "b"), preprocessing=Preprocessing()).write(path)
        assert load(path).model.name == "diff-resnettiny"
    with pytest.raises(CheckpointError, match=r"unknown temporal module 'diff'.*register_module .*--plugin FILE\.py"):
        load(path)


PLUGIN = """
import kinema
from own_parts import Difference
kinema.register_module("plugged", Difference, summary="from a file")
"""


def test_plugins_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my_plugin_file.py"
    file.write_text(PLUGIN)
    for words in (["--plugin", str(file), "models"], ["models", f"--plugin={file}"]):
        assert run([*words, "plugged-resnettiny", "--json", "--size", "32"]) == 0
        row = json.loads(capsys.readouterr().out)
        assert row["name"] == "plugged-resnettiny"
        assert row["parameters"] > math.prod((3, 16, 49))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["models", "--plugin"], "--plugin needs the path of a Python file"),
        (["--plugin", "nothing.py", "models"], "nothing.py: no such Python file"),
        (["--plugin", "json.py", "models"], "Python has another module 'json'"),
        (["--plugin", "my-plugin.py", "models"], "a module cannot be called 'my-plugin'"),
    ],
)
def test_plugins_that_cannot_be_loaded(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("json.py", "my-plugin.py"):
        (tmp_path / name).write_text("raise SystemExit('it was run')\n")
    assert run(words) == 1
    assert message in capsys.readouterr().err


def test_what_other_processes_cannot_import() -> None:
    class Local(Difference):
        pass

    require_sendable("it", (Difference, Difference()))
    with pytest.raises(UserError, match=r"it cannot be sent to several processes: .*Local.*top level of a file"):
        require_sendable("it", Local)
    with pytest.raises(UserError, match="cannot be sent"):
        require_sendable("it", lambda n: n)
