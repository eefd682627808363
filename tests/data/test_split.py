"""Holding out by class and by group."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from kinema.cli.data import split
from kinema.data.hold_out import hold_out, nearest_subset
from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError


def make(rows: list[tuple[str, str]], root: Path = Path("/videos")) -> Manifest:
    """A training set of (label, group) rows."""
    classes = sorted({label for label, _ in rows})
    records = [Record(f"v{n}", f"v{n}.mp4", label, group=group) for n, (label, group) in enumerate(rows)]
    return Manifest.from_records(records, classes=classes, root=root)


def held(manifest: Manifest, split: str = "val") -> Counter[str]:
    return Counter(record.label for record in manifest if record.split == split)


def test_every_class_gives_its_share() -> None:
    manifest = make([(label, "") for label, count in (("a", 100), ("b", 13), ("c", 7), ("d", 2)) for _ in range(count)])
    assert held(hold_out(manifest)) == {"a": 20, "b": 3, "c": 1, "d": 1}
    assert held(hold_out(manifest, 0.95)) == {"a": 95, "b": 12, "c": 6, "d": 1}


def test_the_seed_decides() -> None:
    manifest = make([("a", "")] * 50 + [("b", "")] * 50)
    splits = [[record.split for record in hold_out(manifest, seed=seed)] for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


@pytest.mark.parametrize("seed", range(5))
def test_nearest_subset_is_as_near_as_any(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(20):
        sizes = rng.integers(1, 9, size=rng.integers(2, 8)).tolist()
        target = float(rng.uniform(0.1, sum(sizes)))
        sums = [sum(choice) for count in range(1, len(sizes)) for choice in itertools.combinations(sizes, count)]
        chosen = nearest_subset(sizes, target)
        assert len(set(chosen)) == len(chosen)
        assert 0 < len(chosen) < len(sizes)
        assert abs(sum(sizes[place] for place in chosen) - target) == min(abs(total - target) for total in sums)


def test_nearest_subset_of_very_many_groups() -> None:
    sizes = [2 + place % 5 for place in range(5000)]
    assert abs(sum(sizes[place] for place in nearest_subset(sizes, 0.2 * sum(sizes))) - 0.2 * sum(sizes)) < 1


def test_groups_of_one_class_stay_together_and_come_near() -> None:
    rng = np.random.default_rng(0)
    rows = [(label, f"{label}{g}") for label in "abc" for g in range(25) for _ in range(rng.integers(4, 8))]
    manifest = hold_out(make(rows))
    manifest.validate(check_files=False)
    totals = Counter(label for label, _ in rows)
    assert all(abs(held(manifest)[label] - 0.2 * totals[label]) <= 0.5 for label in totals)


def test_groups_that_span_classes() -> None:
    rows = [(label, actor) for actor in "abcdefghi" for label in ("bend", "jump", "wave")]
    manifest = hold_out(make(rows))
    manifest.validate(check_files=False)
    assert held(manifest) == {"bend": 2, "jump": 2, "wave": 2}
    assert held(hold_out(make(rows[:6]))) == {"bend": 1, "jump": 1, "wave": 1}


def test_by_video_tears_groups_apart_and_forgets_them() -> None:
    manifest = make([("a", "one")] * 5 + [("b", "two")] * 5)
    with pytest.raises(UserError, match="nothing can be held out"):
        hold_out(manifest)
    loose = hold_out(manifest, by_group=False)
    assert held(loose) == {"a": 1, "b": 1}
    loose.validate(check_files=False)


def test_other_splits_stay() -> None:
    manifest = make([("a", "")] * 10)
    manifest = manifest.with_splits(["test"] * 5 + ["train"] * 5)
    divided = hold_out(manifest)
    assert [record.split for record in divided][:5] == ["test"] * 5
    assert divided.count("val") == 1
    with pytest.raises(UserError, match="already has 1 val videos"):
        hold_out(divided)
    with pytest.raises(UserError, match="already has 5 test videos"):
        hold_out(divided, into="test")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, 20])
def test_impossible_share(fraction: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        hold_out(make([("a", "")] * 10), fraction)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make([("a", f"g{n // 2}") for n in range(20)], tmp_path).write(tmp_path / "m.csv")
    before = (tmp_path / "m.csv").read_bytes()
    split(tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_bytes() == before
    assert Manifest.read(tmp_path / "m-val.csv").count("val") == 4
    assert "m-val.csv: 20 videos, 1 class, train 16, val 4" in capsys.readouterr().out
    split(tmp_path / "m.csv", holdout=0.5, by="video", seed=3, into="test", out=tmp_path / "n.csv")
    assert Manifest.read(tmp_path / "n.csv").count("test") == 10
    with pytest.raises(UserError, match="--out"):
        split(tmp_path)


def test_official_training_list(shared_data: Path) -> None:
    from kinema.data.sources.make import make_manifests

    folder = shared_data / "ucf101_8c"
    manifest = make_manifests("ucf101", videos=folder, annotations=folder).manifests["ucf101-split1"]
    divided = hold_out(manifest)
    divided.validate(check_files=False)
    totals = held(manifest, "train")
    assert all(abs(held(divided)[label] - 0.2 * totals[label]) <= 2 for label in totals)
    assert held(divided, "test") == held(manifest, "test")
