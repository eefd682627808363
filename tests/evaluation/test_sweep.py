"""Sweeps over the weight of two streams, and counts of what only one of them gets right."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from kinema import fuse
from kinema.errors import UserError
from kinema.evaluation.fusion import combine, line_up
from kinema.evaluation.scores import ScoreTable
from kinema.evaluation.sweep import count_right, sweep
from kinema.report.sweep_plot import plot_sweep, write_sweep

# Classes run and sit; the margin for the true class decides, so the weight at which a video turns is known.
FIRST_LEADS, SECOND_LEADS = [2.0, -1.0, 1.0, -1.0, 3.0], [1.0, 1.0, -3.0, -1.0, 5.0]


def table(leads, labels=(0, 1, 0, 1, -1)):
    true = np.where(np.array(labels) < 0, 0, labels)
    scores = np.zeros((len(leads), 2))
    scores[np.arange(len(leads)), true] = leads
    return ScoreTable(np.array(list("abcde")[: len(leads)]), scores, np.array(labels), "logits", ("run", "sit"))


STREAMS = line_up([table(FIRST_LEADS), table(SECOND_LEADS)])


def test_a_sweep_ends_in_the_single_streams_and_meets_the_fusion():
    swept = sweep([STREAMS], 2 / 3)
    assert len(swept.weights) == 102
    assert (swept.weights[0], swept.weights[-1]) == (0, 1)
    used = swept.weights.tolist().index(2 / 3)
    fused = fuse(STREAMS, [1, 2])
    for values, accuracy in ((swept.top1[0], ScoreTable.top), (swept.mean_class[0], ScoreTable.mean_class_accuracy)):
        assert values[[0, used, -1]].tolist() == [accuracy(STREAMS[0]), accuracy(fused), accuracy(STREAMS[1])]
    # Video b turns right where 2 s > 1, video c turns wrong where 1 - 4 s < 0.
    expected = [0.25 * (1 + (s > 0.5) + (s <= 0.25)) for s in swept.weights]
    near = np.isclose(swept.weights, 0.5) | np.isclose(swept.weights, 0.25)
    np.testing.assert_array_equal(swept.top1[0][~near], np.array(expected)[~near])


def test_a_sweep_is_between_two():
    with pytest.raises(UserError, match="between two streams; 3 are given"):
        sweep([[*STREAMS, STREAMS[0]]], 0.5)


def test_who_is_right():
    fused = combine(STREAMS, [0.4, 0.6])
    rows = count_right([STREAMS, STREAMS], [fused, fused], ["rgb", "flow"])
    counts = [(row.name, row.num_videos, row.num_fused) for row in rows]
    assert counts == [("both", 2, 2), ("only rgb", 2, 0), ("only flow", 2, 2), ("none", 2, 0)]
    assert sum(row.num_videos for row in rows) == 2 * fused.num_labelled


def test_who_is_right_of_three():
    three = [*STREAMS, STREAMS[0]]
    (rows,) = [count_right([three], [combine(three, [0, 1, 0])], ["one", "two", "three"])]
    assert [(row.name, row.num_videos, row.num_fused) for row in rows] == [
        ("all", 1, 1),
        ("only one", 0, 0),
        ("only two", 1, 1),
        ("only three", 0, 0),
        ("several, not all", 1, 0),
        ("none", 1, 0),
    ]


def test_the_csv_has_every_split_and_marks_the_weights_used(tmp_path):
    swept = sweep([STREAMS, [STREAMS[1], STREAMS[0]]], 0.5)
    path = write_sweep(swept, ["rgb", "flow"], ["split1", "split2"], tmp_path / "new" / "sweep.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 101
    assert [(row["videos"], row["rgb weight"], row["flow weight"]) for row in rows if row["used"]] == [
        ("split1", "0.5", "0.5"),
        ("split2", "0.5", "0.5"),
    ]
    assert (rows[0]["top1"], rows[101]["top1"]) == (f"{STREAMS[0].top(1):g}", f"{STREAMS[1].top(1):g}")


@pytest.mark.parametrize("chosen", [0.0, 0.5, 0.9, 1.0])
def test_the_picture_holds_for_flat_and_steep_curves(tmp_path, chosen):
    steep = sweep([STREAMS], chosen)
    flat = replace(steep, top1=np.ones_like(steep.top1), mean_class=np.ones_like(steep.top1))
    for swept in (steep, flat, sweep([STREAMS, STREAMS], chosen)):
        path = plot_sweep(
            swept, ["an RGB stream of a long name", "b"], tmp_path / "s.png", weights="1 : 1", subject="x"
        )
        assert path.read_bytes().startswith(b"\x89PNG")
