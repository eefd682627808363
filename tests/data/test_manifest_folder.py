"""Folders as data sets."""

import logging
from pathlib import Path

import pytest

from kinema.data.folder import IMAGE_SUFFIXES
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.video.frame_folder import SUFFIXES


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def rows(manifest: Manifest) -> list[tuple[str, str, str]]:
    return [(record.video_id, record.label, record.split) for record in manifest]


def test_the_decoder_reads_every_kind_of_image_that_makes_a_frame_folder() -> None:
    assert IMAGE_SUFFIXES == SUFFIXES


def test_class_folders_hold_out_a_fifth_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, *(f"{name}/{number}.MP4" for name in ("run", "walk") for number in range(10)))
    with caplog.at_level(logging.WARNING):
        manifest = Manifest.from_folder(tmp_path)
    assert manifest.classes == ("run", "walk")
    for label in manifest.classes:
        assert sum(record.label == label and record.split == "val" for record in manifest) == 2
    assert "20% of each class are held out as val, 4 of 20 videos" in caplog.text
    assert rows(Manifest.from_folder(tmp_path)) == rows(manifest)
    assert Manifest.from_folder(tmp_path, holdout=0).splits == ("train",)
    manifest.validate()


def test_splits_above_the_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "train/run/a.mp4", "train/walk/b.avi", "Validation/run/c.mkv", "test/walk/d.webm", "lists/x.txt")
    assert rows(Manifest.from_folder(tmp_path)) == [
        ("Validation/run/c", "run", "val"),
        ("test/walk/d", "walk", "test"),
        ("train/run/a", "run", "train"),
        ("train/walk/b", "walk", "train"),
    ]
    assert not caplog.text


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.mp4", "car/b.mp4")
    assert Manifest.from_folder(tmp_path).classes == ("car", "train")


def test_frame_folders_are_videos_and_hidden_files_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "run/clip.one/1.jpg", "run/clip.one/2.jpg", "run/b.mp4", "walk/c/1.png")
    touch(tmp_path, "run/.c.mp4", ".git/x.mp4", "run/.hidden/1.jpg", "run/notes.txt", "__MACOSX/run/b.mp4")
    manifest = Manifest.from_folder(tmp_path, holdout=0)
    assert [record.video_id for record in manifest] == ["run/b", "run/clip.one", "walk/c"]
    assert manifest[1].path == str(tmp_path / "run/clip.one")


def test_folders_between_class_and_video_are_groups(tmp_path: Path) -> None:
    touch(
        tmp_path, *(f"{act}/{who}/{n}.mp4" for act in ("run", "walk") for who in ("anna", "bert", "carl") for n in "ab")
    )
    manifest = Manifest.from_folder(tmp_path)
    assert {record.group for record in manifest} == {"anna", "bert", "carl"}
    manifest.validate()  # no group lies in two splits
    assert manifest.count("val") == 4


def test_groups_of_ucf101_names(tmp_path: Path) -> None:
    touch(tmp_path, *(f"Punch/v_Punch_g{group:02d}_c{clip:02d}.mp4" for group in range(5) for clip in range(4)))
    manifest = Manifest.from_folder(tmp_path)
    assert manifest.count("val") == 4
    assert len({record.group for record in manifest if record.split == "val"}) == 1


def test_unlabelled(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a.avi", "frames/1.jpg", "frames/2.jpg")
    assert rows(Manifest.from_folder(tmp_path)) == [("a", "", "test"), ("b", "", "test"), ("frames", "", "test")]
    assert Manifest.from_folder(tmp_path).classes == ()


def test_two_files_of_one_name_are_two_videos(tmp_path: Path) -> None:
    touch(tmp_path, "run/a.mp4", "run/a.avi", "run/b.mp4")
    assert [record.video_id for record in Manifest.from_folder(tmp_path, holdout=0)] == [
        "run/a.avi",
        "run/a.mp4",
        "run/b",
    ]


def test_empty_classes_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "run/a.mp4", "walk/readme.txt")
    assert Manifest.from_folder(tmp_path).classes == ("run",)
    assert "no videos in walk" in caplog.text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["run/notes.txt"], "no videos found"),
        (["run/a.mp4", "b.mp4"], "1 videos lie beside the class folders (b.mp4)"),
        (["train/a.mp4", "test/b.mp4"], "1 videos lie beside the class folders"),
        (["train/Run/a.mp4", "test/run/b.mp4"], "two classes have one name ('Run' = 'run')"),
        (["café/a.mp4", "cafe\u0301/b.mp4"], "two classes have one name"),
        (["set1.csv"], "name the file"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        Manifest.from_folder(touch(tmp_path, *names))
    assert said in str(caught.value)
    with pytest.raises(UserError, match="no such folder"):
        Manifest.from_folder(tmp_path / "absent")


def test_real_folders(shared_data: Path) -> None:
    typing = Manifest.from_folder(shared_data / "typing_exercise")
    assert (len(typing), typing.classes) == (69, ("doing_exercises", "typing"))
    assert typing.splits == ("train", "val", "test")
    weizmann = Manifest.from_folder(shared_data / "weizmann_4c")
    assert (len(weizmann), weizmann.count("val")) == (36, 8)
    assert [record.label for record in Manifest.from_folder(shared_data / "frames_demo" / "raivokoot", holdout=0)] == [
        "jumping",
        "jumping",
        "running",
        "running",
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["set/run/a.mp4", "set/walk/b.mp4"], "in it are run, walk. If these are the classes or splits, give {}/set"),
        (["set/train/run/a.mp4", "set/val/run/b.mp4"], "in it are train, val. If these .* give {}/set"),
        (["x/set/run/a.mp4", "x/set/walk/b.mp4"], "all videos lie below one folder, {}/x/set,"),
        (["train/set/run/a.mp4", "train/set/walk/b.mp4", "val/set/run/c.mp4"], "move them into {}/train"),
        (["train/run/a.mp4", "val/run/b.mp4", "more/c.mp4"], "more with videos lies beside the splits train, val"),
    ],
)
def test_classes_at_the_wrong_depth_are_refused(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said.format(tmp_path)):
        Manifest.from_folder(touch(tmp_path, *names))


def test_splits_below_the_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "run/train/a.mp4", "run/test/anna/b.mp4", "walk/train/c.mp4", "walk/Val/d.mp4")
    assert [(record.label, record.split, record.group) for record in Manifest.from_folder(tmp_path)] == [
        ("run", "test", "anna"),
        ("run", "train", ""),
        ("walk", "val", ""),
        ("walk", "train", ""),
    ]
    touch(tmp_path, "run/e.mp4")
    with caplog.at_level(logging.WARNING):
        assert Manifest.from_folder(tmp_path, holdout=0).splits == ("train",)
    assert "test, train, val below the classes count as groups" in caplog.text
