"""Manifests from anybody's list of videos."""

import logging
import shutil
from pathlib import Path

import pytest

from kinema.cli.data_make import CsvOptions, make
from kinema.data.manifest import Manifest
from kinema.data.sources.make import MissingVideosError
from kinema.data.sources.own_csv import CsvColumns, read_own_csv
from kinema.errors import UserError

ROWS = [["file", "action", "part", "who"], ["run/a.mp4", "run", "Training", "anna"], ["b.mp4", "walk", "valid", "bert"]]
BY_NAME = CsvColumns("file", "action", "part", "who")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    for name in ("run/a.mp4", "b.mp4", "c.mp4", "d.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write(folder: Path, rows: list[list[str]] | str, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    text = rows if isinstance(rows, str) else "\n".join(map(delimiter.join, rows)) + "\n"
    (folder / "list.csv").write_text(text, encoding=encoding)
    return folder / "list.csv"


def rows_of(manifest: Manifest) -> list[tuple[str, str, str, str]]:
    return [(record.video_id, record.label, record.split, record.group) for record in manifest]


WANTED = [("run/a", "run", "train", "anna"), ("b", "walk", "val", "bert")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_and_encodings(videos: Path, delimiter: str, encoding: str) -> None:
    named = "pipe" if delimiter == "|" else ""
    found = read_own_csv(write(videos, ROWS, delimiter, encoding), BY_NAME, delimiter=named)
    assert rows_of(found.manifest) == WANTED
    found.manifest.validate()


def test_relative_absolute_and_windows_paths_and_a_folder_of_videos(videos: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    absolute = [ROWS[0], *([str(videos / row[0]), *row[1:]] for row in ROWS[1:])]
    assert rows_of(read_own_csv(write(lists, absolute), BY_NAME).manifest) == WANTED
    backslashes = [ROWS[0], ["run\\a.mp4", *ROWS[1][1:]], ["./b.mp4", *ROWS[2][1:]]]
    assert rows_of(read_own_csv(write(videos, backslashes), BY_NAME).manifest)[1] == WANTED[1]
    bare = [ROWS[0], ["a", *ROWS[1][1:]], ["elsewhere/b.avi", *ROWS[2][1:]]]
    found = read_own_csv(write(lists, bare), BY_NAME, videos=videos).manifest
    assert [record.path for record in found] == [str(videos / "run/a.mp4"), str(videos / "b.mp4")]


def test_missing_videos_are_an_error_that_says_where_they_are(videos: Path, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = write(videos.parent, ROWS)
    with pytest.raises(MissingVideosError, match=rf"2 of the 2 .* not in {videos.parent}: .* --videos {videos}$"):
        read_own_csv(elsewhere, BY_NAME)
    one_gone = write(videos, [*ROWS, ["gone.mp4", "run", "train", "carl"]])
    with pytest.raises(MissingVideosError, match=r"1 of the 3 .* gone.mp4.*--missing drop"):
        read_own_csv(one_gone, BY_NAME)
    with caplog.at_level(logging.WARNING):
        found = read_own_csv(one_gone, BY_NAME, missing="drop")
    assert (rows_of(found.manifest), found.missing) == (WANTED, ["gone.mp4"])
    assert "were left out: gone.mp4" in caplog.text


def test_without_names_in_the_first_line_columns_are_numbered(videos: Path) -> None:
    file = write(videos, "run/a.mp4 run\nb.mp4 walk\nc.mp4 run\nd.mp4 walk\n")
    found = read_own_csv(file, CsvColumns("1", "2"), delimiter="space").manifest
    assert [(record.video_id, record.label) for record in found] == [
        ("run/a", "run"),
        ("b", "walk"),
        ("c", "run"),
        ("d", "walk"),
    ]
    assert (found.count("train"), found.count("val")) == (2, 2)


def test_numbers_for_labels(videos: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [["path", "label"], ["run/a.mp4", "10"], ["b.mp4", "2"], ["c.mp4", "10"], ["d.mp4", "2"]]
    with caplog.at_level(logging.WARNING):
        found = read_own_csv(write(videos, rows)).manifest
    assert found.classes == ("2", "10")
    assert "--classes FILE names them" in caplog.text
    found.write(videos / "m.csv")
    assert Manifest.read(videos / "m.csv").classes == ("2", "10")  # not the alphabetical order
    names = [f"class {n}" for n in range(11)]
    found = read_own_csv(write(videos, rows), classes=names).manifest
    assert [found[0].label, found[1].label, len(found.classes)] == ["class 10", "class 2", 11]
    from_one = [["path", "label"], ["run/a.mp4", "1.0"], ["b.mp4", "2.0"], ["c.mp4", "1.0"], ["d.mp4", "2.0"]]
    assert [record.label for record in read_own_csv(write(videos, from_one), classes=["x", "y"]).manifest] == [*"xyxy"]
    with pytest.raises(UserError, match=r"reach from 2 to 10, but there are 2 names"):
        read_own_csv(write(videos, rows), classes=["x", "y"])


def test_only_some_classes(videos: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(videos, [*ROWS, ["c.mp4", "jump", "test", "carl"]])
    with caplog.at_level(logging.WARNING):
        found = read_own_csv(file, BY_NAME, classes=["walk", "run"]).manifest
    assert found.classes == ("walk", "run")
    assert rows_of(found) == WANTED
    assert "1 of 3 rows have other classes and were left out: jump" in caplog.text
    with pytest.raises(UserError, match=r"unknown class .* 'wlk'; did you mean walk"):
        read_own_csv(file, BY_NAME, classes=["wlk"])


def test_segments(videos: Path) -> None:
    rows = [["path", "label", "from", "to"], ["b.mp4", "run", "0", "1,5"], ["b.mp4", "walk", "1,5", ""]]
    found = read_own_csv(write(videos, rows, ";"), CsvColumns(start="from", end="to")).manifest
    assert [(record.video_id, record.start) for record in found] == [("b@0-1.5", 0.0), ("b@1.5-", 1.5)]
    assert found[0].end == 1.5


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("file,lable\nb.mp4,run\n", CsvColumns("file"), "unknown column of .* for --label 'label'; did you mean lable"),
        ("b.mp4,run\nc.mp4,run\n", CsvColumns(), "holds no names of columns but a video, b.mp4. .* --path 1 --label 2"),
        ("b.mp4 run\n", CsvColumns(), "no comma, semicolon or tab .*--delimiter space"),
        ("path,label\nb.mp4,run\n", CsvColumns(label="7"), "has 2 columns; --label 7 is none"),
        ("path,label,label\nb.mp4,run,run\n", CsvColumns(), "two columns are called 'label'"),
        ("path,label\nb.mp4,run,3\n", CsvColumns(), r"1 rows do not have 2 cells: line 2 has 3"),
        ("path,label\n", CsvColumns(), "nothing below the first line"),
        ("", CsvColumns(), "the file is empty"),
        ("path,label\nb.mp4,\nc.mp4,run\n,run\n", CsvColumns(), "2 problems:.* no path: line 4.* no label.*: line 2"),
        ("path,label,s\nb.mp4,run,trian\n", CsvColumns(split="s"), "1 rows have a split that is none.*line 2 'trian'"),
        ("path,label,s\nb.mp4,run,1:20\n", CsvColumns(start="s"), "start that is no number of seconds: line 2 '1:20'"),
        (
            "path,label\nb.mp4,run\nb.mp4,walk\n",
            CsvColumns(),
            r"1 videos have several rows that differ: b \(run, train /",
        ),
        ("path,label\nb.mp4,Run\nc.mp4,run\n", CsvColumns(), "two classes have one name"),
        (
            "path,label,s,g\nb.mp4,run,train,x\nc.mp4,run,val,x\n",
            CsvColumns(split="s", group="g"),
            "1 groups lie in more than one split: x; put each into one",
        ),
        ("path,label\nb.mp4,run\n", CsvColumns(label=""), "say which column holds the label"),
    ],
)
def test_what_is_wrong_is_said(videos: Path, text: str, columns: CsvColumns, said: str) -> None:
    with pytest.raises(UserError, match=f"(?s){said}"):
        read_own_csv(write(videos, text), columns)


def test_other_encodings_are_named(videos: Path) -> None:
    rows = [["path", "label"], ["b.mp4", "café"], ["c.mp4", "thé"], ["d.mp4", "café"]]
    file = write(videos, rows, encoding="cp1252")
    with pytest.raises(UserError, match=r"not UTF-8 text: café, thé. .*--encoding cp1252"):
        read_own_csv(file)
    assert read_own_csv(file, encoding="cp1252").manifest.classes == ("café", "thé")
    with pytest.raises(UserError, match="unknown encoding 'latin-99'"):
        read_own_csv(file, encoding="latin-99")
    with pytest.raises(UserError, match="unknown delimiter 'semi'; did you mean semicolon"):
        read_own_csv(file, delimiter="semi")


def test_a_column_that_looks_like_groups_is_named(videos: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [["path", "label", "actor"], ["run/a.mp4", "run", "x"], ["b.mp4", "run", "y"]]
    with caplog.at_level(logging.WARNING):
        read_own_csv(write(videos, rows))
    assert "has a column 'actor', which is not used; --group actor uses it" in caplog.text
    assert "no column for the split is given, so 20% of each class are held out" in caplog.text


def test_command(videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = CsvOptions("file", "action", "part", "who"), videos.parent / "m.csv"
    file = write(videos, ROWS)
    make("csv", file, out=out, table=table)
    assert rows_of(Manifest.read(out)) == WANTED
    assert "m.csv: 2 videos, 2 classes, train 1, val 1" in capsys.readouterr().out
    (videos.parent / "m.classes.csv").write_text("name,no_flip\nrun,\nwalk,1\n")
    make("csv", file, out=out, table=table)  # a mark that was made by hand stays
    assert Manifest.read(out).no_flip == {"walk"}
    for source, place, options, said in (
        ("csv", videos, table, "is a folder; class folders become a manifest by: kinema data make folder"),
        ("csv", None, table, "name the CSV once"),
        ("folder", videos, table, "go with the source 'csv'"),
        ("folder", file, CsvOptions(), "is no folder of videos; a list of your own: kinema data make csv"),
        ("cvs", file, CsvOptions(), "unknown data set 'cvs'; did you mean csv"),
    ):
        with pytest.raises(UserError, match=said):
            make(source, place, out=out, table=options)
    with pytest.raises(UserError, match="would replace the list itself"):
        make("csv", file, out=file, table=table)


def test_real_lists(shared_data: Path, tmp_path: Path) -> None:
    found = read_own_csv(shared_data / "weizmann_4c" / "clips.csv", CsvColumns(group="actor")).manifest
    assert (len(found), len(found.classes), found.count("val")) == (36, 4, 8)
    tennis = shared_data / "tennis_strokes_7c" / "clips.csv"
    found = read_own_csv(tennis, CsvColumns(split="split", group="group")).manifest
    assert (len(found), len(found.classes), found.splits) == (245, 7, ("train", "test"))
    found.validate()
    shutil.copy(tennis, tmp_path / "clips.csv")
    assert len(read_own_csv(tmp_path / "clips.csv", videos=tennis.parent).manifest) == 245
