"""Networks of one's own are trained, stopped, continued and loaded; files never build them."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from inside_run import act_in_steps
from own_parts import difference_model, forgotten_afterwards, whole_model
from torch import nn

import kinema
from kinema import build_model, load
from kinema.cli.main import run as command
from kinema.data.manifest import Manifest
from kinema.errors import CheckpointError, UserError
from kinema.specs.recipe import Recipe
from kinema.training.initial import starting_model
from kinema.training.run import TrainResult, train
from kinema.training.stopping import TrainingStopped
from kinema.weights.checkpoint import Checkpoint


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    with forgotten_afterwards():
        yield


@pytest.fixture(scope="module")
def finished(shapes: Manifest, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    out = tmp_path_factory.mktemp("own") / "run"
    return train(difference_model, shapes, recipe=tiny_recipe, out=out, quiet=True)


def losses(result: TrainResult) -> list[float]:
    return [row[name] for row in result.history for name in ("train_loss", "val_loss")]


def test_a_function_trains_as_the_name_does(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    """The same network, built by a function or by its name, gives the same numbers; random weights follow the seed."""
    dropout = tiny_recipe.train.dropout
    named = train(data=shapes, recipe=tiny_recipe, out=tmp_path / "named", quiet=True)
    torch.manual_seed(99)
    own = train(
        lambda n: build_model("tsm-resnettiny", num_classes=n, dropout=dropout),
        shapes,
        recipe=tiny_recipe,
        out=tmp_path / "own",
        quiet=True,
    )
    assert losses(own) == losses(named)
    assert load(tmp_path / "named").model.named
    with pytest.raises(CheckpointError, match="was trained from a model object, tsm-resnettiny"):
        load(tmp_path / "own")  # its name would build this one, but nothing says so of an object


def test_what_is_given_stays_as_it_was(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    model = whole_model(8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = train(model, shapes, recipe=tiny_recipe, out=tmp_path / "run", quiet=True)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    trained = load(result.path, model=model)
    assert trained.model is model
    assert not torch.equal(before["conv.weight"], model.get_parameter("conv.weight"))
    table = kinema.evaluate(trained, shapes, split="val", num_workers=0)
    assert table.top(1) == pytest.approx(result.best["val_top1"])


def test_a_run_and_its_checkpoint(finished: TrainResult, shapes: Manifest) -> None:
    assert finished.recipe.model == "difference-resnet"
    log = (finished.path / "log.txt").read_text()
    assert (
        "difference-resnet is an object: its own weights, options and dropout are used, not those of recipe tiny" in log
    )
    with pytest.raises(CheckpointError, match=r"holds its weights but no code .* kinema\.load\(.*model=\.\.\.\)"):
        load(finished.path)
    with pytest.raises(CheckpointError, match="holds its weights but no code"):
        kinema.evaluate(finished.path, shapes)
    for given in (difference_model, difference_model(8)):
        trained = load(finished.path, model=given)
        assert (trained.classes, trained.preprocessing.frames) == (shapes.classes, 4)
    table = kinema.evaluate(trained, shapes, split="val", num_workers=0)
    assert table.top(1) == pytest.approx(finished.best["val_top1"])
    assert kinema.features(trained, shapes, split="val", num_workers=0).features.shape == (8, 128)
    assert kinema.list_runs(finished.path.parent)[0].model == "difference-resnet"


def test_the_command_line_says_what_to_do(finished: TrainResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", "--resume", str(finished.path), "--epochs", "9"]) == 1
    assert "kinema.train(model, resume=RUN)" in capsys.readouterr().err


@pytest.mark.parametrize("given", [difference_model, difference_model(8)], ids=["function", "object"])
def test_resumed_bit_for_bit(
    given: object,
    finished: TrainResult,
    shapes: Manifest,
    tiny_recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = []

    def stopping(run, batch):
        steps.append(run)
        if len(steps) == 3:
            run.stop.signal = signal.SIGTERM

    with monkeypatch.context() as patched:
        act_in_steps(patched, before=stopping)
        with pytest.raises(TrainingStopped):
            train(difference_model, shapes, recipe=tiny_recipe, out=tmp_path / "run", quiet=True)
    with pytest.raises(CheckpointError, match=r"no code to build it: give the object, kinema\.train\(model, resume"):
        train(resume=tmp_path / "run", quiet=True)
    result = train(given, resume=tmp_path / "run", quiet=True)
    assert losses(result) == losses(finished)


def test_a_named_run_wants_no_object(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    short = tiny_recipe.with_fields({"schedule.epochs": 1, "train.validate_on": "none"})
    train(data=shapes, recipe=short, out=tmp_path / "run", quiet=True)
    with pytest.raises(UserError, match="holds tsm-resnettiny, which its name builds; leave the model object out"):
        train(difference_model, resume=tmp_path / "run", epochs=2, quiet=True)


def test_from_an_earlier_run_of_its_own(finished: TrainResult, shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path):
    two = shapes.select(indices=[row for row, record in enumerate(shapes) if record.label in shapes.classes[:2]])
    two = Manifest.from_records(list(two), classes=shapes.classes[:2], root=two.root)
    short = tiny_recipe.with_fields({"schedule.epochs": 1, "optim.lr": 1e-9, "train.batch_size": 4})
    result = train(difference_model, two, recipe=short, weights=finished.path, out=tmp_path / "run", quiet=True)
    first = Checkpoint.read(finished.path / "best.ckpt").state_dict
    second = Checkpoint.read(result.path / "last.ckpt").state_dict
    torch.testing.assert_close(second["layer1.0.conv1.weight"], first["layer1.0.conv1.weight"], atol=1e-6, rtol=0)
    assert "was trained on 8 other classes" in (result.path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (difference_model(5), {}, "difference-resnet has 5 classes and 8 are needed; give a function instead"),
        (
            nn.Linear(3, 8),
            {},
            r"the model is a Linear; trained and loaded are ActionModels.*evaluate and features take",
        ),
        (lambda n: nn.Linear(3, n), {}, "the function gave a Linear"),
        (7, {}, "model is a int; give an ActionModel, or a function"),
        (difference_model, {"weights": "imagenet"}, "weights 'imagenet' with a model object: give a checkpoint"),
        (difference_model, {"weights": "gone.pth"}, "weights 'gone.pth' with a model object"),
        (lambda n: build_model("tsm-resnettiny", num_classes=n, in_channels=2), {}, "takes 2 channels; .* have 3"),
    ],
)
def test_refused(
    model: object, options: dict, message: str, shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        train(model, shapes, recipe=tiny_recipe, out=tmp_path / "run", quiet=True, **options)
    assert not (tmp_path / "run").exists()


def test_what_the_run_has_decided_is_kept(shapes: Manifest, tiny_recipe: Recipe) -> None:
    """Such as whether temporal parts of frozen stages learn: the run's recipe knows it, a new object does not."""
    recipe = dataclasses.replace(tiny_recipe, model="difference-resnet", options={"train_temporal": True})
    own = difference_model(8)
    model, _ = starting_model(recipe, shapes.classes, note=print, network=own)
    assert model is own
    assert model.options == {"train_temporal": True}


def test_two_processes_share_no_weights(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    """They give what one gives; of an object that they cannot import they say so before they start."""
    changes = {"schedule.epochs": 1, "train.precision": "fp64", "train.frozen_bn": True, "train.mixup": 0.0}
    recipe = tiny_recipe.with_fields({**changes, "train.validate_on": "none"})
    model = whole_model(8)
    model.head.dropout = 0.0
    one, two = (
        train(model, shapes, recipe=recipe, out=tmp_path / str(n), device="cpu", devices=n, quiet=True) for n in (1, 2)
    )
    assert two.history[0]["train_loss"] == pytest.approx(one.history[0]["train_loss"], abs=1e-8)
    model.forget = lambda: None
    with pytest.raises(UserError, match=r"what is trained cannot be sent to several processes: .*lambda"):
        train(model, shapes, recipe=recipe, out=tmp_path / "local", device="cpu", devices=2, quiet=True)


PLUGIN = """
import kinema
from own_parts import Difference

class Mine(Difference):
    pass

kinema.register_module("mine", Mine)
"""


def test_plugin_on_the_command_line(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    """A registration reaches the processes that a run starts, and a checkpoint of its name is used with it."""
    plugin, recipe = tmp_path / "mine_plugin.py", tmp_path / "recipe.json"
    plugin.write_text(PLUGIN)
    recipe.write_text(tiny_recipe.with_fields({"schedule.epochs": 1}).to_json())
    shapes.write(tmp_path / "shapes.csv")
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def kinema_command(*words: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "kinema", *words]
        return subprocess.run(whole, capture_output=True, text=True, env=env, cwd=tmp_path)

    plugged = ["--plugin", str(plugin)]
    trained = kinema_command(
        *plugged, "train", "mine-resnettiny", "--data", "shapes.csv", "--recipe", str(recipe), "--out", "run",
        "--devices", "2", "--device", "cpu",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    video = str(shapes.root / shapes[0].path)
    answered = kinema_command(*plugged, "predict", "run", video)
    assert answered.returncode == 0, answered.stderr
