"""Runs from end to end: what they leave behind, what they start from, and what stops them before they start."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema import load
from kinema.data.manifest import Manifest
from kinema.errors import CheckpointError, UserError
from kinema.models.action_model import ActionModel
from kinema.specs.recipe import Recipe
from kinema.training.run import TrainResult, train
from kinema.training.runs import list_runs
from kinema.weights.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def finished(shapes: Manifest, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(data=shapes, recipe=tiny_recipe, out=tmp_path_factory.mktemp("runs") / "first", quiet=True)


def test_run_directory(finished: TrainResult, tiny_recipe: Recipe, shapes: Manifest) -> None:
    names = {path.name for path in finished.path.iterdir()}
    files = {"best.ckpt", "last.ckpt", "recipe.json", "run.json", "videos.csv", "classes.csv", "metrics.csv", "log.txt"}
    files |= {"status.json"}
    assert files <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert Recipe.from_json((finished.path / "recipe.json").read_text()) == tiny_recipe
    used = Manifest.read(finished.path / "videos.csv")
    assert used.select("train").digest() == shapes.select("train").digest()
    log = (finished.path / "log.txt").read_text()
    assert log.count("epoch ") == 2
    header, *rows = (finished.path / "metrics.csv").read_text().splitlines()
    assert header.startswith("epoch,train_loss,train_top1,val_loss,val_top1,val_top5,val_mean_class,lr")
    assert len(rows) == 2


def test_events_hold_the_numbers(finished: TrainResult) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished.path))
    events.Reload()
    values = [event.value for event in events.Scalars("val/top1")]
    assert values == pytest.approx([row["val_top1"] for row in finished.history])


def test_best_checkpoint_is_the_best_epoch_and_enough_to_use(finished: TrainResult, shapes: Manifest) -> None:
    trained = load(finished.path)
    assert trained.classes == shapes.classes
    assert (trained.preprocessing.frames, trained.preprocessing.crop_size) == (4, 32)
    best = max(finished.history, key=lambda row: (row["val_top1"], -row["epoch"]))
    assert finished.best == best
    assert trained.scores == best
    assert Checkpoint.read(finished.path / "best.ckpt").training is None


def test_learning_happens(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    """Without anything random in the way the training loss of a few videos falls to almost nothing."""
    plain = {
        "train.mixup": 0.0,
        "train.label_smoothing": 0.0,
        "train.dropout": 0.0,
        "data.augmentation": "center",
        "data.flip": False,
        "schedule.epochs": 30,
        "train.validate_on": "none",
    }
    few = shapes.select(indices=[row for row, record in enumerate(shapes) if record.split == "train"][:16])
    result = train(data=few, recipe=tiny_recipe.with_fields(plain), out=run_folder, quiet=True)
    assert result.history[0]["train_loss"] > 1.5
    assert result.history[-1]["train_loss"] < 0.3
    assert result.best == result.history[-1]  # without validation the newest is the best


@pytest.mark.parametrize(
    "changes", [{"data.balance": "sampler"}, {"data.balance": "loss"}, {"train.precision": "bf16"}]
)
def test_variants_run(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, changes: dict) -> None:
    recipe = tiny_recipe.with_fields({**changes, "schedule.epochs": 1})
    result = train(data=shapes, recipe=recipe, out=run_folder, quiet=True)
    assert result.history[0]["train_loss"] == pytest.approx(np.log(8), rel=0.25)


def test_compiled_networks_train_alike(
    finished: TrainResult, shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph is traced but not turned into machine code, which would take minutes."""
    compiled, original = [], torch.nn.Module.compile

    def traced(self: torch.nn.Module) -> None:
        compiled.append(type(self).__name__)
        original(self, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    changes = {"train.compile": True, "train.validate_on": "none"}
    few = shapes.select(indices=[row for row, record in enumerate(shapes) if record.split == "train"])
    result = train(data=few, recipe=tiny_recipe.with_fields(changes), out=run_folder, quiet=True)
    assert compiled == ["ActionModel"]
    for first, second in zip(finished.history, result.history, strict=True):
        assert second["train_loss"] == pytest.approx(first["train_loss"], rel=1e-4)
    assert set(load(run_folder).model.state_dict()) == set(load(finished.path).model.state_dict())


@pytest.mark.parametrize("mixup", [0.0, 0.2])
def test_accumulated_parts_are_one_step(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path, mixup: float) -> None:
    """Ten steps of 10 and 8 clips in three uneven parts, with clipped gradients."""
    plain = {"train.precision": "fp64", "train.frozen_bn": True, "train.dropout": 0.0, "train.mixup": mixup}
    recipe = tiny_recipe.with_fields({**plain, "train.validate_on": "none", "optim.clip_norm": 0.1})
    one = train(data=shapes, recipe=recipe, out=tmp_path / "one", quiet=True)
    parts = recipe.with_fields({"train.accumulate": 3})
    three = train(data=shapes, recipe=parts, out=tmp_path / "three", quiet=True)
    for first, second in zip(one.history, three.history, strict=True):
        assert second["train_loss"] == pytest.approx(first["train_loss"], abs=1e-12)
        assert second["train_top1"] == first["train_top1"]
    weights = [Checkpoint.read(run.path / "last.ckpt").state_dict for run in (one, three)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-12, rtol=0)


def test_workers_change_nothing(finished: TrainResult, shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    result = train(data=shapes, recipe=tiny_recipe.with_fields({"data.num_workers": 2}), out=run_folder, quiet=True)
    for first, second in zip(finished.history, result.history, strict=True):
        assert second["train_loss"] == first["train_loss"]
        assert second["val_loss"] == first["val_loss"]


def test_early_stopping(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    """At a rate of next to nothing no epoch beats the first, so a patience of two ends the run after three."""
    changes = {"schedule.epochs": 9, "train.patience": 2, "optim.lr": 1e-12, "train.ema_decay": 0.0}
    recipe = tiny_recipe.with_fields({**changes, "train.frozen_bn": True})
    result = train(data=shapes, recipe=recipe, out=run_folder, quiet=True)
    assert len(result.history) == 3
    assert result.best["epoch"] == 1
    assert "stopped early" in (run_folder / "log.txt").read_text()


def test_no_val_split_holds_some_videos_out(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = shapes.select("train")
    train(data=some, recipe=tiny_recipe.with_fields({"schedule.epochs": 1}), out=run_folder)
    assert "has no val videos" in capsys.readouterr().err
    used = Manifest.read(run_folder / "videos.csv")
    assert len(used) == len(some)
    groups = {split: {record.group for record in used.select(split)} for split in ("train", "val")}
    assert groups["train"].isdisjoint(groups["val"])


def test_fine_tuning_drops_the_classifier_of_other_classes(
    finished: TrainResult, shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [row for row, record in enumerate(shapes) if record.label_index < 3]
    records = [shapes[row] for row in kept]
    fewer = Manifest.from_records(records, classes=shapes.classes[:3], root=shapes.root)
    recipe = tiny_recipe.with_fields({"schedule.epochs": 1, "optim.linear_probe": True, "train.ema_decay": 0.0})
    train(data=fewer, recipe=recipe, weights=finished.path, out=tmp_path / "tuned")
    assert "8 other classes: its classifier is dropped" in capsys.readouterr().err
    before, after = load(finished.path).model.state_dict(), load(tmp_path / "tuned").model.state_dict()
    assert after["fc.weight"].shape[0] == 3
    for name, tensor in before.items():
        if not name.startswith("fc."):
            assert torch.equal(after[name], tensor), name


def test_weights_of_another_network_are_refused(
    finished: TrainResult, shapes: Manifest, tiny_recipe: Recipe, run_folder: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"do not fit tsm-resnet18: .* of another shape"):
        train("tsm-resnet18", shapes, recipe=tiny_recipe, weights=finished.path, out=run_folder, quiet=True)


def test_a_network_of_other_modules_is_inflated(
    finished: TrainResult, shapes: Manifest, tiny_recipe: Recipe, run_folder: Path
) -> None:
    still = tiny_recipe.with_fields({"schedule.epochs": 1, "optim.lr": 1e-12, "options": {"inflation": "repeat"}})
    few = shapes.select(indices=[row for row, record in enumerate(shapes) if record.split == "train"][:10])
    recipe = still.with_fields({"train.validate_on": "none", "train.ema_decay": 0.0, "optim.weight_decay": 0.0})
    train("i3d-resnettiny", few, recipe=recipe, weights=finished.path, out=run_folder, quiet=True)
    assert "holds tsm-resnettiny; kernels that i3d-resnettiny has" in (run_folder / "log.txt").read_text()
    before, after = load(finished.path).model.state_dict(), load(run_folder).model.state_dict()
    flat, inflated = before["layer1.0.conv1.weight"], after["layer1.0.conv1.weight"]
    torch.testing.assert_close(inflated, flat[:, :, None].expand_as(inflated))


def test_a_folder_called_like_a_tag_is_not_a_run(
    shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imagenet").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"there are no ImageNet weights of resnettiny; .*--weights random"):
        train(data=shapes, recipe=tiny_recipe, weights="imagenet", out=tmp_path / "run", quiet=True)


def with_a_bad_video(shapes: Manifest, folder: Path) -> Manifest:
    """The same set with a text file in the place of one training video."""
    (folder / "broken.mp4").write_text("no video")
    records = [record._replace(path=str(Path(shapes.root) / record.path)) for record in shapes]
    row = next(row for row, record in enumerate(records) if record.split == "train")
    records[row] = records[row]._replace(path=str(folder / "broken.mp4"))
    return Manifest.from_records(records, classes=shapes.classes, root=shapes.root)


def test_bad_videos_stop_a_run_before_it_starts(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    broken = with_a_bad_video(shapes, tmp_path)
    with pytest.raises(UserError, match=r"1 of 56 videos cannot be read:\n.*broken\.mp4.*\n.*--skip-bad"):
        train(data=broken, recipe=tiny_recipe, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_skip_bad_trains_on_the_rest(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    broken = with_a_bad_video(shapes, tmp_path)
    recipe = tiny_recipe.with_fields({"schedule.epochs": 1})
    train(data=broken, recipe=recipe, out=tmp_path / "run", skip_bad=True, quiet=True)
    assert "training without 1 video that cannot be decoded" in (tmp_path / "run" / "log.txt").read_text()
    assert len(Manifest.read(tmp_path / "run" / "videos.csv").select("train")) == 47


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("nowhere.ckpt", "nowhere.ckpt: no such checkpoint file, weights file or run directory"),
        ("imagnet", "unknown weights of tsm-resnettiny 'imagnet'; did you mean imagenet"),
        ("tsm-resnet50.k400-f8000", "unknown weights of tsm-resnet50 'k400-f8000'; did you mean k400-f8 or"),
    ],
)
def test_missing_weights_are_refused_before_the_videos_are_looked_at(
    shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path, weights: str, message: str
) -> None:
    records = [record._replace(path=f"{record.path}.gone") for record in shapes]
    gone = Manifest.from_records(records, classes=shapes.classes, root=tmp_path)
    with pytest.raises(UserError, match=message):
        train("tsm-resnettiny", gone, recipe=tiny_recipe, weights=weights, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_earlier_results_are_not_overwritten(finished: TrainResult, shapes: Manifest, tiny_recipe: Recipe) -> None:
    before = (finished.path / "best.ckpt").read_bytes()
    with pytest.raises(UserError, match="already holds a run; continue it with --resume"):
        train(data=shapes, recipe=tiny_recipe, out=finished.path, quiet=True)
    assert (finished.path / "best.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("tsm-resnetiny", {}, "unknown backbone 'resnetiny'; did you mean resnettiny"),
        ("tsm-resnettiny", {"options": {"fld": 8}}, "unknown option of tsm-resnettiny 'fld'"),
        (
            "tsm-resnettiny",
            {"weights": "imagenett"},
            "unknown weights of tsm-resnettiny 'imagenett'",
        ),
        ("tsm-resnettiny", {"train.precision": "fp16"}, "precision fp16 needs a CUDA device"),
        ("tsm-resnettiny", {"train.accumulate": 11}, "cannot keep 1 processes with 11 parts each busy"),
    ],
)
def test_what_cannot_be_trained(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, model: str, changes: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(model, shapes, recipe=tiny_recipe.with_fields(changes), out=run_folder, device="cpu", quiet=True)


def test_data_that_cannot_be_trained_on(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training needs data"):
        train("tsm-resnettiny")
    with pytest.raises(UserError, match="has no train videos; its splits are: test"):
        train(data=shapes.select("test"), recipe=tiny_recipe, quiet=True)
    on_test = tiny_recipe.with_fields({"train.validate_on": "test"})
    with pytest.raises(UserError, match="no test videos to validate on"):
        train(data=shapes.select("train"), recipe=on_test, quiet=True)
    unlabelled = [record._replace(label="", label_index=-1) for record in shapes]
    manifest = Manifest.from_records(unlabelled, classes=shapes.classes, root=shapes.root)
    with pytest.raises(UserError, match="56 videos to train or validate on have no label"):
        train(data=manifest, recipe=tiny_recipe, quiet=True)
    few = shapes.select("train")
    lone = [next(record for record in few if record.label == name) for name in few.classes]
    manifest = Manifest.from_records(lone, classes=shapes.classes, root=shapes.root)
    with pytest.raises(UserError, match=r"nothing can be held out.*train on all with --train\.validate-on none"):
        train(data=manifest, recipe=tiny_recipe, quiet=True)


def test_diverging_loss_is_named(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    recipe = tiny_recipe.with_fields({"optim.lr": 1e30, "optim.clip_norm": 0.0, "schedule.warmup_epochs": 0.0})
    with pytest.raises(UserError, match=r"the loss is nan in epoch 1, step 2 \(2\.1.*\); lower optim\.lr"):
        train(data=shapes, recipe=recipe, out=run_folder, quiet=True)


def test_out_of_memory_names_the_batch_that_fits(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device on which more than three clips do not fit."""

    original = ActionModel.forward

    def small(model, clip):
        if len(clip) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(model, clip)

    monkeypatch.setattr(ActionModel, "forward", small)
    expected = r"10 clips of 4 frames at 32x32 do not fit .*; 2 fit: use --batch 2, .* --train\.accumulate 5"
    with pytest.raises(UserError, match=expected):
        train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)


def test_list_of_runs(finished: TrainResult, shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    second = finished.path.parent / "second"
    recipe = tiny_recipe.with_fields({"optim.lr": 0.01, "schedule.epochs": 1})
    train("tsn-resnettiny", shapes, recipe=recipe, out=second, quiet=True)
    about = json.loads((second / "run.json").read_text())
    (second / "run.json").write_text(json.dumps({**about, "started": "2999-01-01 00:00:00"}))
    runs = list_runs(finished.path.parent)
    assert [run.path.name for run in runs] == ["first", "second"]
    assert [run.model for run in runs] == ["tsm-resnettiny", "tsn-resnettiny"]
    assert [run.num_epochs for run in runs] == [2, 1]
    assert runs[0].best["val_top1"] == pytest.approx(finished.best["val_top1"])
    assert runs[0].differences == {}
    assert runs[1].differences == {"optim.lr": 0.01, "schedule.epochs": 1}
    with pytest.raises(UserError, match="holds no run directories"):
        list_runs(tmp_path)
