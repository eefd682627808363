"""A checkpoint brings everything needed to use its network, and refuses networks that it does not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kinema import build_model, load
from kinema.errors import CheckpointError
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.checkpoint import Checkpoint
from kinema.weights.state_dicts import load_exact, weights_digest

CLASSES = ("clap", "jump", "wave")


@pytest.fixture(scope="module")
def saved() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint.of(
        build_model("tsm-resnettiny", num_classes=3, dropout=0.3),
        classes=CLASSES,
        preprocessing=Preprocessing(frames=4, crop_size=32, resize=(40, 50)),
        recipe={"name": "mine"},
        scores={"val_top1": 0.5},
    )


def test_load(saved: Checkpoint, tmp_path: Path) -> None:
    saved.write(tmp_path / "best.ckpt")
    trained = load(tmp_path)
    assert trained.path == str(tmp_path / "best.ckpt")
    assert trained.classes == CLASSES
    assert trained.preprocessing == Preprocessing(frames=4, crop_size=32, resize=(40, 50))
    assert (trained.recipe, trained.scores) == ({"name": "mine"}, {"val_top1": 0.5})
    assert not trained.model.training
    assert trained.weights_sha256 == weights_digest(saved.state_dict)
    twin = build_model("tsm-resnettiny", num_classes=3).eval()
    twin.load_state_dict(saved.state_dict)
    clip = torch.randn(2, 3, 4, 32, 32)
    assert torch.equal(trained.model(clip), twin(clip))


def test_averaged_weights_are_preferred(saved: Checkpoint, tmp_path: Path) -> None:
    average = {name: tensor + 1 for name, tensor in saved.state_dict.items()}
    replace(saved, ema=average).write(tmp_path / "last.ckpt")
    trained = load(tmp_path)
    assert torch.equal(trained.model.fc.bias, average["fc.bias"])
    assert trained.weights_sha256 == weights_digest(average) != weights_digest(saved.state_dict)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "tsm-inceptionv1"}, r"do not fit tsm-inceptionv1: \d+ missing .*; \d+ unknown "),
        ({"model": "i3d-resnettiny"}, r"do not fit i3d-resnettiny: \d+ of another shape \(conv1"),
        ({"num_classes": 5}, r"fc\.weight \(3, \d+\) instead of \(5, \d+\)"),
    ],
)
def test_other_architecture_or_class_count(saved: Checkpoint, tmp_path: Path, changes: dict, message: str) -> None:
    replace(saved, **changes).write(tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "a.ckpt")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds neither best\.ckpt nor last\.ckpt"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="no such checkpoint file or run directory"):
        load(tmp_path / "i3d-resnet50.k400")


def test_unknown_entries_are_named() -> None:
    model = build_model("tsn-resnettiny", num_classes=3)
    with pytest.raises(CheckpointError, match=r"weights of here do not fit tsn-resnettiny: 1 unknown \(extra\)"):
        load_exact(model, {**model.state_dict(), "extra": torch.zeros(1)}, source="here")


def test_digest_sees_every_bit() -> None:
    weights = {"a": torch.zeros(3), "b": torch.tensor(1)}
    assert weights_digest(dict(reversed(weights.items()))) == weights_digest(weights)
    assert weights_digest({**weights, "a": torch.tensor([0.0, 0.0, 1e-30])}) != weights_digest(weights)
    assert weights_digest({**weights, "a": torch.zeros(3, 1)}) != weights_digest(weights)
