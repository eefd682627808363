"""Files that version 0.1.0 wrote still open, and hold what they held; ``make.py`` made them."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

import kinema
from kinema.cli.main import run

ARCHIVE = Path(__file__).with_name("version_0_1.tar.xz")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of files, which is the current one too."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    videos = tmp_path / "run" / "videos.csv"  # a run names its videos by full paths, those of where it was trained
    videos.write_text(re.sub(r"/tmp/tmp\w+", str(tmp_path), videos.read_text()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_gives_its_scores_again(written: Path) -> None:
    saved = kinema.ScoreTable.load("scores.npz")
    table = kinema.evaluate("run", "clips.csv", split="test", num_workers=0)
    np.testing.assert_allclose(table.scores, saved.scores, atol=1e-5)
    assert list(table.ids) == list(saved.ids)
    assert table.meta["weights_sha256"] == saved.meta["weights_sha256"]


def test_features_of_a_run_are_the_same(written: Path) -> None:
    saved = np.load("features.npz")
    table = kinema.features("run", "clips.csv", num_workers=0)
    np.testing.assert_allclose(table.features, saved["features"], atol=1e-5)


def test_a_run_is_listed_and_trained_longer(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "."]) == 0
    assert "finished" in capsys.readouterr().out
    assert run(["train", "--resume", "run", "--epochs", "3"]) == 0
    assert len((written / "run" / "metrics.csv").read_text().splitlines()) == 1 + 3
    assert kinema.load("run/last.ckpt").scores["epoch"] == 3


def test_an_imported_checkpoint_starts_a_run(written: Path) -> None:
    trained = kinema.load("start.ckpt")
    assert trained.classes == ("left", "right")
    small = kinema.load_recipe("finetune").with_fields(
        {"data.crop_size": 32, "data.frames": 4, "data.num_workers": 0, "schedule.epochs": 1, "schedule.min_steps": 0}
    )
    kinema.train("i3d-resnettiny", "clips.csv", recipe=small, weights="start.ckpt", out="later", quiet=True)
    assert kinema.load("later").model.name == "i3d-resnettiny"


@pytest.mark.parametrize("copy", ["packed/clips.csv", "shards/clips.csv"])
def test_packed_sets_are_read(written: Path, copy: str) -> None:
    manifest = kinema.Manifest.open(copy)
    assert len(manifest) == 6
    for record in manifest:
        with kinema.open_video(record.path) as video:
            assert len(video.frames_at(range(12)).pixels) == 12
    saved = kinema.ScoreTable.load("scores.npz")
    table = kinema.evaluate("run", copy, split="test", num_workers=0)
    assert np.abs(table.scores - saved.scores).max() < 0.05  # packing encodes anew


def test_a_flow_store_trains(written: Path) -> None:
    words = ["train", "tsn-resnettiny", "--data", "flow/clips.csv", "--data.flow", "farneback-20x2", "--out", "flowrun"]
    small = ["--epochs", "1", "--workers", "0", "--data.crop-size", "32", "--data.frames", "4", "--batch", "4"]
    assert run([*words, *small, "--data.short-side", "36", "36", "--schedule.min-steps", "0"]) == 0
    assert kinema.load("flowrun").preprocessing.modality == "flow"


def test_a_new_pack_goes_on_with_the_old_one(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (written / "packed" / "low2.mp4").unlink()
    assert run(["data", "pack", "--data", "clips.csv", "--out", "packed", "--num-workers", "0"]) == 0
    assert "5 of them before" in capsys.readouterr().err
