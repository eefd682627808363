"""Official splits: matching of streams, and means that would be no result."""

from dataclasses import replace

import numpy as np
import pytest

from kinema import fuse
from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable
from kinema.evaluation.splits import check_splits, match_splits, split_name
from kinema.evaluation.summary import average_over_splits


def table(number, model="rgb", labels=(0, 1), classes=("run", "sit"), **meta):
    ids = np.array([f"s{number}-{letter}" for letter in "ab"])
    scores = np.array([[2.0, 1.0], [number - 1.5, 0.0]])
    origin = {"model": model, "protocol": "clip", "data": f"x/split{number}.csv", "weights_sha256": f"{model}{number}"}
    return ScoreTable(ids, scores, np.array(labels), "logits", classes, meta=origin | meta)


RGB, FLOW = [table(1), table(2)], [table(1, "flow"), table(2, "flow")]
MARGINS = replace(FLOW[1], kind="margins")


def test_streams_meet_by_their_videos():
    matched = match_splits([RGB, FLOW[::-1]], ["rgb", "flow"])
    assert [[t.meta["weights_sha256"] for t in tables] for tables in matched] == [["rgb1", "flow1"], ["rgb2", "flow2"]]


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ([RGB, FLOW[:1]], "every stream needs a score table for every split; rgb has 2, flow has 1"),
        ([RGB, [FLOW[0], FLOW[0]]], r"flow: table 1 \(flow, clip\) and table 2 \(flow, clip\) have the same 2 videos"),
        ([RGB, [FLOW[0], table(3, "flow")]], "flow has no table of the 2 videos of split2; the nearest, .* lacks 2"),
    ],
)
def test_streams_that_do_not_meet(streams, message):
    with pytest.raises(UserError, match=message):
        match_splits(streams, ["rgb", "flow"])


def test_the_mean_is_over_splits_not_over_videos():
    long = replace(
        table(2), ids=np.array(["c", "d", "e", "f"]), scores=np.tile([1.0, 0.0], (4, 1)), labels=[0, 1, 1, 1]
    )
    assert check_splits([table(1), long]) == []
    assert (table(1).top(1), long.top(1)) == (1.0, 0.25)
    values = average_over_splits([table(1), long])
    assert (values["top1"], values["num_videos"]) == (0.625, 6)
    assert values["mean_class"] == (1.0 + 0.5) / 2


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([table(1), table(1, "flow")], "have the same 2 videos, so they are not two splits"),
        ([table(1), table(2, classes=("run", "fly"))], r"split2 has other classes.*lacks sit and adds fly"),
        ([table(1), table(2, labels=(-1, -1))], "split2 has no labels"),
        ([table(1), table(2, "flow")], "model is flow, not rgb"),
        ([table(1), table(2, protocol="dense-10x1")], "protocol is dense-10x1, not clip.*--allow-different"),
        ([table(1), table(2, reverse=True)], "order of frames is reversed, not forward"),
        ([table(1), replace(table(2), kind="margins")], "kind of scores is margins, not logits"),
        (
            [fuse([RGB[0], FLOW[0]], average="z-scores"), fuse([RGB[1], MARGINS], average="z-scores")],
            r"kind before fusion is logits \+ margins, not logits \+ logits",
        ),
        (
            [fuse([RGB[0], FLOW[0]]), fuse([RGB[1], FLOW[1]], [1, 2])],
            r"weight is 0.333 : 0.667, not 0.5 : 0.5",
        ),
    ],
)
def test_means_that_would_be_no_result(tables, message):
    with pytest.raises(UserError, match=message):
        check_splits(tables)


def test_different_methods_when_told():
    assert check_splits([table(1), table(2, "flow")], allow_different=True) == []
    with pytest.raises(UserError, match="same 2 videos"):
        check_splits([table(1), table(1, "flow")], allow_different=True)


def test_one_network_on_all_splits_is_noted():
    same = [table(split, weights_sha256="same") for split in (1, 2, 3)]
    (note,) = check_splits(same)
    assert "same weights" in note
    twice = [fuse([table(split), table(split, reverse=True)]) for split in (1, 2)]
    assert check_splits(twice) == []


def test_names_of_splits():
    assert split_name(table(1), "x") == "split1"
    assert split_name(table(1, split="val"), "x") == "split1 (val)"
    assert split_name(replace(table(1), meta={}), "x") == "x"
