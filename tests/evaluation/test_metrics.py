"""Accuracies against worked numbers, other libraries, and published scores."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy

from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable
from kinema.evaluation.summary import average_over_splits, per_class, summary


def table(scores, labels, **changes):
    scores = np.asarray(scores, dtype=np.float32)
    classes = tuple(f"c{index}" for index in range(scores.shape[1]))
    ids = [f"v{index}" for index in range(len(scores))]
    return ScoreTable(ids, scores, labels, "logits", classes, **changes)


def test_worked_numbers():
    # Right, right at rank 2, wrong at rank 3; class 2 has no video and may not enter the mean over classes.
    small = table([[3, 1, 2], [3, 2, 1], [2, 1, 3]], [0, 1, 1])
    assert small.top(1) == pytest.approx(1 / 3)
    assert small.top(2) == pytest.approx(2 / 3)
    assert small.top(3) == 1.0
    assert small.top(5) == 1.0
    assert small.mean_class_accuracy() == 0.5
    assert small.confusion().tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0]]
    with pytest.raises(UserError, match="at least 1"):
        small.top(0)


def test_ties_go_to_the_lower_class():
    constant = table(np.zeros((4, 4)), [0, 1, 2, 3])
    assert [constant.top(k) for k in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]
    assert constant.mean_class_accuracy() == 0.25


def test_against_other_libraries():
    rng = np.random.default_rng(1)
    labels = np.concatenate([np.arange(11), rng.integers(0, 11, size=189)])
    ours = table(rng.normal(size=(200, 11)) + 1.5 * np.eye(11)[labels], labels)
    scores = ours.scores
    np.testing.assert_array_equal(ours.confusion(), confusion_matrix(labels, scores.argmax(axis=1)))
    assert ours.mean_class_accuracy() == pytest.approx(balanced_accuracy_score(labels, scores.argmax(axis=1)))
    for k in (1, 3, 5):
        assert ours.top(k) == pytest.approx(top_k_accuracy_score(labels, scores, k=k))
        theirs = multiclass_accuracy(
            torch.from_numpy(scores), torch.from_numpy(labels), num_classes=11, average="micro", top_k=k
        )
        assert ours.top(k) == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "top1", "top5", "mean_class"),
    [("ucf_idt_split1", 0.8361, 0.9421, 0.8330), ("hmdb_idt_split1", 0.5673, 0.8039, 0.5673)],
)
def test_published_dense_trajectory_scores(shared_data, name, top1, top5, mean_class):
    with np.load(shared_data / "scores_idt" / f"{name}.npz") as released:
        published = ScoreTable(
            released["names"],
            released["scores"],
            released["labels"],
            "logits",
            tuple(f"class {index}" for index in range(released["scores"].shape[1])),
        )
    assert published.top(1) == pytest.approx(top1, abs=5e-5)
    assert published.top(5) == pytest.approx(top5, abs=5e-5)
    assert published.mean_class_accuracy() == pytest.approx(mean_class, abs=5e-5)


def test_unlabelled_videos_never_count():
    scores = [[1, 0], [0, 1], [1, 0]]
    assert table(scores, [0, 0, -1]).top(1) == 0.5
    unlabelled = table(scores, [-1, -1, -1], clip_hits=np.full((3, 2), np.nan))
    assert summary(unlabelled) == {"num_videos": 3, "num_labelled": 0}
    with pytest.raises(UserError, match="has a label"):
        unlabelled.top(1)


def test_clip_accuracy_is_the_mean_over_videos_of_the_mean_over_clips():
    # One video of a single right clip, one of four clips with one right: videos weigh the same, not clips.
    clips = table([[1, 0], [0, 1]], [0, 0], clip_hits=[[1.0, 1.0], [0.25, 0.5]])
    assert summary(clips)["clip_top1"] == pytest.approx(0.625)
    assert "clip_top5" not in summary(clips)
    six = table(np.eye(6)[[0, 1]], [0, 0], clip_hits=[[1.0, 1.0], [0.25, 0.5]])
    assert summary(six)["clip_top5"] == pytest.approx(0.75)
    partly = table([[1, 0], [0, 1]], [0, -1], clip_hits=[[1.0, 1.0], [np.nan, np.nan]])
    assert summary(partly)["clip_top1"] == 1.0


def test_per_class_rows():
    rows = per_class(table([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]], [0, 0, 0, 1]))
    assert [row.num_videos for row in rows] == [3, 1, 0]
    assert rows[0].accuracy == pytest.approx(1 / 3)
    assert rows[0].precision == 1.0
    assert (rows[0].confused_with, rows[0].confused_fraction) == ("c1", pytest.approx(2 / 3))
    assert rows[1].precision == pytest.approx(1 / 3)
    assert rows[1].confused_with == ""
    assert math.isnan(rows[2].accuracy)
    assert math.isnan(rows[2].precision)


def test_average_over_splits_weighs_splits_equally():
    right, wrong = table([[1, 0]] * 3, [0, 0, 0], clip_hits=np.ones((3, 2))), table([[1, 0]], [1])
    values = average_over_splits([right, wrong])
    assert values == {"num_videos": 4, "num_labelled": 4, "top1": 0.5, "mean_class": 0.5}
    with pytest.raises(UserError, match="nothing to average"):
        average_over_splits([])


@pytest.mark.parametrize(("num_classes", "is_known"), [(2, False), (5, False), (6, True)])
def test_no_top5_where_it_is_always_right(num_classes, is_known):
    scores = table(np.eye(num_classes), list(range(num_classes)))
    assert ("top5" in summary(scores)) == is_known
