"""What is probably a mistake in a data set, and is said: copies in two splits, lonely classes, uneven shares."""

import logging
from pathlib import Path

import pytest

from kinema.cli.data import split
from kinema.cli.data_doubts import print_doubts
from kinema.data.doubts import END_BYTES, class_doubts, copy_doubts, same_content
from kinema.data.hold_out import far_from_fraction, hold_out
from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError


def make(root: Path, *rows: tuple[str, str, str], **more: float) -> Manifest:
    """Rows of (path, label, split)."""
    records = [Record(f"v{n}", path, label, split=split, **more) for n, (path, label, split) in enumerate(rows)]
    return Manifest.from_records(records, classes=sorted({row[1] for row in rows}), root=root)


def write(root: Path, **contents: bytes) -> None:
    for name, content in contents.items():
        (root / f"{name}.mp4").write_bytes(content)


def test_only_the_same_bytes_are_a_copy(tmp_path: Path) -> None:
    long = bytes(END_BYTES) * 3
    middle = long[: END_BYTES + 7] + b"x" + long[END_BYTES + 8 :]  # differs only where the ends do not reach
    write(tmp_path, a=b"one", b=b"two", c=b"one", d=long, e=middle, f=long, g=b"", h=b"")
    rows = [(f"{name}.mp4", "run", "train") for name in "abcdefgh"]
    assert same_content(make(tmp_path, *rows, ("gone.mp4", "run", "train"))) == [[0, 2], [3, 5]]


def test_a_video_in_two_splits_or_under_two_labels_is_named(tmp_path: Path) -> None:
    write(tmp_path, a=b"one", b=b"one", c=b"two", d=b"two", e=b"six", f=b"six")
    rows = [("a.mp4", "run", "train"), ("b.mp4", "run", "val"), ("c.mp4", "run", "train"), ("d.mp4", "jump", "train")]
    manifest = make(tmp_path, *rows, ("e.mp4", "run", "train"), ("f.mp4", "run", "train"))
    torn, relabelled, twice = copy_doubts(manifest)
    assert torn.is_serious
    assert "1 video is in more than one split, as the same file or a copy of it: v0 (train) = v1 (val)." in torn.text
    assert relabelled.is_serious
    assert "1 video is there with more than one label: v2 (run) = v3 (jump)." in relabelled.text
    assert not twice.is_serious
    assert twice.text.endswith("more than once in one split: v4 = v5")
    with pytest.raises(UserError, match="--strict"):
        print_doubts(manifest, strict=True)


def test_parts_of_one_video_are_copies_only_where_they_share_seconds(tmp_path: Path) -> None:
    write(tmp_path, a=b"one")
    spans = [("train", 0.0, 2.0), ("val", 2.0, 4.0), ("test", 3.5, float("nan"))]
    records = [Record(f"v{n}", "a.mp4", "run", split=s, start=b, end=e) for n, (s, b, e) in enumerate(spans)]
    doubts = copy_doubts(Manifest.from_records(records, classes=["run"], root=tmp_path))
    assert [doubt.text.partition(": ")[2].partition(". ")[0] for doubt in doubts] == ["v1 (val) = v2 (test)"]


def test_lonely_and_untrained_classes_are_named(tmp_path: Path) -> None:
    rows = [
        ("a", "wave", "train"),
        ("b", "wave", "val"),
        ("c", "waev", "train"),
        ("d", "new", "test"),
        ("e", "new", "val"),
    ]
    lonely, untrained = class_doubts(make(tmp_path, *rows))
    assert lonely.text.startswith(
        "the class waev (or is that wave?) has a single video. It can be trained on or tested"
    )
    assert untrained.text.startswith("no video to train on for new,")
    assert class_doubts(make(tmp_path, *rows[:2])) == []


def test_groups_far_from_their_share_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"even": [1] * 10, "uneven": [5, 5]}
    records = [
        Record(f"{label}{group}{n}", "x.mp4", label, group=f"{label}{group}")
        for label, groups in sizes.items()
        for group, size in enumerate(groups)
        for n in range(size)
    ]
    manifest = Manifest.from_records(records, classes=sorted(sizes), root=tmp_path)
    assert "as whole groups move: uneven 50% (5 of 10)." in far_from_fraction(hold_out(manifest), 0.2)
    assert far_from_fraction(hold_out(manifest, by_group=False), 0.2) == ""
    manifest.write(tmp_path / "m.csv")
    split(tmp_path / "m.csv")
    said = capsys.readouterr()
    assert "  even    train    8  val    2   20%\n  uneven  train    5  val    5   50%\n" in said.out
    assert "far from the 20% asked for" in said.err


def test_a_folder_says_so_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for place in ("run/anna/1", "run/anna/2", "run/bert/1", "run/bert/2", "jump/anna/1", "jump/bert/1"):
        (tmp_path / f"{place}.mp4").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{place}.mp4").touch()
    with caplog.at_level(logging.WARNING):
        Manifest.from_folder(tmp_path)
    assert "run 50% (2 of 4)" in caplog.text


def test_real_sets_are_clean(shared_data: Path) -> None:
    assert copy_doubts(Manifest.open(shared_data / "typing_exercise")) == []
    assert class_doubts(Manifest.open(shared_data / "weizmann_4c")) == []
