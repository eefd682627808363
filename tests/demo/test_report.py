"""Pictures and tables of reports show the numbers they are given."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from kinema.demo.order_report import Contender, explanation, write_report
from kinema.demo.reversal import OrderScores, order_scores
from kinema.demo.synthetic import CLASSES
from kinema.errors import UserError
from kinema.report.curves import plot_training, read_metrics
from kinema.report.markdown import markdown_table, percent
from kinema.report.plots import plot_bars, plot_confusion, plot_frames
from kinema.report.style import COLOURS

OPPOSITE = [index ^ 1 for index in range(len(CLASSES))]


def table(answers, labels, classes=CLASSES):
    answers, labels = np.asarray(answers), np.asarray(labels)
    scores = np.eye(len(classes), dtype=np.float32)[answers]
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, answers), 1)
    ids = np.array([f"video{row}" for row in range(len(labels))])

    class Table(SimpleNamespace):
        def __len__(self):
            return len(labels)

    return Table(ids=ids, scores=scores, labels=labels, classes=tuple(classes), confusion=lambda: confusion)


def count(path, colour):
    """Pixels of exactly one colour, given as #rrggbb."""
    wanted = [int(colour[place : place + 2], 16) for place in (5, 3, 1)]
    return int((cv2.imread(str(path)) == wanted).all(-1).sum())


def test_order_scores_count_what_their_names_say():
    labels = [0, 0, 1, 1, 2, 3, 4, 5, 6, 7]
    forward = [0, 1, 1, 0, 2, 3, 6, 5, 6, 7]  # two wrong members, one wrong pair
    backward = [1, 1, 0, 0, 3, 2, 5, 5, 0, 6]  # one right, one elsewhere
    scores = order_scores(table(forward, labels), table(backward, labels), OPPOSITE)
    assert scores == OrderScores(forward=0.7, reversed=0.1, mirrored=0.8, pair=0.9, member=7 / 9)


def test_order_scores_refuse_tables_that_do_not_belong_together():
    one, other = table([0, 1], [0, 1]), table([0, 1, 2], [0, 1, 2])
    with pytest.raises(UserError, match="not of the same videos"):
        order_scores(one, other, OPPOSITE)
    with pytest.raises(UserError, match="pair up the 8 classes"):
        order_scores(one, one, [1, 2, 0, 3, 4, 5, 6, 7])
    unlabelled = table([0, 1], [0, 1])
    unlabelled.labels = np.array([0, -1])
    with pytest.raises(UserError, match="no label"):
        order_scores(unlabelled, unlabelled, OPPOSITE)


def test_the_explanation_admits_a_run_that_went_wrong():
    good = OrderScores(forward=1.0, reversed=0.0, mirrored=1.0, pair=1.0, member=1.0)
    blind = OrderScores(forward=0.5, reversed=0.5, mirrored=0.5, pair=1.0, member=0.5)
    assert "names the mirrored class (100.0 %)" in explanation(good, blind)
    for tsm, tsn in ((blind, blind), (good, good)):
        assert "worth a look" in explanation(tsm, tsn)


def test_markdown_tables_line_up_and_keep_pipes_inside_cells():
    lines = markdown_table(("model", "top-1"), [("a|b", percent(0.5)), ("tsm", percent(float("nan")))]).splitlines()
    assert lines == ["| model |  top-1 |", "| ----- | -----: |", "| a\\|b  | 50.0 % |", "| tsm   |      – |"]
    with pytest.raises(ValueError, match="2 cells"):
        markdown_table(("model", "top-1"), [("tsm",)])


def test_bars_are_as_high_as_the_accuracies(tmp_path):
    path = plot_bars({"class": {"tsm": 0.8, "tsn": 0.4}}, tmp_path / "new/bars.png", title="x", chance={"class": 0.05})
    assert count(path, COLOURS[0]) == pytest.approx(2 * count(path, COLOURS[1]), rel=0.1)


def test_confusion_shades_the_share_of_the_true_class(tmp_path):
    full = "#08306b"  # the dark end of the colour map
    some = plot_confusion({"a": np.diag([4] * 30)}, [f"c{i}" for i in range(30)], tmp_path / "a.png")
    none = plot_confusion({"a": np.zeros((30, 30), int)}, [f"c{i}" for i in range(30)], tmp_path / "b.png")
    assert count(some, full) > 20 * 30 + count(none, full)
    with pytest.raises(UserError, match="'a' is"):
        plot_confusion({"a": np.eye(3)}, ["x", "y"], tmp_path / "c.png")


def test_many_matrices_and_many_classes_still_make_a_picture(tmp_path):
    matrices = {str(place): np.eye(70) for place in range(3)}
    path = plot_confusion(matrices, [f"class number {i}" for i in range(70)], tmp_path / "a.png", num_columns=2)
    assert max(cv2.imread(str(path)).shape) < 3000


def test_frames_are_shown_in_order_of_time(tmp_path):
    pixels = np.zeros((9, 16, 16, 3), np.uint8)
    pixels[:, ..., 0] = np.linspace(0, 240, 9)[:, None, None].astype(np.uint8)
    image = cv2.imread(str(plot_frames({"video": pixels}, tmp_path / "a.png", num_frames=3)))
    row = image[image.shape[0] // 2]
    reds = row[(row[:, 0] < 5) & (row[:, 1] < 5)][:, 2].astype(int)
    shown = [value for value in dict.fromkeys(reds.tolist()) if (reds == value).sum() > 20]
    assert shown == [0, 120, 240]


def test_training_curves_are_read_from_runs_and_faults_are_named(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,train_loss,train_top1,val_top1\n1,2.5,0.2,\n2,1.5,0.6,0.5\n")
    values = read_metrics(tmp_path / "metrics.csv")
    assert values["train_loss"].tolist() == [2.5, 1.5]
    assert np.isnan(values["val_top1"][0])
    path = plot_training({"a": tmp_path, "b": tmp_path / "metrics.csv"}, tmp_path / "curves.png", title="x")
    assert count(path, COLOURS[1]) > 100
    (tmp_path / "bad.csv").write_text("epoch,train_loss\n1,high\n")
    with pytest.raises(UserError, match="not a table of numbers"):
        read_metrics(tmp_path / "bad.csv")
    (tmp_path / "empty.csv").write_text("epoch,train_loss\n")
    with pytest.raises(UserError, match="no rows"):
        read_metrics(tmp_path / "empty.csv")


def test_the_report_holds_the_figures_everywhere(tmp_path):
    labels = np.repeat(np.arange(8), 4)
    contenders = []
    for name, forward in (("tsm", labels), ("tsn", labels ^ (np.arange(32) % 2))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text("epoch,train_loss,train_top1\n1,1.0,0.5\n")
        backward = forward ^ 1 if name == "tsm" else forward
        contenders.append(Contender(name, tmp_path / name, table(forward, labels), table(backward, labels)))
    clips = {"moving left": np.zeros((8, 32, 32, 3), np.uint8)}
    write_report(tmp_path, contenders, clips, seconds=12.34, commands=["kinema predict here"])
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["seconds"] == 12.3
    assert results["tsm"] == {"forward": 1.0, "reversed": 0.0, "mirrored": 1.0, "pair": 1.0, "member": 1.0}
    assert results["tsn"] == {"forward": 0.5, "reversed": 0.5, "mirrored": 0.5, "pair": 1.0, "member": 0.5}
    text = (tmp_path / "report.md").read_text()
    assert "| tsn      |      50.0 % |                50.0 % |    100.0 % |       50.0 % |" in text
    assert "kinema predict here" in text
    for name in ("videos", "accuracy", "confusion", "training"):
        assert f"(plots/{name}.png)" in text
        assert cv2.imread(str(tmp_path / f"plots/{name}.png")) is not None
