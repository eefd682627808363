"""The score table: what it refuses, and that a file gives back what was saved."""

import errno

import numpy as np
import pytest

from kinema.errors import UserError
from kinema.evaluation import array_file
from kinema.evaluation.scores import ScoreTable
from kinema.specs.protocol import softmax


def table(num_videos=4, num_classes=3, **changes):
    rng = np.random.default_rng(0)
    parts = {
        "ids": [f"video {index}" for index in range(num_videos)],
        "scores": rng.normal(size=(num_videos, num_classes)),
        "labels": np.arange(num_videos) % num_classes,
        "kind": "logits",
        "classes": tuple(f"class {index}" for index in range(num_classes)),
    }
    return ScoreTable(**(parts | changes))


@pytest.mark.parametrize("hits", [None, np.full((4, 2), 0.25)])
def test_a_file_gives_back_the_table(tmp_path, hits):
    saved = table(clip_hits=hits, ids=["a", "ü/ b,c", "d", "e"], meta={"model": "tsn-resnet50", "views": 3})
    path = saved.save(tmp_path / "new" / "scores.npz")
    loaded = ScoreTable.load(path)
    for name in ("ids", "scores", "labels"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(saved, name))
        assert getattr(loaded, name).dtype == getattr(saved, name).dtype
    assert (loaded.kind, loaded.classes, loaded.meta) == (saved.kind, saved.classes, saved.meta)
    assert loaded.clip_accuracy == (None if hits is None else {"top1": 0.25, "top5": 0.25})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ["a", "b", "a", "c"]}, "repeat: a"),
        ({"scores": np.zeros((4, 2))}, r"\(4, 3\), not \(4, 2\)"),
        ({"scores": np.full((4, 3), np.nan)}, "video 0, video 1"),
        ({"scores": np.full((4, 3), np.inf)}, "not finite"),
        ({"labels": [0, 1, 2, 3]}, "between 0 and 2.*video 3"),
        ({"labels": [0, 1, 2]}, "as many labels"),
        ({"kind": "votes"}, "unknown kind of scores 'votes'"),
        ({"kind": "probabilities"}, "sum to 1"),
        ({"classes": ("x", "y", "x")}, "class names must be unique"),
        ({"clip_hits": np.zeros(4)}, r"clip_hits must have shape \(4, 2\)"),
    ],
)
def test_what_a_table_refuses(changes, message):
    with pytest.raises(UserError, match=message):
        table(**changes)


def test_no_videos_is_an_error():
    with pytest.raises(UserError, match="at least one video"):
        table(num_videos=0)


def test_a_failed_save_leaves_the_earlier_table(tmp_path, monkeypatch):
    path = table().save(tmp_path / "scores.npz")
    before = path.read_bytes()

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(array_file.np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        table(num_videos=2).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["scores.npz"]


def test_files_that_are_not_tables(tmp_path):
    text = tmp_path / "text.npz"
    text.write_text("hello")
    with pytest.raises(UserError, match=r"text\.npz: not a file of kinema scores"):
        ScoreTable.load(text)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="not a file of kinema scores"):
        ScoreTable.load(pickled)
    other = array_file.write_arrays(tmp_path / "other.npz", {"content": "kinema features", "format": 1}, {})
    with pytest.raises(UserError, match="holds kinema features, not kinema scores"):
        ScoreTable.load(other)
    newer = array_file.write_arrays(tmp_path / "newer.npz", {"content": "kinema scores", "format": 99}, {})
    with pytest.raises(UserError, match="newer kinema"):
        ScoreTable.load(newer)
    truncated = table().save(tmp_path / "truncated.npz")
    truncated.write_bytes(truncated.read_bytes()[:-200])
    with pytest.raises(UserError, match="not a file of"):
        ScoreTable.load(truncated)
    with pytest.raises(UserError, match="no such file"):
        ScoreTable.load(tmp_path / "absent.npz")


def test_print_shows_shapes_not_numbers():
    named = table(meta={"model": "tsm-resnet18", "protocol": "clip"})
    assert repr(named).startswith(
        "ScoreTable(4 videos x 3 classes, logits, model tsm-resnet18, protocol clip, top-1 0."
    )
    assert "unlabelled" in repr(table(labels=[-1] * 4))


def test_select_by_rows_and_by_mask():
    whole = table(clip_hits=np.arange(8).reshape(4, 2) / 8)
    part = whole.select([2, 0])
    assert part.ids.tolist() == ["video 2", "video 0"]
    assert part.clip_hits is not None
    np.testing.assert_array_equal(part.clip_hits[0], whole.clip_hits[2])
    assert whole.select(whole.labels == 0).ids.tolist() == ["video 0", "video 3"]


def test_probabilities_are_a_softmax_of_logits():
    logits = table(scores=[[1000.0, 1000.0, 0.0]] * 4)
    np.testing.assert_allclose(logits.probabilities(), [[0.5, 0.5, 0.0]] * 4)
    already = table(kind="probabilities", scores=softmax(np.zeros((4, 3))))
    assert already.probabilities() is already.scores
