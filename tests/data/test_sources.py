"""What all data sets have in common: finding videos, missing ones, restricting classes, the command."""

import logging
from pathlib import Path

import pytest

from kinema.cli.data_make import make
from kinema.data.manifest import Manifest
from kinema.data.sources.files import FileIndex
from kinema.data.sources.listing import Entry, class_key, mirrored
from kinema.data.sources.make import MissingVideosError, make_manifests
from kinema.data.sources.table import names_with_lists
from kinema.errors import UserError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture
def ucf(tmp_path: Path) -> Path:
    """A UCF101 of three classes and one split, lists and videos in one folder."""
    names = {"Archery": 1, "Punch": 2, "YoYo": 3}
    (tmp_path / "classInd.txt").write_text("".join(f"{number} {name}\r\n" for name, number in names.items()))
    train = [f"{name}/v_{name}_g08_c0{clip}.avi {number}" for name, number in names.items() for clip in (1, 2)]
    test = [f"{name}/v_{name}_g01_c01.avi" for name in names]
    (tmp_path / "trainlist01.txt").write_text("\n".join(train) + "\n")
    (tmp_path / "testlist01.txt").write_text("\n".join(test) + "\n")
    return touch(tmp_path, *(line.split()[0] for line in train + test))


@pytest.mark.parametrize("there", ["b/x.webm", "b/x.mkv", "x.mp4", "val/b/x.mp4", "B_/x.avi", "b/x/1.jpg"])
def test_videos_are_found_wherever_they_lie(tmp_path: Path, there: str) -> None:
    touch(tmp_path, there, "other/y.mp4", "b/x.txt", ".hidden/x.mp4")
    found = FileIndex(tmp_path).find(Entry("x", ("b/x.webm",), "b", "val"))
    assert found == there.removesuffix("/1.jpg")
    assert FileIndex(tmp_path).find(Entry("z", ("b/z.webm",), "b", "val")) is None


def test_of_two_files_with_one_name_class_and_split_decide(tmp_path: Path) -> None:
    touch(tmp_path, "train/air_drumming/x.mp4", "val/air_drumming/x.mp4", "val/yoga/x.mp4")
    index = FileIndex(tmp_path)
    assert index.find(Entry("x", ("x",), "air drumming", "val")) == "val/air_drumming/x.mp4"
    assert index.find(Entry("x", ("x",), "yoga", "train")) == "val/yoga/x.mp4"
    touch(tmp_path, "val/more/air_drumming/x.mp4")
    with pytest.raises(UserError, match=r"video x could be any of val/air_drumming/x.mp4, val/more"):
        FileIndex(tmp_path).find(Entry("x", ("x",), "air drumming", "val"))


def test_a_folder_named_like_a_video_needs_frames(tmp_path: Path) -> None:
    touch(tmp_path, "7/notes.txt", "deeper/7.webm")
    assert FileIndex(tmp_path).find(Entry("7", ("7",), "a", "train")) == "deeper/7.webm"


def test_mirrored_classes_come_in_pairs() -> None:
    names = ["Swiping Left", "Swiping_Right", "pulling it right out", "Turning Clockwise", "turning counterclockwise"]
    assert mirrored([*names, "Left"]) == {"Swiping Left", "Swiping_Right", "Turning Clockwise", names[-1]}
    assert class_key("Air_drumming (loud)") == class_key("air drumming loud")


def test_restricted_classes_keep_the_official_order(ucf: Path) -> None:
    made = make_manifests("ucf101", videos=ucf, annotations=ucf, classes=["YoYo", "archery"])
    manifest = made.manifests["ucf101-split1"]
    assert manifest.classes == ("Archery", "YoYo")
    assert sorted(set(manifest.labels.tolist())) == [0, 1]
    with pytest.raises(UserError, match="unknown class of ucf101-split1 'Pnuch'; did you mean Punch"):
        make_manifests("ucf101", videos=ucf, annotations=ucf, classes=["Pnuch"])


def test_missing_videos(ucf: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("Punch/v_Punch_g08_c02.avi", "YoYo/v_YoYo_g01_c01.avi"):
        (ucf / name).unlink()
    with pytest.raises(MissingVideosError, match=r"2 of the 9 listed videos are not in .*--missing drop") as caught:
        make_manifests("ucf101", videos=ucf, annotations=ucf)
    assert caught.value.missing == ["v_Punch_g08_c02", "v_YoYo_g01_c01"]
    with caplog.at_level(logging.WARNING):
        made = make_manifests("ucf101", videos=ucf, annotations=ucf, missing="drop")
    assert "2 of the 9 listed videos" in caplog.text
    assert made.missing == caught.value.missing
    assert len(made.manifests["ucf101-split1"]) == 7
    made.manifests["ucf101-split1"].validate()
    # videos of classes that are not wanted are not missed
    assert make_manifests("ucf101", videos=ucf, annotations=ucf, classes=["Archery"]).missing == []
    (tmp_path / "none").mkdir()
    with pytest.raises(MissingVideosError, match="none of the 9 listed videos is in"):
        make_manifests("ucf101", videos=tmp_path / "none", annotations=ucf, missing="drop")


def test_repeated_lines_are_counted_once(ucf: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = (ucf / "trainlist01.txt").read_text()
    (ucf / "trainlist01.txt").write_text(lines + lines.splitlines()[0] + "\n")
    assert len(make_manifests("ucf101", videos=ucf, annotations=ucf).manifests["ucf101-split1"]) == 9
    assert "1 repeated lines" in caplog.text
    (ucf / "testlist01.txt").write_text(lines)
    with pytest.raises(UserError, match="6 video_ids appear more than once"):
        make_manifests("ucf101", videos=ucf, annotations=ucf)


def test_command(ucf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("ucf101", ucf, out=tmp_path / "out")
    assert "ucf101-split1.csv: 9 videos, 3 classes, train 6, test 3" in capsys.readouterr().out
    assert len(Manifest.read(tmp_path / "out" / "ucf101-split1.csv")) == 9
    make("ucf101", videos=ucf, annotations=ucf, classes="YoYo, Punch", out=tmp_path / "two")
    assert Manifest.read(tmp_path / "two" / "ucf101-split1.csv").classes == ("Punch", "YoYo")
    (tmp_path / "wanted.txt").write_text("Archery\nYoYo\n")
    make("ucf101", ucf, classes=str(tmp_path / "wanted.txt"), out=tmp_path / "file")
    assert Manifest.read(tmp_path / "file" / "ucf101-split1.csv").classes == ("Archery", "YoYo")
    make("folder", ucf, out=tmp_path / "folder" / "all.csv")
    assert len(Manifest.read(tmp_path / "folder" / "all.csv")) == 9


def test_command_lists_missing_videos_in_a_file(ucf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    gone = ucf / "YoYo/v_YoYo_g01_c01.avi"
    gone.unlink()
    with pytest.raises(UserError, match=r"All are listed in .*missing.txt"):
        make("ucf101", ucf, out=out)
    assert [path.name for path in out.iterdir()] == ["missing.txt"]
    assert (out / "missing.txt").read_text() == "v_YoYo_g01_c01\n"
    make("ucf101", ucf, missing="drop", out=out)
    assert (out / "missing.txt").exists()
    gone.touch()
    make("ucf101", ucf, out=out)
    assert not (out / "missing.txt").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"source": "ufc101", "folder": Path()}, "unknown data set 'ufc101'; did you mean ucf101"),
        ({"source": "ucf101"}, "say once where the videos are"),
        ({"source": "folder", "folder": Path(), "classes": "a"}, "go with an official data set"),
        ({"source": "ucf101", "folder": Path("no/such")}, "no/such: no such folder"),
        ({"source": "ucf101", "folder": Path(), "out": Path("x.csv")}, "--out must be a folder"),
    ],
)
def test_command_says_what_is_wrong(tmp_path: Path, words: dict, said: str) -> None:
    with pytest.raises(UserError) as caught:
        make(**{"out": tmp_path / "out", **words})
    assert said in str(caught.value)


def test_help_names_every_data_set() -> None:
    described = " ".join((make.__doc__ or "").split())
    assert f"Data sets: {', '.join(names_with_lists())}." in described
