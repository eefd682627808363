"""Manifests: reading, writing, selecting, and what a million rows cost."""

import csv
import logging
import math
import multiprocessing
import re
import time
from pathlib import Path

import numpy as np
import pytest

from kinema.data.columns import TextColumn
from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError

RECORDS = [
    Record("a", "walk/a.mp4", "walk", 1, "train", 30, 25.0, group="anna"),
    Record("b", "run/b.mp4", "run", 0, "train", 41, 30000 / 1001, 1.25, 3.5, "bert"),
    Record("ü", "run/grün, mit Komma.mp4", "run", 0, "val", 0, 0.0, group="carl"),
    Record("d", "d.mp4", "", -1, "test"),
]
CLASSES = ("run", "walk", "jump, then fall")


def make(root: Path, records: list[Record] = RECORDS) -> Manifest:
    return Manifest.from_records(records, classes=CLASSES, no_flip=["walk"], root=root)


def same(left: Record, right: Record) -> bool:
    return all(a == b or (a != a and b != b) for a, b in zip(left, right, strict=True))


def test_records_come_back_as_they_went_in(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    for given, got in zip(RECORDS, manifest, strict=True):
        assert same(got, given._replace(path=str(tmp_path / given.path)))
    assert manifest.labels.tolist() == [1, 0, 0, -1]
    assert manifest.labels.dtype == np.int64
    assert manifest.splits == ("train", "val", "test")
    assert same(manifest[-1], manifest[3])
    with pytest.raises(IndexError):
        manifest[4]


def test_written_and_read_it_is_the_same(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    manifest.write(tmp_path / "set.csv")
    again = Manifest.read(tmp_path / "set.csv")
    assert all(same(a, b) for a, b in zip(manifest, again, strict=True))
    assert again.classes == CLASSES
    assert again.no_flip == {"walk"}
    assert again.digest() == manifest.digest()
    again.validate(check_files=False)
    before = (tmp_path / "set.csv").read_bytes(), (tmp_path / "set.classes.csv").read_bytes()
    again.write(tmp_path / "set.csv")
    assert ((tmp_path / "set.csv").read_bytes(), (tmp_path / "set.classes.csv").read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.classes.csv", "set.csv"]


def test_written_elsewhere_the_paths_still_lead_to_the_videos(tmp_path: Path) -> None:
    manifest = make(tmp_path / "videos")
    for place in (tmp_path / "lists" / "set.csv", tmp_path / "set.csv"):
        manifest.write(place)
        assert [record.path for record in Manifest.read(place)] == [record.path for record in manifest]
    assert "videos/walk/a.mp4" in (tmp_path / "set.csv").read_text().splitlines()[1].split(",")


def test_the_file_is_what_the_readme_promises(tmp_path: Path) -> None:
    records = [Record("a", "a.mp4", "x", num_frames=3, fps=25.0)]
    Manifest.from_records(records, classes=["x", "w"], no_flip=["w"], root=tmp_path).write(tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text() == "video_id,path,label,split,num_frames,fps\na,a.mp4,x,train,3,25\n"
    assert (tmp_path / "m.classes.csv").read_text() == "name,no_flip\nx,\nw,1\n"


def test_any_column_order_and_absent_optional_columns(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "split,label,path,video_id\ntrain,zebra,z.mp4,z\n\nval,ape,a.mp4,a\ntrain,,n.mp4,n\n"
    )
    manifest = Manifest.read(tmp_path / "m.csv")
    assert manifest.classes == ("ape", "zebra")  # no classes.csv: alphabetical, not the order of the rows
    assert [record.label for record in manifest] == ["zebra", "ape", ""]
    assert manifest.labels.tolist() == [1, 0, -1]
    record = manifest[1]
    assert (record.num_frames, record.fps, record.group) == (0, 0.0, "")
    assert math.isnan(record.start)
    assert math.isnan(record.end)


def test_selection(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    train = manifest.select("train")
    assert [record.video_id for record in train] == ["a", "b"]
    assert [record.video_id for record in train.select(indices=[1])] == ["b"]
    assert [record.video_id for record in manifest.select(indices=[3, 0, 0])] == ["d", "a", "a"]
    assert train.columns is manifest.columns  # shared, not copied
    with pytest.raises(UserError, match=r"no videos in the split 'test'; it has train"):
        train.select("test")
    with pytest.raises(UserError, match="did you mean train"):
        manifest.select("trian")
    with pytest.raises(UserError, match="leaves no videos"):
        manifest.select(indices=[])
    val = train.with_splits(["val", "train"])
    assert [record.split for record in val] == ["val", "train"]
    assert manifest.count("train") == 2  # the original is as it was
    counted = train.with_counts([7, 8], [10.0, 12.5])
    assert [(record.num_frames, record.fps) for record in counted] == [(7, 10.0), (8, 12.5)]


def test_digest_is_of_what_is_asked_not_of_where_it_lies(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    elsewhere = make(tmp_path / "other", [record._replace(path=f"x/{record.path}") for record in RECORDS])
    assert elsewhere.digest() == manifest.digest() == manifest.with_counts([1] * 4, [2.0] * 4).digest()
    changes = [
        make(tmp_path, RECORDS[:3]),
        make(tmp_path, [RECORDS[1], RECORDS[0], *RECORDS[2:]]),
        make(tmp_path, [RECORDS[0]._replace(label="run"), *RECORDS[1:]]),
        make(tmp_path, [RECORDS[0]._replace(split="val"), *RECORDS[1:]]),
        make(tmp_path, [RECORDS[0]._replace(group="bert"), *RECORDS[1:]]),
        make(tmp_path, [RECORDS[0]._replace(start=0.0), *RECORDS[1:]]),
        Manifest.from_records(RECORDS, classes=CLASSES, root=tmp_path),
        Manifest.from_records(RECORDS, classes=CLASSES[::-1], no_flip=["walk"], root=tmp_path),
    ]
    assert len({change.digest() for change in changes} | {manifest.digest()}) == len(changes) + 1


def lone(label: str, root: Path) -> Manifest:
    return Manifest.from_records([Record("a", "a.mp4", label)], classes=[label], root=root)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_several_data_sets_share_a_folder(tmp_path: Path) -> None:
    make(tmp_path).write(tmp_path / "one.csv")
    lone("swim", tmp_path).write(tmp_path / "two.csv")
    assert names(tmp_path) == ["one.classes.csv", "one.csv", "two.csv"]  # what the labels say needs no file
    assert Manifest.read(tmp_path / "one.csv").classes == CLASSES
    assert Manifest.read(tmp_path / "two.csv").classes == ("swim",)
    lone("swim", tmp_path).write(tmp_path / "one.csv")  # its own classes file goes along
    assert Manifest.read(tmp_path / "one.csv").classes == ("swim",)
    for name in ("split2", "classes.csv", "one.classes.csv"):
        with pytest.raises(UserError, match=r"must end in .csv, and not in classes.csv"):
            lone("swim", tmp_path).write(tmp_path / name)


def test_the_classes_file_of_older_versions_is_read_and_left_alone(tmp_path: Path) -> None:
    text = "name,no_flip\n" + "".join(f'"{name}",{int(name == "walk")}\n' for name in CLASSES)
    (tmp_path / "classes.csv").write_text(text)
    for name in ("split1.csv", "split2.csv"):
        make(tmp_path).write(tmp_path / name)
        assert Manifest.read(tmp_path / name).digest() == make(tmp_path).digest()
    assert names(tmp_path) == ["classes.csv", "split1.csv", "split2.csv"]
    lone("swim", tmp_path).write(tmp_path / "other.csv")
    assert Manifest.read(tmp_path / "other.csv").classes == ("swim",)
    assert Manifest.read(tmp_path / "split1.csv").classes == CLASSES
    assert (tmp_path / "classes.csv").read_text() == text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_spreadsheets(tmp_path: Path, delimiter: str, encoding: str) -> None:
    rate = "29,97" if delimiter == ";" else "29.97"
    rows = [["video_id", "path", "label", "split", "fps"], ["a", "ü.mp4", "grün", "train", rate]]
    (tmp_path / "m.csv").write_text("\r\n".join(map(delimiter.join, rows)), encoding=encoding)
    record = Manifest.read(tmp_path / "m.csv")[0]
    assert (record.path, record.label, record.fps) == (str(tmp_path / "ü.mp4"), "grün", 29.97)


def test_a_table_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    text = "video_id,path,label,split\na,a.mp4,café,train\nb,b.mp4,thé,train\n"
    (tmp_path / "m.csv").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"not UTF-8 text: 'café' \(row 1\), 'thé' \(row 2\); save .* UTF-8"):
        Manifest.read(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text(text.replace("split", "größe"), encoding="latin-1")
    with pytest.raises(UserError, match="first line is not UTF-8 text: video_id,path,label,größe"):
        Manifest.read(tmp_path / "m.csv")
    name = "caf\udce9/a.mp4"  # a file whose very name is not UTF-8, as on disks of old
    made = Manifest.from_records([Record(name, name, "caf\udce9")], classes=["caf\udce9"], root=tmp_path)
    made.write(tmp_path / "old.csv")
    assert Manifest.read(tmp_path / "old.csv")[0].label == "caf\udce9"


def test_failed_write_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = make(tmp_path)
    manifest.write(tmp_path / "m.csv")
    before = (tmp_path / "m.csv").read_text()

    def full_disk(self: TextColumn, row: int) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TextColumn, "__getitem__", full_disk)
    with pytest.raises(OSError, match="No space left"):
        manifest.write(tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.classes.csv", "m.csv"]


def test_open_takes_whatever_names_a_data_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = make(tmp_path)
    assert Manifest.open(manifest) is manifest
    manifest.write(tmp_path / "m.csv")
    assert len(Manifest.open(str(tmp_path / "m.csv"))) == 4
    for name in ("run", "walk"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "set" / name / f"{number}.mp4").touch()
    with caplog.at_level(logging.WARNING):
        assert Manifest.open(tmp_path / "set").classes == ("run", "walk")
    (tmp_path / "film.mp4").touch()
    with pytest.raises(UserError, match=r"film.mp4 is no data set; give a manifest CSV or a folder"):
        Manifest.open(tmp_path / "film.mp4")
    with pytest.raises(UserError, match="no such file"):
        Manifest.open(tmp_path / "nothing.csv")


def test_text_columns_keep_every_string() -> None:
    texts = ["", "plain", "grün", "日本語", "\udcff not UTF-8", ""]
    column = TextColumn.of(texts)
    assert [column[row] for row in range(len(column))] == texts
    assert column.take(np.array([3, 0, 4])) == [texts[3], "", texts[4]]
    assert column.is_empty(np.arange(6)).tolist() == [True, False, False, False, False, True]


def write_large(path: Path, num_rows: int) -> None:
    rows = (f"video_{n:07d},folder/video_{n:07d}.mp4,class {n % 400},train,{n % 300},29.97\n" for n in range(num_rows))
    with path.open("w") as file:
        file.write("video_id,path,label,split,num_frames,fps\n")
        file.writelines(rows)


def private_mib() -> float:
    """Memory of this process that it shares with no other, in MiB."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE)) / 1024


def touch_all(manifest: Manifest | list[Record], answers: "multiprocessing.Queue[float]") -> None:
    before, num_frames = private_mib(), 0
    for step in range(len(manifest)):
        num_frames += manifest[step * 7919 % len(manifest)].num_frames  # in no order, and without a list of places
    answers.put(private_mib() - before if num_frames else math.nan)


def growth_in_worker(rows: Manifest | list[Record]) -> float:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    worker = context.Process(target=touch_all, args=(rows, answers))
    worker.start()
    growth = answers.get(timeout=120)
    worker.join()
    return growth


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="counts private memory through Linux's /proc")
def test_a_worker_shares_the_memory_of_the_manifest(tmp_path: Path) -> None:
    write_large(tmp_path / "m.csv", 100_000)
    start = time.process_time()
    with (tmp_path / "m.csv").open(newline="") as file:
        assert sum(1 for _ in csv.reader(file)) == 100_001
    bare = time.process_time() - start
    start = time.process_time()
    manifest = Manifest.read(tmp_path / "m.csv")
    # Splitting the lines alone is the yardstick, as the machine may be busy: that takes 0.4 s for a million rows, which
    # may take 5 s; 3 times as long as splitting is usual.
    assert time.process_time() - start < 10 * bare
    assert growth_in_worker(manifest) < 10
    assert growth_in_worker(list(manifest)) > 14  # what a list of rows would cost: the measurement can see it


@pytest.mark.slow
def test_a_million_rows(tmp_path: Path) -> None:
    write_large(tmp_path / "m.csv", 1_000_000)
    start = time.process_time()
    manifest = Manifest.open(tmp_path / "m.csv")
    assert time.process_time() - start < 5
    assert len(manifest) == 1_000_000
    assert growth_in_worker(manifest) < 20
