"""Fusion: worked numbers, order of videos and classes, and everything it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from kinema.errors import UserError
from kinema.evaluation.fusion import fuse
from kinema.evaluation.scores import ScoreTable, softmax

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
    assert weighted.meta["fused"] == [{"weight": 0.4, "model": "rgb"}, {"weight": 0.6, "model": "flow"}]
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


def test_mixed_kinds_only_when_told():
    probable = replace(FLOW, scores=softmax(FLOW.scores), kind="probabilities")
    with pytest.raises(UserError, match=r"logits \(table 1 \(rgb\)\), probabilities \(table 2 \(flow\)\).*allow-mixed"):
        fuse([RGB, probable])
    fused = fuse([RGB, probable], allow_mixed=True)
    assert fused.kind == "probabilities"
    np.testing.assert_allclose(fused.scores, (softmax(RGB.scores) + softmax(FLOW.scores)) / 2, rtol=1e-6)
    assert fuse([probable, probable]).kind == "probabilities"


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
