"""Everything that can be wrong with a manifest, in one message."""

from pathlib import Path

import pytest

from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError

HEADER = "video_id,path,label,split,num_frames,fps,start,end,group\n"


def write(folder: Path, text: str, classes: str | None = "name,no_flip\nrun,\nwalk,1\n") -> Path:
    (folder / "m.csv").write_text(text)
    if classes is not None:
        (folder / "classes.csv").write_text(classes)
    return folder / "m.csv"


def message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        Manifest.read(path).validate()
    return str(caught.value)


def test_everything_at_once(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").touch()
    text = message(
        write(
            tmp_path,
            HEADER
            + "a,there.mp4,run,train,10,25,,,g1\n"
            + "a,gone.mp4,runn,test,10,25,,,g1\n"
            + "b,there.mp4,walk,trian,ten,25,,,\n"
            + "c,there.mp4,walk,train,-1,nan,5,4,\n"
            + ",there.mp4,walk,train\n"
            + "d,there.mp4,12,train,,,-1,,\n",
        )
    )
    for part in (
        "m.csv: 12 problems:",
        "1 rows do not have 9 columns: 4 (row 5)",
        "1 splits are not among train, val, test: 'trian' (row 3)",
        "2 labels are not among the 2 classes of "
        + str(tmp_path / "classes.csv")
        + ": 'runn' (row 2), '12' (row 6); correct",
        "1 values of num_frames are no whole numbers: 'ten' (row 3)",
        "1 video_ids appear more than once: a",
        "1 rows have no video_id: row 5",
        "1 rows have a negative num_frames: c",
        "1 rows have an fps that is negative or not finite: c",
        "1 rows have a start or end that is negative or infinite: d",
        "1 rows have a start that is not before the end: c",
        "1 groups lie in more than one split: g1",
        "1 of 6 files are missing: " + str(tmp_path / "gone.mp4"),
    ):
        assert part in text, part
    assert text.count("\n  - ") == 12


@pytest.mark.parametrize(
    ("text", "classes", "said"),
    [
        ("", None, "the first line must name the columns; missing: video_id, path, label, split"),
        (HEADER, None, "no videos"),
        (
            "video_id,path,label,split,colour\n",
            None,
            "unknown columns: 'colour'; allowed: video_id, path,",
        ),
        ("video_id,path,label,split,path\n", None, "columns given twice: path"),
        ("a.mp4 0\nb.mp4 1\n", None, "missing: video_id"),
        (HEADER, "name,no_flip\nRun,\nrun,\n", "two classes have one name ('Run' = 'run'); rename or merge them"),
        (HEADER, "name,no_flip\ncafé,\ncafe\u0301,\n", "two classes have one name"),
        (HEADER, "name,no_flip\n  ,\n", "a class has an empty name"),
        (HEADER, "name,no_flip\nrun,maybe\n", "no_flip must be empty, 0 or 1"),
        (HEADER, "run\nwalk\n", "whose first line must be name,no_flip; it is run. Correct it, or rename"),
    ],
)
def test_one_mistake_one_message(tmp_path: Path, text: str, classes: str | None, said: str) -> None:
    assert said in message(write(tmp_path, text, classes))


def test_labels_that_differ_only_in_case_are_no_two_classes(tmp_path: Path) -> None:
    text = "video_id,path,label,split\na,a.mp4,Run,train\nb,b.mp4,run,train\n"
    with pytest.raises(UserError, match="two classes have one name"):
        Manifest.read(write(tmp_path, text, None)).validate(check_files=False)


def test_many_offenders_are_counted_and_some_named(tmp_path: Path) -> None:
    rows = "".join(f"v{n:03d},gone{n:03d}.mp4,run,train,,,,,\n" for n in range(300))
    text = message(write(tmp_path, HEADER + rows))
    assert "300 of 300 files are missing" in text
    assert "gone004.mp4 and 295 more" in text


def test_files_are_checked_only_when_asked(tmp_path: Path) -> None:
    manifest = Manifest.read(write(tmp_path, HEADER + "a,gone.mp4,run,train,,,,,\n"))
    manifest.validate(check_files=False)
    with pytest.raises(UserError, match="1 of 1 files are missing"):
        manifest.validate()


def test_classes_file_is_no_manifest(tmp_path: Path) -> None:
    write(tmp_path, HEADER)
    with pytest.raises(UserError, match="lists the classes; give the manifest CSV"):
        Manifest.read(tmp_path / "classes.csv")


def test_records_with_wrong_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown label of video 'a' 'runn'; did you mean run"):
        Manifest.from_records([Record("a", "a.mp4", "runn")], classes=["run"], root=tmp_path)
    with pytest.raises(UserError, match="unknown split of video 'a' 'training'; did you mean train"):
        Manifest.from_records([Record("a", "a.mp4", "run", split="training")], classes=["run"], root=tmp_path)


def test_binary_file_named_csv(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(bytes(range(256)) * 8)
    with pytest.raises(UserError, match=r"m.csv"):
        Manifest.read(tmp_path / "m.csv")
