"""``kinema fuse`` and ``kinema scores``: what they print, write and refuse."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinema import fuse
from kinema.cli.main import run
from kinema.evaluation.scores import ScoreTable

CLASSES = tuple("abcdef")


def table(model: str, split: int, seed: int) -> ScoreTable:
    """Random logits with some leaning to the true class; the same videos for the same split."""
    rng = np.random.default_rng([seed, split])
    labels = np.arange(18) % 6
    scores = rng.normal(size=(18, 6)) + 1.5 * np.eye(6)[labels]
    ids = np.array([f"s{split}-{number}" for number in range(18)])
    meta = {"model": model, "protocol": "two-stream-25x10", "data": f"x/split{split}.csv", "split": "test"}
    meta["weights_sha256"] = f"{model}-{split}"
    return ScoreTable(ids, scores, labels, "logits", CLASSES, meta=meta)


RGB = [table("tsn-vgg16", split, 0) for split in (1, 2, 3)]
FLOW = [table("tsn-vgg16", split, 1) for split in (1, 2, 3)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, tables in (("rgb", RGB), ("flow", FLOW)):
        for split, one in enumerate(tables, start=1):
            one.save(tmp_path / name / f"split{split}.npz")
            one.save(tmp_path / f"{name}{split}.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(text: str) -> list[list[str]]:
    lines = [line.strip("│") for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")] for line in lines]


def percents(tables: list[ScoreTable]) -> list[str]:
    accuracies = [(one.top(1), one.top(5), one.mean_class_accuracy()) for one in tables]
    return [f"{100 * value:.1f}" for value in np.mean(accuracies, axis=0)]


def test_three_splits_in_one_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fused = [fuse(pair, [1, 2]) for pair in zip(RGB, FLOW, strict=True)]
    printed = []
    for streams in (["rgb", "flow"], ["rgb1.npz,rgb2.npz,rgb3.npz", "flow3.npz,flow1.npz,flow2.npz"]):
        assert run(["fuse", *streams, "--weights", "1", "2", "--out", f"out-{len(printed)}"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    rows = rows_of(printed[0])
    assert rows[:2] == [
        ["rgb", "tsn-vgg16", "two-stream-25x10", "logits", "1 (33 %)"],
        ["flow", "tsn-vgg16", "two-stream-25x10", "logits", "2 (67 %)"],
    ]
    for split in (0, 1, 2):
        for place, (name, one) in enumerate((("rgb", RGB), ("flow", FLOW), ("fused", fused))):
            heading = "" if place else f"split{split + 1}"
            assert rows[2 + 3 * split + place] == [heading, name, "18", *percents([one[split]])]
    means = [
        ["mean of 3 splits", "rgb", "54", *percents(RGB)],
        ["", "flow", "54", *percents(FLOW)],
        ["", "fused", "54", *percents(fused)],
    ]
    assert rows[11:14] == means
    assert [row[0] for row in rows[14:]] == ["both", "only rgb", "only flow", "none"]
    assert sum(int(row[1]) for row in rows[14:]) == 54
    saved = ScoreTable.load("out-1/split2-fused.npz")
    np.testing.assert_array_equal(saved.scores, fused[1].scores)
    assert run(["scores", "average", "out-1"]) == 0
    assert rows_of(capsys.readouterr().out)[-1] == ["average", "54", *percents(fused), ""]


def test_what_was_averaged_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(FLOW[0], scores=FLOW[0].probabilities(), kind="probabilities").save("soft.npz")
    replace(FLOW[0], scores=FLOW[0].scores / 9, kind="margins").save("svm.npz")
    for words, said in (
        (["flow1.npz"], "averaged: logits"),
        (["soft.npz", "--average", "probabilities"], "averaged: probabilities (logits through a softmax)"),
        (["svm.npz", "--average", "z-scores"], "averaged: z-scores of logits and margins"),
    ):
        assert run(["fuse", "rgb1.npz", *words]) == 0
        assert capsys.readouterr().out.split("\n")[0].strip() == said


def test_a_sweep_as_picture_and_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fuse", "rgb1.npz", "flow1.npz", "--names", "RGB", "motion", "--weights", "1", "2"]
    assert run([*words, "--sweep", "s.png", "new/s.csv"]) == 0
    assert "sweep: s.png\nsweep: new/s.csv\n" in capsys.readouterr().err
    assert Path("s.png").read_bytes().startswith(b"\x89PNG")
    with Path("new/s.csv").open() as file:
        rows = list(csv.DictReader(file))
    (used,) = [row for row in rows if row["used"]]
    assert (used["RGB weight"], used["motion weight"]) == ("0.333333", "0.666667")
    assert float(used["top1"]) == pytest.approx(fuse([RGB[0], FLOW[0]], [1, 2]).top(1), abs=1e-5)
    assert float(rows[-1]["top1"]) == pytest.approx(FLOW[0].top(1), abs=1e-5)


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fuse", "rgb", "flow", "--json", "--classes"]) == 0
    result = json.loads(capsys.readouterr().out)
    fused = [fuse(pair) for pair in zip(RGB, FLOW, strict=True)]
    assert [one["top1"] for one in result["tables"]] == [one.top(1) for one in fused]
    assert result["average"]["mean_class"] == pytest.approx(np.mean([one.mean_class_accuracy() for one in fused]))
    assert result["kind"] == "logits"
    assert [(one["name"], one["weight"]) for one in result["streams"]] == [("rgb", 1.0), ("flow", 1.0)]
    assert result["streams"][1]["tables"][2]["top1"] == FLOW[2].top(1)
    assert [row["name"] for row in result["right"]] == ["both", "only rgb", "only flow", "none"]
    assert len(result["tables"][0]["classes"]) == 6


def test_names_of_streams(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run_name, one in (("one", RGB[0]), ("two", FLOW[0])):
        one.save(f"runs/{run_name}/best-split1-test-clip.npz")
    files = ["runs/one/best-split1-test-clip.npz", "runs/two/best-split1-test-clip.npz"]
    for words, names in (
        (files, ["one", "two"]),
        ([files[0], "rgb1.npz"], ["one", "rgb1"]),
        (["rgb1.npz,rgb2.npz", "flow"], None),
        (["rgb1.npz,rgb2.npz", "flow1.npz,flow2.npz"], ["rgb", "flow"]),
        (["rgb/split1.npz", "flow/split1.npz"], ["rgb", "flow"]),
        (["rgb1.npz", "rgb1.npz"], ["1 rgb1", "2 rgb1"]),
    ):
        assert run(["fuse", *words]) == (names is None)
        if names:
            assert [row[0] for row in rows_of(capsys.readouterr().out)[:2]] == names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rgb"], "at least two score tables, 1 given; the accuracies of one are printed by: kinema scores show"),
        (["rgb1.npz", "rgb2.npz", "flow1.npz", "flow2.npz", "--weights", "1", "2"], "joined by commas"),
        (["rgb1.npz", "flow2.npz"], "the videos of table 2 (tsn-vgg16) are not those of the first table"),
        (["rgb", "flow1.npz,flow2.npz"], "rgb has 3, flow has 2"),
        (["rgb", "flow1.npz,flow2.npz,flow2.npz"], "have the same 18 videos"),
        (["rgb", "flow", "rgb", "--sweep", "s.png"], "between two streams; 3 are given"),
        (["rgb", "flow", "--sweep", "s.gif"], "--sweep takes files that end in .png, .pdf, .svg or .csv"),
        (["rgb", "flow", "--out", "x.npz"], "--out must be a folder for 3 splits"),
        (["rgb", "flow", "--names", "a", "a"], "--names takes 2 different names"),
        (["rgb", "flow1.npz,"], "names no file between two commas"),
        (["rgb", "empty"], "empty: the folder holds no score files"),
        (["rgb1.npz", "text.npz"], "text.npz: not a file of kinema scores (not an .npz archive"),
        (["rgb", "mixed"], "split2: the tables hold different kinds of scores"),
        (["rgb", "other"], "split2 was not scored like the first table: model is tsn-vgg16 + tsm, not"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    Path("empty").mkdir()
    Path("text.npz").write_text("text")
    for name, second in (
        ("mixed", replace(FLOW[1], scores=FLOW[1].probabilities(), kind="probabilities")),
        ("other", replace(FLOW[1], meta={**FLOW[1].meta, "model": "tsm"})),
    ):
        for split, one in enumerate([FLOW[0], second, FLOW[2]]):
            one.save(f"{name}/{split}.npz")
    before = sorted(folder.iterdir())
    assert run(["fuse", *words]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_scores_are_shown_and_averaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scores", "show", "rgb1.npz", "flow1.npz", "--classes"]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert rows[:2] == [["rgb1", "18", *percents(RGB[:1]), ""], ["flow1", "18", *percents(FLOW[:1]), ""]]
    assert len(rows) == 2 + 2 * 6
    assert run(["scores", "average", "rgb"]) == 0
    printed = capsys.readouterr()
    assert "tsn-vgg16, two-stream-25x10, logits" in printed.out
    assert [row[0] for row in rows_of(printed.out)] == ["split1", "split2", "split3", "average"]
    assert printed.err == ""
    assert run(["scores", "average", "rgb1.npz", "flow1.npz"]) == 1
    assert "not two splits" in capsys.readouterr().err
    assert run(["scores", "average", "rgb1.npz"]) == 1
    assert "at least two splits; 1 given" in capsys.readouterr().err


def test_one_network_on_several_splits_is_noted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, one in enumerate(RGB):
        replace(one, meta={**one.meta, "weights_sha256": "same"}).save(f"same/{split}.npz")
    assert run(["scores", "average", "same"]) == 0
    assert "note: several splits were scored with the same weights" in capsys.readouterr().err
    assert run(["fuse", "same", "flow"]) == 0
    assert "note: several splits were scored with the same weights" in capsys.readouterr().err


def test_scores_of_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["video_id,a,b,c", "s1,1,2,3", "s2,3,2,1"]
    Path("theirs.csv").write_text("\n".join(lines))
    Path("split.csv").write_text("video_id,path,label,split\ns2,s2.mp4,a,test\ns1,s1.mp4,b,train\n")
    words = ["scores", "import", "theirs.csv", "--kind", "margins", "--out", "t.npz"]
    assert run([*words, "--data", "split.csv", "--model", "svm"]) == 0
    printed = capsys.readouterr()
    assert "kept 1 of 2 videos and 2 of 3 classes" in printed.err
    assert "t.npz: ScoreTable(1 videos x 2 classes, margins, model svm, protocol imported, top-1 1.0000)" in printed.out
    assert ScoreTable.load("t.npz").scores.tolist() == [[3, 2]]
    np.savez("arrays.npz", scores=np.eye(3), names=["x", "y", "z"], labels=[0, 1, 2])
    Path("names.txt").write_text("1 one\n2 two\n3 three\n")
    words[2] = "arrays.npz"
    assert run([*words, "--classes", "names.txt"]) == 0
    assert ScoreTable.load("t.npz").classes == ("one", "two", "three")
    assert run([*words[:-1], "t.csv"]) == 1
    assert "name it t.npz" in capsys.readouterr().err
