"""``kinema evaluate``, ``fuse`` and ``features``: what they print and write."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from trained_models import write_checkpoint, write_videos

from kinema.cli.main import run
from kinema.evaluation.features import FeatureTable
from kinema.evaluation.run import evaluate
from kinema.evaluation.scores import ScoreTable
from kinema.evaluation.summary import summary


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder).write(folder / "split1.csv")
    return folder / "split1.csv"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "run" / "best.ckpt")


def rows_of(text: str) -> list[list[str]]:
    """The cells of the tables in a text, head lines left out."""
    lines = [line.strip("│ ") for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")] for line in lines]


def test_table_and_saved_scores(data: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(checkpoint.parent), "--data", str(data), "--classes", "--num-workers", "0"]) == 0
    printed = capsys.readouterr()
    table = evaluate(checkpoint, data, num_workers=0)
    top1 = f"{100 * table.top(1):.1f}"
    first, *classes = rows_of(printed.out)
    assert first[:5] == ["split1.csv (test)", "3", top1, top1, f"{100 * table.mean_class_accuracy():.1f}"]
    assert [row[:2] for row in classes] == [["run", "1"], ["jump", "1"], ["sit", "1"]]
    assert "tsm-resnettiny, protocol clip" in printed.out
    saved = checkpoint.parent / "best-split1-test-clip.npz"
    assert f"scores: {saved}" in printed.err
    np.testing.assert_allclose(ScoreTable.load(saved).scores, table.scores, atol=1e-6)


def test_several_splits_and_their_average(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(checkpoint), "--data", str(data), str(data), "--protocol", "uniform-2x1", "--reverse"]
    assert run([*words, "--split", "all", "--out", str(tmp_path / "scores"), "--num-workers", "0"]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert [row[:2] for row in rows] == [["split1.csv (all)", "7"], ["split1.csv (all)", "7"], ["average", "14"]]
    names = sorted(path.name for path in (tmp_path / "scores").iterdir())
    assert names == [f"best-split1-all-uniform-2x1-reversed{number}.npz" for number in ("-2", "")]


def test_json(data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "here.npz"
    words = ["evaluate", str(checkpoint), "--data", str(data), "--json", "--classes", "--out", str(out)]
    assert run([*words, "--num-workers", "0"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["tables"]
    table = ScoreTable.load(out)
    assert {key: result[key] for key in summary(table)} == summary(table)
    assert [row["name"] for row in result["classes"]] == list(table.classes)
    answered = {table.classes[index] for index in table.scores.argmax(axis=1)}
    assert {row["name"] for row in result["classes"] if row["precision"] is not None} == answered != set(table.classes)


def test_fusion_of_saved_scores(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = evaluate(checkpoint, data, split="all", num_workers=0)
    two = evaluate(checkpoint, data, split="all", reverse=True, num_workers=0)
    files = [str(one.save(tmp_path / "one.npz")), str(two.save(tmp_path / "two.npz"))]
    assert run(["fuse", *files, "--weights", "1", "3", "--out", str(tmp_path / "fused.npz")]) == 0
    np.testing.assert_allclose(
        ScoreTable.load(tmp_path / "fused.npz").scores, 0.25 * one.scores + 0.75 * two.scores, atol=1e-6
    )
    rows = rows_of(capsys.readouterr().out)
    assert rows[0] == ["one", "tsm-resnettiny", "clip", "logits", "1 (25 %)"]
    assert rows[1] == ["two", "tsm-resnettiny", "clip, reversed", "logits", "3 (75 %)"]
    assert (rows[2][:3], rows[3][0], rows[4][0]) == (["split1 (all)", "one", "7"], "two", "fused")
    assert run(["fuse", files[0]]) == 1
    assert "at least two score tables, 1 given" in capsys.readouterr().err


def test_features_go_to_a_file(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "features.npz"
    assert run(["features", str(checkpoint), "--data", str(data), "--out", str(out), "--num-workers", "0"]) == 0
    table = FeatureTable.load(out)
    assert f"{out}: 7 videos x {table.features.shape[1]} features" in capsys.readouterr().out
    assert run(["features", str(checkpoint), "--data", str(data), "--out", str(tmp_path / "features.csv")]) == 1
    assert "name it features.npz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--protocol": "uniform-10x4"}, "uniform-10x4"),
        ({"--protocol": "clips"}, "did you mean clip"),
        ({"--device": "gpu"}, "unknown device 'gpu'"),
        ({"--data": "absent.csv"}, "absent.csv"),
        ({"--split": "train"}, "no videos in the split 'train'"),
        ({"--devices": "0"}, "devices is 0"),
    ],
)
def test_mistakes_are_one_line_and_leave_scores_alone(
    data: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], message: str
) -> None:
    earlier = checkpoint.parent / "best-split1-test-clip.npz"
    earlier.write_text("earlier")
    options = {"--data": str(data), "--num-workers": "0"} | changes
    assert run(["evaluate", str(checkpoint), *(word for pair in options.items() for word in pair)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = [line for line in printed.err.splitlines() if line.startswith("error")]
    assert message in line
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == [earlier.name, "best.ckpt"]
    assert earlier.read_text() == "earlier"


def test_wrong_checkpoints(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_checkpoint(tmp_path / "other.ckpt", classes=("walk", "swim"))
    truncated = tmp_path / "truncated.ckpt"
    truncated.write_bytes(other.read_bytes()[:5000])
    for path, message in (
        (other, "the model does not know: jump, run"),
        (truncated, "truncated.ckpt"),
        (tmp_path / "absent.ckpt", "absent.ckpt"),
    ):
        assert run(["evaluate", str(path), "--data", str(data), "--num-workers", "0"]) == 1
        printed = capsys.readouterr()
        assert message in printed.err
        assert "Traceback" not in printed.err


def test_confusion_of_one_and_of_several(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(checkpoint), "--data", str(data), "--out", str(tmp_path / "scores.npz")]
    words += ["--num-workers", "0"]
    for ending in ("csv", "png"):
        assert run([*words, "--confusion", str(tmp_path / "new" / f"confusion.{ending}")]) == 0
        assert f"confusion: {tmp_path}/new/confusion.{ending}" in capsys.readouterr().err
    scores = ScoreTable.load(tmp_path / "scores.npz")
    head, *rows = csv.reader((tmp_path / "new" / "confusion.csv").read_text().splitlines())
    assert head == ["true class", *scores.classes]
    assert [row[0] for row in rows] == list(scores.classes)
    assert [[int(cell) for cell in row[1:]] for row in rows] == scores.confusion().tolist()
    picture = cv2.imread(str(tmp_path / "new" / "confusion.png"))
    assert picture is not None

    both = [str(tmp_path / "scores.npz"), str(tmp_path / "scores.npz")]
    assert run(["scores", "show", *both, "--confusion", str(tmp_path / "both.csv")]) == 0
    head, *rows = csv.reader((tmp_path / "both.csv").read_text().splitlines())
    assert head[:2] == ["data", "true class"]
    assert len(rows) == 2 * len(scores.classes)
    assert len({row[0] for row in rows}) == 2


def test_confusion_of_another_kind_is_refused_first(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "absent.ckpt", "--data", str(data), "--confusion", "matrix.txt"]) == 1
    assert "must end in .png (or .svg, .pdf) or .csv" in capsys.readouterr().err
