"""Phi and Psi by hand, and from the published accuracies to the digit that the paper prints."""

import math
from pathlib import Path

import pytest

from kinema.errors import UserError
from kinema.study.contributions import contributions, mean_contributions
from kinema.study.table import StudyRow, StudyTable

TABLE_7 = {
    "mini-ssv2": {"i3d": (0.53, 0.46, 0.38), "s3d": (0.53, 0.45, 0.38), "tam": (0.52, 0.47, 0.37)},
    "mini-kinetics": {"i3d": (0.97, 0.06, -0.08), "s3d": (0.97, 0.08, -0.10), "tam": (0.96, 0.09, -0.12)},
    "mini-mit": {"i3d": (0.89, 0.04, 0.02), "s3d": (0.91, 0.03, 0.02), "tam": (0.87, 0.04, 0.04)},
}
"""Phi, Psi without and with temporal pooling, as printed (arXiv 2010.11757)."""


def row(module: str, accuracy: float, **changed: object) -> StudyRow:
    values = {"dataset": "d", "backbone": "resnet18", "temporal_pooling": False, "frames": 8} | changed
    return StudyRow(module=module, results={"clip_top1": accuracy}, **values)


def test_by_hand() -> None:
    rows = (row("tsn", 40.0), row("tsm", 55.0), row("tam", 30.0), row("tsn", 34.0, temporal_pooling=True))
    better, worse, pooled = contributions(StudyTable(rows))
    assert (better.spatial, better.temporal) == pytest.approx((40 / 55, 15 / 60))
    assert (worse.spatial, worse.temporal) == pytest.approx((1.0, -10 / 60))
    assert (pooled.spatial, pooled.temporal) == pytest.approx((1.0, -6 / 60))
    first, second, third = mean_contributions([better, worse, pooled])
    assert (first.module, second.module, third.module) == ("tsm", "tam", "tsn")
    assert (third.num_models, math.isnan(third.temporal)) == ((0, 1), True)
    assert third.temporal_pooled == pytest.approx(-0.1)


def test_seeds_of_the_baseline_are_averaged() -> None:
    rows = (row("tsn", 40.0), row("tsn", 50.0, seed=1), row("tsm", 45.0), row("tsm", 63.0, seed=1))
    found = contributions(StudyTable(rows))
    assert [one.temporal for one in found] == pytest.approx([0.0, 18 / 55])
    assert mean_contributions(found)[0].temporal == pytest.approx(9 / 55)


def test_perfect_baselines_leave_nothing_to_gain() -> None:
    (found,) = contributions(StudyTable((row("tsn", 100.0), row("tsm", 100.0))))
    assert found.spatial == 1.0
    assert math.isnan(found.temporal)


def test_published_accuracies_give_table_7(shared_published: Path) -> None:
    """All but I3D and S3D without temporal pooling, whose columns the paper has exchanged."""
    table = StudyTable.read(shared_published / "deep_analysis_mini_accuracy.csv")
    assert len(table) == 288
    found = {(one.dataset, one.module): one for one in mean_contributions(contributions(table))}
    exchanged = {"i3d": "s3d", "s3d": "i3d", "tam": "tam"}
    for dataset, columns in TABLE_7.items():
        for module, (spatial, temporal, _) in columns.items():
            one = found[dataset, exchanged[module]]
            assert (round(one.spatial, 2), round(one.temporal, 2)) == (spatial, temporal), (dataset, module)
            assert one.num_models == (12, 12)
        for module, (_, _, pooled) in columns.items():
            assert round(found[dataset, module].temporal_pooled, 2) == pooled, (dataset, module)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ((row("tsn", 40.0),), "nothing but tsn"),
        ((row("tsn", 40.0), row("tsm", 50.0, frames=16)), "no tsn .* as tsm-resnet18 with 16 frames on d"),
        ((row("tsn", 40.0), row("tsm", 101.0)), "clip_top1 of tsm-resnet18 with 8 frames on d is 101"),
        ((row("tsn", 40.0), row("tsn", 41.0)), "two rows of tsn-resnet18"),
        ((), "no rows"),
    ],
)
def test_what_is_refused(rows: tuple[StudyRow, ...], error: str) -> None:
    with pytest.raises(UserError, match=error):
        contributions(StudyTable(rows))


def test_unknown_metrics_are_refused() -> None:
    table = StudyTable((row("tsn", 40.0), row("tsm", 50.0)))
    with pytest.raises(UserError, match="no results called 'video_top1'; it has clip_top1"):
        contributions(table, metric="video_top1")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("dataset,module\na,b\n", "lacks the columns backbone, temporal_pooling, frames"),
        (
            "dataset,module,backbone,temporal_pooling,frames\nd,tsn,r,maybe,8\n",
            "line 2: temporal_pooling must be 0 or 1",
        ),
        ("dataset,module,backbone,temporal_pooling,frames\nd,tsn,r,0,-8\n", "line 2: frames must be a whole number"),
        ("dataset,module,backbone,temporal_pooling,frames,top\nd,tsn,r,0,8,x\n", "line 2: top must be a number"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "study.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=error):
        StudyTable.read(path)
    with pytest.raises(UserError, match="cannot be read"):
        StudyTable.read(tmp_path / "none.csv")
