"""Series of runs: each stage from the one before, stopped and resumed without a trace, every split tested once."""

import json
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from inside_run import act_in_steps

from kinema.cli.train import clip_lengths
from kinema.cli.train import train as train_command
from kinema.cli.train_report import beside_paper, report
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable
from kinema.specs.recipe import Recipe
from kinema.training import run_series
from kinema.training.overrides import Overrides
from kinema.training.run_series import SeriesResult, resume_series, train_series
from kinema.training.series import is_series, read_series
from kinema.training.stopping import TrainingStopped
from kinema.weights.checkpoint import Checkpoint

QUIET: dict[str, Any] = {"device": "cpu", "quiet": True}


@pytest.fixture(scope="module")
def few(shapes: Manifest) -> Manifest:
    """12 videos to train on, 4 to validate on."""
    rows = [row for split, count in (("train", 12), ("val", 4)) for row in rows_of(shapes, split)[:count]]
    return shapes.select(indices=rows)


def rows_of(manifest: Manifest, split: str) -> list[int]:
    return [row for row, record in enumerate(manifest) if record.split == split]


@pytest.fixture(scope="module")
def stages(tiny_recipe: Recipe) -> list[Recipe]:
    """Clips of 2 frames for two epochs, then of 4 for one; three steps an epoch."""
    plain = {"train.batch_size": 4, "schedule.epochs": 2, "data.frames": 2}
    first = tiny_recipe.with_fields(plain)
    return [first, first.with_fields({"data.frames": 4, "schedule.epochs": 1, "optim.lr": 0.01})]


@pytest.fixture(scope="module")
def whole(few: Manifest, stages: list[Recipe], tmp_path_factory: pytest.TempPathFactory) -> SeriesResult:
    out = tmp_path_factory.mktemp("series") / "whole"
    return train_series("", few, recipes=stages, out=out, **QUIET)


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = Checkpoint.read(one / "last.ckpt"), Checkpoint.read(other / "last.ckpt")
    for part in ("state_dict", "ema"):
        for name, tensor in getattr(first, part).items():
            assert torch.equal(tensor, getattr(second, part)[name]), f"{part} {name}"


def test_each_stage_starts_from_the_one_before(whole: SeriesResult, stages: list[Recipe]) -> None:
    assert [run.path.name for run in whole.runs] == ["frames-2", "frames-4"]
    assert [len(run.history) for run in whole.runs] == [2, 1]
    assert whole.tables == []
    second = whole.runs[1].recipe
    assert second.weights == str((whole.path / "frames-2").resolve())
    assert second.with_fields({"weights": ""}) == stages[1]


def test_the_whole_plan_is_stored_before_the_first_run(
    whole: SeriesResult, few: Manifest, stages: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(**options):
        raise RuntimeError("power cut")

    monkeypatch.setattr(run_series, "train", power_cut)
    with pytest.raises(RuntimeError, match="power cut"):
        train_series("", few, recipes=stages, out=tmp_path / "cut", **QUIET)
    assert is_series(tmp_path / "cut")
    plan = read_series(tmp_path / "cut")
    assert [(stage.folder, stage.after, stage.recipe) for stage in plan.stages] == [
        ("frames-2", "", stages[0]),
        ("frames-4", "frames-2", stages[1]),
    ]
    assert plan.manifest(plan.data[0]).digest() == few.digest()
    monkeypatch.undo()
    (tmp_path / "cut" / "frames-2").mkdir()  # a run that died before it saved anything
    (tmp_path / "cut" / "frames-2" / "recipe.json").write_text("{}")
    resume_series(tmp_path / "cut", **QUIET)
    assert_same_weights(tmp_path / "cut" / "frames-4", whole.path / "frames-4")


def test_stopped_in_the_second_stage(
    whole: SeriesResult, few: Manifest, stages: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM in the middle of an epoch; the finished stage is not touched again, the rest is the same bit for bit."""
    lengths = []

    def stop(run, batch, sums):
        lengths.append(batch.clips.shape[2])
        if lengths == [2] * 6 + [4] * 2:
            os.kill(os.getpid(), signal.SIGTERM)

    act_in_steps(monkeypatch, after=stop)
    with pytest.raises(TrainingStopped, match=f"continue with: kinema train --resume {tmp_path}/stopped$"):
        train_series("", few, recipes=stages, out=tmp_path / "stopped", **QUIET)
    assert lengths == [2] * 6 + [4] * 2
    done = (tmp_path / "stopped" / "frames-2" / "last.ckpt").read_bytes()
    result = resume_series(tmp_path / "stopped", **QUIET)
    assert lengths == [2] * 6 + [4] * 3
    assert (tmp_path / "stopped" / "frames-2" / "last.ckpt").read_bytes() == done
    for name in ("frames-2", "frames-4"):
        assert_same_weights(tmp_path / "stopped" / name, whole.path / name)
    for run, expected in zip(result.runs, whole.runs, strict=True):
        assert [row["val_loss"] for row in run.history] == [row["val_loss"] for row in expected.history]
    resume_series(tmp_path / "stopped", **QUIET)  # nothing is left to do
    assert len(lengths) == 9


@pytest.fixture(scope="module")
def splits(shapes: Manifest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two official splits of 16 videos, in one folder: the second tests on what the first trains on."""
    folder = tmp_path_factory.mktemp("splits")
    sixteen = shapes.select(indices=rows_of(shapes, "train")[:16])
    names = ["train"] * 8 + ["test"] * 8
    for number, of_split in enumerate((names, names[::-1]), start=1):
        sixteen.with_splits(of_split).write(folder / f"shapes-split{number}.csv")
    return [folder / f"shapes-split{number}.csv" for number in (1, 2)]


def test_several_splits_by_one_command(
    splits: list[Path],
    stages: list[Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With two lengths each: four runs and two tests; the second test fails first and is made up for later."""
    scores = {"UCF101, average of 3 splits": 96.5, "UCF101, mean class of splits 1, 2": [95.0, 96.0]}
    changes = {"schedule.epochs": 1, "train.validate_on": "none", "protocol": "uniform-2x1", "paper_scores": scores}
    (tmp_path / "tiny.json").write_text(stages[0].with_fields({**changes, "citation": "A paper"}).to_json())
    out = tmp_path / "out"
    original, tested = run_series.evaluate, []

    def evaluate(checkpoint, data, **options):
        tested.append(str(Path(checkpoint).relative_to(out)))
        if len(tested) == 2:
            raise UserError("1 of 8 videos cannot be read")
        return original(checkpoint, data, **options)

    monkeypatch.setattr(run_series, "evaluate", evaluate)
    paths = tuple(map(str, splits))
    with pytest.raises(UserError, match="cannot be read"):
        train_command(data=paths, recipe=str(tmp_path / "tiny.json"), frames="2,4", out=str(out), batch="8")
    with pytest.raises(UserError, match="already holds a series; continue it with --resume"):
        train_command(data=paths, recipe=str(tmp_path / "tiny.json"), frames="2,4", out=str(out))
    capsys.readouterr()
    train_command(resume=str(out))
    assert tested == [f"shapes-split{number}/frames-4" for number in (1, 2, 2)]
    printed = capsys.readouterr()
    assert "run " not in printed.err  # every run was finished
    tables = [ScoreTable.load(out / f"shapes-split{number}" / "test-uniform-2x1.npz") for number in (1, 2)]
    mean = f"{50 * (tables[0].top() + tables[1].top()):.1f}"
    assert re.search(rf"average +│ +16 │.* {mean} │", printed.out)
    assert re.search(rf"top-1 +│ +{mean} │ +96\.5 │ UCF101, average of 3 splits", printed.out)
    assert re.search(r"mean class +│ +[0-9.]+ │ +95 / 96 │ UCF101, mean class of splits 1, 2", printed.out)
    assert [len(table) for table in tables] == [8, 8]
    plan = json.loads((out / "series.json").read_text())
    assert [stage["folder"] for stage in plan["stages"]] == [
        f"shapes-split{number}/frames-{frames}" for number in (1, 2) for frames in (2, 4)
    ]
    shutil.rmtree(out)


def test_the_papers_other_networks_are_left_out() -> None:
    scores = {"tsn-resnet50: K400, clip top-1": 70.5, "i3d-resnet50: K400, top-1": 73.0, "K400, top-5": 90.0}
    recipe = Recipe(name="x", model="tsn-resnet50", paper_scores=scores)
    table = beside_paper({"top1": 0.5, "mean_class": 0.25}, recipe, heading="validation")
    cells = list(zip(*(column.cells for column in table.columns), strict=True))
    assert cells == [
        ("top-1", "50.0", "70.5", "K400, clip top-1"),
        ("top-5", "-", "90", "K400, top-5"),
        ("mean class", "25.0", "", ""),
    ]


def test_a_series_of_a_network_that_the_paper_lacks_says_so(
    whole: SeriesResult, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, at the end; and not when the paper has the network in any of the runs."""
    silent = f"the paper has no score of {whole.runs[0].recipe.model} (A paper)"
    for names, told in ((["i3d-resnet50"] * 2, 1), (["i3d-resnet50", whole.runs[0].recipe.model], 0)):
        runs = [
            replace(run, recipe=replace(run.recipe, citation="A paper", paper_scores={f"{name}: K400, top-1": 70.0}))
            for run, name in zip(whole.runs, names, strict=True)
        ]
        report(replace(whole, runs=runs))
        assert capsys.readouterr().out.count(silent) == told


def test_lengths() -> None:
    assert clip_lengths("") == [None]
    assert clip_lengths("16") == [16]
    assert clip_lengths("8, 16,32") == [8, 16, 32]
    for wrong in ("8,", "eight", "0,8", "8;16", "16,8", "8,8"):
        with pytest.raises(UserError, match="--frames is "):
            clip_lengths(wrong)


def test_what_makes_no_series(
    few: Manifest, shapes: Manifest, splits: list[Path], stages: list[Recipe], tmp_path: Path
) -> None:
    def refused(message: str, data: Manifest | list[Path | Manifest], recipes: list[Recipe], model: str = "") -> None:
        with pytest.raises(UserError, match=message):
            train_series(model, data, recipes=recipes, out=tmp_path / "out", **QUIET)

    refused("a series needs several data sets", few, stages[:1])
    refused("clips of different lengths; given: frames-2, frames-2", few, [stages[0]] * 2)
    refused("two cannot be called 'shapes-split1'", [splits[0], splits[0]], stages)
    refused("have other classes", [splits[0], other_classes(shapes)], stages)
    refused("has no test videos; each of several splits", [splits[0], shapes.select("train")], stages)
    refused("unknown backbone", few, stages, model="tsn-resnetiny")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="is no series of runs"):
        resume_series(tmp_path)
    twice = Overrides(data=type(Overrides().data)(frames=8))
    with pytest.raises(UserError, match="both say how long a clip is"):
        train_command("x", frames="8,16", overrides=twice)
    with pytest.raises(UserError, match="leave out --frames"):
        train_command(resume="x", frames="8")


def other_classes(shapes: Manifest) -> Manifest:
    kept = [record for record in shapes if record.label_index < 3]
    return Manifest.from_records(kept, classes=shapes.classes[:3], root=shapes.root, source="other.csv")
