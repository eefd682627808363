"""``kinema analyze``: what it prints, draws and refuses."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from kinema.cli.analyze_difference import parse_models
from kinema.cli.main import run
from kinema.evaluation.scores import ScoreTable


def scores(folder: Path, name: str, accuracy: float, **meta: object) -> Path:
    """Forty videos of ten groups, of which the first ones are right."""
    labels = np.arange(40) % 4
    right = np.arange(40) < 40 * accuracy
    meta = {"model": name, "protocol": "clip", "split": "test"} | meta
    answers = np.where(right, labels, (labels + 1) % 4)
    ids = [f"v{number}" for number in range(40)]
    return ScoreTable(ids, np.eye(4)[answers], labels, "logits", tuple("abcd"), meta=meta).save(folder / f"{name}.npz")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [f"v{number},v{number}.mp4,{'abcd'[number % 4]},test,,,g{number // 4}" for number in range(40)]
    path = tmp_path / "videos.csv"
    path.write_text("video_id,path,label,split,num_frames,fps,group\n" + "\n".join(rows) + "\n")
    return path


def test_difference_of_two_models(
    tmp_path: Path, manifest: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    good, bad = scores(tmp_path, "good", 0.9), scores(tmp_path, "bad", 0.5)
    assert run(["analyze", "difference", str(good), str(bad)]) == 0
    printed = capsys.readouterr()
    for words in ("90.0", "50.0", "+40.0", "16 : 0", "< 0.001"):
        assert words in printed.out
    assert "p (Holm)" not in printed.out
    assert "resampling 40 videos; p by the exact McNemar test" in printed.err
    assert run(["analyze", "difference", str(good), str(bad), "--data", str(manifest)]) == 0
    assert "resampling 10 groups; p by flipping the signs" in capsys.readouterr().err


def test_seeds_json_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = (scores(tmp_path, f"seed{number}", 0.5 + number / 10) for number in range(3))
    words = [f"ours={first},{second}", f"theirs={third}", str(scores(tmp_path, "other", 0.2))]
    picture = tmp_path / "pictures" / "difference.png"
    assert run(["analyze", "difference", *words, "--against", "other", "--json", "--plot", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["models"][0] == {"name": "ours", "top1": [0.5, 0.6]}
    assert [(row["first"], row["second"]) for row in found["differences"]] == [("ours", "other"), ("theirs", "other")]
    assert found["differences"][0]["difference"] == pytest.approx(0.35)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_names_of_models(tmp_path: Path) -> None:
    one, two = scores(tmp_path, "one", 0.5), scores(tmp_path, "two", 0.5)
    assert parse_models([f"a={one},{two}", str(two)]) == {"a": [one, two], "two": [two]}
    odd = scores(tmp_path, "lr=0.1", 0.5)
    assert parse_models([str(odd), str(one)]) == {"lr=0.1": [odd], "one": [one]}


def test_difference_refuses(tmp_path: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = str(scores(tmp_path, "one", 0.5)), str(scores(tmp_path, "two", 0.6))
    dense = str(scores(tmp_path, "dense", 0.6, protocol="dense-10x1"))
    part = tmp_path / "part.csv"
    part.write_text("\n".join(manifest.read_text().splitlines()[:30]) + "\n")
    for words, error in (
        ([one], "at least two models; given 1"),
        ([one, "nowhere.npz"], "nowhere.npz: there is no such file"),
        ([one, f"x={two},nowhere.npz"], "there is no file 'nowhere.npz'"),
        ([one, f"={two}"], "the name before = is empty"),
        ([f"a={one}", f"a={two}"], "two models are called a; seeds of one model go together"),
        ([one, dense], "one was tested with protocol 'clip', dense with 'dense-10x1'"),
        ([one, two, "--confidence", "100"], "--confidence is in percent"),
        ([one, two, "--plot", "x.gif"], "must end in .png"),
        ([one, two, "--data", str(part)], "lacks 11 videos of the scores, such as v29"),
        ([one, two, "--against", "three"], "unknown model 'three'"),
    ):
        assert run(["analyze", "difference", *words]) == 1, words
        assert error in capsys.readouterr().err
    assert run(["analyze", "difference", one, dense, "--allow-different"]) == 0


def test_contributions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "study.csv"
    table.write_text(
        "dataset,module,backbone,temporal_pooling,frames,clip_top1,video_top1\n"
        "d,tsn,resnet18,0,8,40,50\nd,tsm,resnet18,0,8,55,75\nd,tsm,resnet18,1,8,46,\nd,tam,resnet18,0,8,40,50\n"
    )
    picture = tmp_path / "contributions.svg"
    assert run(["analyze", "contributions", str(table), "--models", "--plot", str(picture)]) == 0
    shown = capsys.readouterr().out
    for words in ("0.73", "0.25", "0.10", "tsm-resnet18-tp", "1 + 1", "1 + 0"):
        assert words in shown
    assert "<svg" in picture.read_text()
    assert run(["analyze", "contributions", str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["means"][1]["temporal_pooled"] is None
    assert math.isclose(found["means"][0]["temporal"], 0.25)
    assert run(["analyze", "contributions", str(table), "--metric", "video_top1"]) == 1
    assert "has no video_top1 for tsm-resnet18-tp with 8 frames on d" in capsys.readouterr().err
