"""``kinema train`` and ``kinema runs`` as a user types them."""

import json
import re
from pathlib import Path

import pytest
import torch

from kinema.cli.runs import runs
from kinema.cli.train import train
from kinema.demo.synthetic import make_reversible_shapes
from kinema.errors import UserError
from kinema.specs.recipe import Recipe
from kinema.training.overrides import Overrides
from kinema.training.status import note_end

RECIPE_FILE = """
from kinema.specs.data import DataSpec
from kinema.specs.recipe import Recipe, ScheduleSpec, TrainSpec

def tiny():
    return Recipe(
        name="tiny",
        data=DataSpec(frames=2, short_side=(32, 32), crop_size=32, num_workers=0),
        schedule=ScheduleSpec(epochs=3),
        train=TrainSpec(batch_size=16),
        paper_scores={"top-1": 99.0},
        citation="A paper",
    )
"""


def overrides(**parts: dict) -> object:
    """What tyro makes of options such as ``--schedule.epochs 1``."""
    empty = Overrides()
    return Overrides(**{part: type(getattr(empty, part))(**fields) for part, fields in parts.items()})


def test_train_then_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    make_reversible_shapes(tmp_path / "shapes", num_videos=80, size=32, num_frames=4)
    (tmp_path / "mine.py").write_text(RECIPE_FILE)
    train(
        "tsn-resnettiny",
        data=(str(tmp_path / "shapes" / "manifest.csv"),),
        recipe=f"{tmp_path}/mine.py:tiny",
        out=str(tmp_path / "runs" / "one"),
        batch="24",
        overrides=overrides(schedule={"epochs": 1}, optim={"lr": 0.02}),
    )
    printed = capsys.readouterr()
    assert "best epoch 1 of 1" in printed.out
    assert re.search(r"top-1 +│ +[0-9.]+ │ +99 │ +top-1", printed.out)
    assert "A paper" in printed.out
    assert "batch 24 (the recipe has 16), learning rate 0.02 as given" in printed.err
    assert f"kinema predict {tmp_path}/runs/one VIDEO" in printed.out
    assert "epoch 1/1, loss " in printed.err
    recipe = Recipe.from_json((tmp_path / "runs" / "one" / "recipe.json").read_text())
    assert (recipe.model, recipe.train.batch_size, recipe.optim.lr) == ("tsn-resnettiny", 24, 0.02)

    runs(str(tmp_path / "runs"))
    assert "tsn-resnettiny" in capsys.readouterr().out
    runs(str(tmp_path / "runs"), json=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["epochs"] == 1


def test_runs_keep_every_value_on_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Recipe(name="scratch", model="tsm-resnettiny")
    changed = first.with_fields({"data.crop_size": 112, "train.batch_size": 32, "data.short_side": (116, 144)})
    for started, (name, recipe) in enumerate([("first", first), ("a-series-with-a-very-long-name/second", changed)]):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "recipe.json").write_text(recipe.to_json())
        (tmp_path / name / "run.json").write_text(json.dumps({"data": f"{tmp_path}/my_clips", "started": str(started)}))
    note_end(tmp_path / "first", "failed", "the loss is no longer a number", seconds=90.0)
    monkeypatch.setenv("COLUMNS", "80")
    runs(str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for value in ("data my_clips", "differs: short_side (116, 144), crop_size 112, batch_size 32"):
        assert value in text
    assert "first - 0/30 1.5 failed the loss is no longer a number" in text
    assert " - 0/30 0.0 unfinished" in text


def test_resume_keeps_its_recipe() -> None:
    with pytest.raises(UserError, match=r"leave out --optim\.lr, --batch$"):
        train(resume="runs/one", batch="8", overrides=overrides(optim={"lr": 0.1}, data={"num_workers": 0}))


@pytest.mark.parametrize("options", ["tam_init", "[1]", "{tam_init: kaiming}"])
def test_options_must_be_a_json_object(options: str) -> None:
    with pytest.raises(UserError, match="--options takes a JSON object") as caught:
        train("tam-resnettiny", data=("clips",), options=options)
    assert str(caught.value).endswith(options)


def test_options_reach_the_model(tmp_path: Path) -> None:
    make_reversible_shapes(tmp_path / "shapes", num_videos=80, size=32, num_frames=4)
    data = str(tmp_path / "shapes" / "manifest.csv")
    with pytest.raises(UserError, match="tam_init"):  # the names that are allowed
        train("tam-resnettiny", data=(data,), out=str(tmp_path / "run"), options='{"tam_initial": "kaiming"}')
    assert not (tmp_path / "run").exists()


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="batch is 'many'; give a number of clips or 'auto'"):
        train("tsn-resnettiny", data=(str(tmp_path),), batch="many")
    with pytest.raises(UserError, match="name a model to train"):
        train(data=(str(tmp_path),))
    with pytest.raises(UserError, match="unknown recipe 'finetun'"):
        train("tsn-resnettiny", data=(str(tmp_path),), recipe="finetun")
