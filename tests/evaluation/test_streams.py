"""Fusing streams in Python: what ``kinema fuse`` does, from tables and from files."""

from pathlib import Path

import numpy as np
import pytest

import kinema
from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable

CLASSES = tuple("abc")


def table(model: str, split: int, seed: int) -> ScoreTable:
    """Random logits; the same videos for the same split."""
    rng = np.random.default_rng([seed, split])
    ids = np.array([f"s{split}-{number}" for number in range(9)])
    meta = {"model": model, "protocol": "clip", "data": f"split{split}.csv", "split": "test"}
    return ScoreTable(ids, rng.normal(size=(9, 3)), np.arange(9) % 3, "logits", CLASSES, meta=meta)


RGB, FLOW = ([table(name, split, seed) for split in (1, 2)] for seed, name in enumerate(("rgb-net", "flow-net")))


def test_splits_are_matched_fused_and_averaged(tmp_path: Path) -> None:
    fusion = kinema.fuse([RGB, FLOW[::-1]], [1, 3])
    expected = [kinema.fuse(pair, [1, 3]) for pair in zip(RGB, FLOW, strict=True)]
    for ours, theirs in zip(fusion.fused, expected, strict=True):
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert (fusion.names, fusion.weights, fusion.split_names) == (["rgb-net", "flow-net"], [1, 3], ["split1", "split2"])
    assert fusion.accuracies()["top1"] == np.mean([one.top(1) for one in expected])
    assert sum(row.num_videos for row in fusion.count_right()) == 18
    assert fusion.sweep().chosen == 0.75
    (one,) = kinema.fuse([RGB[:1], FLOW[:1]], [1, 3]).fused
    np.testing.assert_array_equal(one.scores, expected[0].scores)
    files = fusion.save(tmp_path / "fused")
    assert [path.name for path in files] == ["split1-fused.npz", "split2-fused.npz"]
    np.testing.assert_array_equal(ScoreTable.load(files[1]).scores, expected[1].scores)


def test_files_and_folders_are_streams_too(tmp_path: Path) -> None:
    for name, tables in (("rgb", RGB), ("flow", FLOW)):
        for number, one in enumerate(tables, start=1):
            one.save(tmp_path / name / f"split{number}.npz")
    fusion = kinema.fuse([tmp_path / "rgb", [tmp_path / "flow/split2.npz", tmp_path / "flow/split1.npz"]])
    assert fusion.names == ["rgb", "flow"]
    np.testing.assert_array_equal(fusion.fused[0].scores, kinema.fuse([RGB[0], FLOW[0]]).scores)
    single = kinema.fuse([tmp_path / "rgb/split1.npz", FLOW[0]], average="probabilities")
    assert single.averaged == "probabilities (logits through a softmax)"
    assert single.save(tmp_path / "one.npz") == [tmp_path / "one.npz"]


def test_mistakes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least two"):
        kinema.fuse([RGB])
    with pytest.raises(UserError, match="as many weights, 3 given"):
        kinema.fuse([RGB, FLOW], [1, 2, 3])
    with pytest.raises(UserError, match="2 different names"):
        kinema.fuse([RGB, FLOW], names=["one", "one"])
    with pytest.raises(UserError, match="must be a folder for 2 splits"):
        kinema.fuse([RGB, FLOW]).save(tmp_path / "both.npz")
    with pytest.raises(UserError, match="no score files"):
        kinema.fuse([tmp_path, RGB])
