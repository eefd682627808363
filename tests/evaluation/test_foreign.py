"""Scores of other programs: reading, cutting down to a manifest, and everything refused."""

import numpy as np
import pytest

from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError
from kinema.evaluation.foreign import read_scores, restrict

CSV = "video_id,run,label,jump,sit\nx/a.avi,0.1,run,-2,0\nx/b.avi,1,jump,3,-1\nc,0,,0,1\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "idt.csv"
    path.write_text(CSV)
    return path


def manifest(labels=("jump", "run"), ids=("b", "a"), classes=("run", "jump")):
    rows = [Record(video, f"{video}.mp4", label, split="test") for video, label in zip(ids, labels, strict=True)]
    return Manifest.from_records(rows, classes=classes, root=".", source="split1.csv")


def test_a_csv(file):
    table = read_scores(file, "margins", model="svm")
    assert (table.ids.tolist(), table.classes) == (["x/a.avi", "x/b.avi", "c"], ("run", "jump", "sit"))
    assert (table.labels.tolist(), table.kind) == ([0, 1, -1], "margins")
    np.testing.assert_allclose(table.scores, [[0.1, -2, 0], [1, 3, -1], [0, 0, 1]])
    assert table.meta == {"model": "svm", "protocol": "imported", "imported_from": "idt.csv"}


@pytest.mark.parametrize("labels", [np.array([1, 0], np.int16), np.array(["jump", "run"])])
def test_arrays(tmp_path, labels):
    path, scores = tmp_path / "theirs.npz", np.array([[1.0, 2.0], [3.0, 1.0]], np.float32)
    np.savez(path, names=np.array(["a", "b"]), scores=scores, labels=labels)
    table = read_scores(path, "logits", classes=["run", "jump"])
    assert (table.ids.tolist(), table.labels.tolist(), table.meta["model"]) == (["a", "b"], [1, 0], "theirs")
    np.testing.assert_array_equal(table.scores, scores)
    with pytest.raises(UserError, match=r"holds no array classes.*--classes"):
        read_scores(path, "logits")


def test_restriction_to_a_split_of_some_classes(file):
    table = restrict(read_scores(file, "margins"), manifest())
    assert (table.ids.tolist(), table.classes, table.labels.tolist()) == (["b", "a"], ("run", "jump"), [1, 0])
    np.testing.assert_allclose(table.scores, [[1, 3], [0.1, -2]])
    assert (table.meta["data"], table.meta["split"]) == ("split1.csv", "test")
    filled = restrict(read_scores(file, "margins"), manifest(labels=("", "run")))
    assert filled.labels.tolist() == [1, 0]


def test_restricted_probabilities_sum_to_one(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("video_id,run,jump,sit\na,0.2,0.2,0.6\nb,0.1,0.4,0.5\n")
    table = restrict(read_scores(path, "probabilities"), manifest())
    np.testing.assert_allclose(table.scores, [[0.2, 0.8], [0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("run", "run")}, r"1 videos have another label than in split1.csv: b \(jump, not run\)"),
        ({"ids": ("b", "z")}, r"1 of 2 videos of split1.csv have no scores: z; the file's ids look like x/a.avi"),
        ({"classes": ("run", "jump", "fly")}, "1 classes of split1.csv have no scores: fly"),
    ],
)
def test_manifests_that_do_not_fit(file, changes, message):
    with pytest.raises(UserError, match=message):
        restrict(read_scores(file, "margins"), manifest(**changes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first column must be video_id; the header is absent"),
        ("video,run\na,1\n", "first column must be video_id"),
        ("video_id,run,sit\na,1\n", "1 rows have not 3 cells: row 2"),
        ("video_id,run,sit\na,1,x\n", "a score is no number"),
        ("video_id,run,sit\na,1,nan\n", "not finite"),
        ("video_id,run,sit,label\na,1,2,fly\n", "1 labels are no classes: fly"),
        ("video_id,run,sit\n", "at least one video"),
        ("video_id,run,sit\na,1,2\na,1,2\n", "must be unique"),
    ],
)
def test_broken_csvs(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_scores(path, "logits")


def test_other_files(tmp_path, file):
    own = read_scores(file, "margins").save(tmp_path / "own.npz")
    pickled, other, text = tmp_path / "pickled.npz", tmp_path / "other.npz", tmp_path / "scores.mat"
    np.savez(pickled, scores=np.array([{}], dtype=object))
    np.savez(other, features=np.ones(3))
    text.write_bytes(b"MATLAB")
    for path, message in (
        (own, "a file of kinema already"),
        (pickled, "not an archive of plain arrays"),
        (other, "needs the arrays scores and one of .* it has features"),
        (text, "read from a .csv or an .npz"),
        (tmp_path / "absent.csv", "no such file"),
    ):
        with pytest.raises(UserError, match=message):
            read_scores(path, "logits")
    with pytest.raises(UserError, match="probabilities must be at least 0"):
        read_scores(file, "probabilities")


def test_dense_trajectories(shared_data):
    """The scores of improved dense trajectories, as their authors give them, on one official split."""
    lines = (shared_data / "annotations/ucf101/ucfTrainTestlist/classInd.txt").read_text().split("\n")
    classes = [line.split()[1] for line in lines if line.strip()]
    table = read_scores(shared_data / "scores_idt/ucf_idt_split1.npz", "margins", classes=classes)
    assert round(table.top(1), 4) == 0.8361
    listed = [line.split("/") for line in (shared_data / "ucf101_8c/testlist01.txt").read_text().split()]
    rows = [Record(name.removesuffix(".mp4"), name, label, split="test") for label, name in listed]
    names = sorted({row.label for row in rows})
    kept = restrict(table, Manifest.from_records(rows, classes=names, root="."))
    assert (len(kept), len(kept.classes), round(kept.top(1), 4)) == (297, 8, 0.9562)
