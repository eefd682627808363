"""Fusion: worked numbers, order of videos and classes, and everything it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from kinema import fuse
from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable
from kinema.specs.protocol import softmax

CLASSES = ("run", "jump", "sit")


def table(scores, labels=(0, 1), ids=("a", "b"), kind="logits", classes=CLASSES, **changes):
    return ScoreTable(np.array(ids), np.array(scores), np.array(labels), kind, classes, **changes)


RGB = table([[4.0, 0.0, 2.0], [1.0, 0.0, 3.0]], meta={"model": "rgb"})
FLOW = table([[0.0, 1.0, 0.0], [0.0, 4.0, 0.0]], meta={"model": "flow"})


def test_weighted_average():
    np.testing.assert_allclose(fuse([RGB, FLOW]).scores, [[2, 0.5, 1], [0.5, 2, 1.5]])
    weighted = fuse([RGB, FLOW], [1, 1.5])
    np.testing.assert_allclose(weighted.scores, 0.4 * RGB.scores + 0.6 * FLOW.scores, rtol=1e-6)
    assert (RGB.top(1), FLOW.top(1), weighted.top(1)) == (0.5, 0.5, 1.0)
    assert weighted.meta["fused"] == [
        {"weight": 0.4, "model": "rgb", "saved_kind": "logits"},
        {"weight": 0.6, "model": "flow", "saved_kind": "logits"},
    ]
    assert weighted.meta["model"] == "rgb + flow"
    assert weighted.clip_accuracy is None
    np.testing.assert_array_equal(fuse([RGB, FLOW], [1, 0]).scores, RGB.scores)


def test_videos_and_classes_in_another_order():
    columns = [2, 0, 1]
    other = table(
        FLOW.scores[::-1][:, columns],
        labels=[2, 1],
        ids=["b", "a"],
        classes=tuple(CLASSES[column] for column in columns),
    )
    assert other.classes[other.labels[0]] == "jump"
    fused = fuse([RGB, other])
    np.testing.assert_array_equal(fused.scores, fuse([RGB, FLOW]).scores)
    assert (fused.ids.tolist(), fused.classes, fused.labels.tolist()) == (["a", "b"], CLASSES, [0, 1])


PROBABLE = replace(FLOW, scores=softmax(FLOW.scores), kind="probabilities")
MARGINS = replace(FLOW, scores=FLOW.scores / 10, kind="margins", meta={"model": "svm"})


def test_probabilities_are_averaged_when_asked():
    both = (softmax(RGB.scores) + softmax(FLOW.scores)) / 2
    for tables in ([RGB, PROBABLE], [RGB, FLOW]):
        fused = fuse(tables, average="probabilities")
        assert fused.kind == "probabilities"
        np.testing.assert_allclose(fused.scores, both, rtol=1e-6)
    assert [part["saved_kind"] for part in fuse([RGB, PROBABLE], average="probabilities").meta["fused"]] == [
        "logits",
        "probabilities",
    ]
    assert fuse([PROBABLE, PROBABLE]).kind == "probabilities"
    assert fuse([RGB, FLOW], average="logits").kind == "logits"


def test_z_scores_make_weights_comparable():
    rgb, flow = RGB.z_scores(), FLOW.z_scores()
    np.testing.assert_allclose([rgb.std(), flow.std()], 1, rtol=1e-6)
    np.testing.assert_allclose(rgb.mean(axis=1), 0, atol=1e-6)
    fused = fuse([RGB, MARGINS], [1, 3], average="z-scores")
    assert fused.kind == "z-scores"
    np.testing.assert_allclose(fused.scores, rgb / 4 + 3 * flow / 4, atol=1e-6)
    np.testing.assert_array_equal(RGB.z_scores().argsort(axis=1), RGB.scores.argsort(axis=1))
    # A fusion has less spread than its parts; asked for again, z-scores have it back.
    again = fuse([fused, RGB], [1, 0], average="z-scores")
    assert fused.scores.std() < 0.99
    np.testing.assert_allclose(again.scores.std(), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("tables", "average", "message"),
    [
        (
            [RGB, PROBABLE],
            "",
            r"logits \(table 1 \(rgb\)\), probabilities \(table 2 \(flow\)\).*--average probabilities",
        ),
        ([RGB, MARGINS], "", r"margins \(table 2 \(svm\)\).*--average z-scores"),
        ([RGB, PROBABLE], "logits", r"table 2 \(flow\) holds probabilities"),
        ([RGB, MARGINS], "logits", r"table 2 \(svm\) holds margins"),
        ([RGB, MARGINS], "probabilities", r"table 2 \(svm\): margins cannot be turned into probabilities.*z-scores"),
        ([RGB, replace(FLOW, scores=np.ones((2, 3)))], "z-scores", r"table 2 \(flow\): scores that are the same"),
        ([RGB, FLOW], "margins", "kind of scores to average 'margins'"),
    ],
)
def test_kinds_that_cannot_be_averaged(tables, average, message):
    with pytest.raises(UserError, match=message):
        fuse(tables, average=average)


def test_a_fusion_says_what_its_parts_agree_on():
    shared = {"protocol": "clip", "split": "test"}
    one = replace(RGB, meta={"model": "rgb", **shared, "data": "here/split1.csv", "reverse": False})
    two = replace(FLOW, meta={"model": "flow", **shared, "data": "/there/split1.csv", "reverse": True})
    meta = fuse([one, two]).meta
    assert {key: value for key, value in meta.items() if key != "fused"} == {
        "model": "rgb + flow",
        "data": "here/split1.csv",
        **shared,
    }


def test_labels_fill_each_other():
    assert fuse([table(RGB.scores, labels=[-1, 1]), table(FLOW.scores, labels=[0, -1])]).labels.tolist() == [0, 1]
    with pytest.raises(UserError, match="another class than the tables before it: b"):
        fuse([RGB, table(FLOW.scores, labels=[0, 2])])


@pytest.mark.parametrize(
    ("tables", "weights", "message"),
    [
        ([RGB], [], "at least two"),
        ([], [], "at least two"),
        ([RGB, FLOW], [1], "2 score tables need as many weights, 1 given"),
        ([RGB, FLOW], [1, -1], "at least 0"),
        ([RGB, FLOW], [0, 0], "not all 0"),
        ([RGB, FLOW], [1, float("nan")], "finite"),
        (
            [RGB, table(FLOW.scores, ids=["a", "c"])],
            [],
            r"of table 2.*1 are missing \(b\); 1 are only there \(c\)",
        ),
        ([RGB, FLOW.select([0])], [], r"1 are missing \(b\)"),
        ([RGB, replace(FLOW, classes=("run", "jump", "stand"))], [], r"classes of table 2 \(flow\).*missing \(sit\)"),
    ],
)
def test_what_does_not_fit(tables, weights, message):
    with pytest.raises(UserError, match=message):
        fuse(tables, weights)
