"""Scanning: what can be decoded, how many frames it has, and all that is bad at once."""

import threading
from pathlib import Path

import pytest
from make_videos import numbered_frames, write_audio_only, write_video

from kinema.cli.data import scan as scan_command
from kinema.data.manifest import Manifest, Record
from kinema.data.scan import bad_videos_error, check, scan, without
from kinema.errors import UserError
from kinema.video import open as open_module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three good videos, one of them a folder of frames, and four bad ones."""
    import cv2

    write_video(tmp_path / "ten.mp4", numbered_frames(10), fps=25)
    write_video(tmp_path / "seven.avi", numbered_frames(7), fps=12.5, codec="mpeg4")
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(numbered_frames(3)):
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), frame)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 20)
    write_audio_only(tmp_path / "sound.mp4")
    return tmp_path


def manifest_of(folder: Path, *names: str, fps: float = 0.0) -> Manifest:
    records = [Record(Path(name).stem, name, "run", fps=fps) for name in names]
    return Manifest.from_records(records, classes=["run"], root=folder)


ALL = ("ten.mp4", "empty.mp4", "seven.avi", "text.mp4", "frames", "sound.mp4", "gone.mp4")


def test_the_backend_is_named_once_by_however_many_threads(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_module._file_backend.cache_clear()
    with caplog.at_level("INFO", logger="kinema"):
        check(manifest_of(folder, *ALL), num_workers=8)
    assert [record.message.partition(" PyAV")[0] for record in caplog.records] == ["video files are read with"]


def test_scan_counts_the_good_and_lists_the_bad(folder: Path) -> None:
    done: list[int] = []
    found = scan(manifest_of(folder, *ALL), num_workers=3, progress=done.append)
    counted, bad = found.manifest, found.bad
    assert {record.video_id: record.num_frames for record in counted} == {
        "ten": 10,
        "seven": 7,
        "frames": 3,
        "empty": 0,
        "text": 0,
        "sound": 0,
        "gone": 0,
    }
    assert [counted[row].fps for row in (0, 2)] == pytest.approx([25, 12.5])
    assert [video.video_id for video in bad] == ["empty", "text", "sound", "gone"]
    assert all(video.path == str(folder / f"{video.video_id}.mp4") for video in bad)
    assert "empty" in bad[0].reason
    assert len({video.reason for video in bad}) == 4
    assert sum(done) == len(ALL)


def test_the_number_of_workers_changes_nothing(folder: Path) -> None:
    one, many = (scan(manifest_of(folder, *ALL), num_workers=number) for number in (1, 8))
    assert [str(record) for record in one.manifest] == [str(record) for record in many.manifest]
    assert one.bad == many.bad


def test_rows_of_one_file_decode_it_once_and_segments_must_lie_inside(folder: Path) -> None:
    records = [
        Record("first", "ten.mp4", start=0.0, end=0.2),
        Record("last", "ten.mp4", start=0.2),
        Record("after", "ten.mp4", start=0.4, end=0.6),
    ]
    done: list[int] = []
    found = scan(Manifest.from_records(records, classes=[], root=folder), progress=done.append)
    counted, bad = found.manifest, found.bad
    assert sum(done) == 1
    assert [record.num_frames for record in counted] == [10, 10, 10]
    assert [(video.video_id, video.reason) for video in bad] == [
        ("after", "the segment starts at 0.4 s, the last frame is shown at 0.36 s")
    ]


def test_frame_folders_keep_the_rate_that_the_manifest_knows(folder: Path) -> None:
    counted = scan(manifest_of(folder, "frames", "ten.mp4", fps=12.0)).manifest
    assert [record.fps for record in counted] == [12.0, 25.0]


def test_check_opens_every_file(folder: Path) -> None:
    assert [video.video_id for video in check(manifest_of(folder, *ALL))] == ["empty", "text", "sound", "gone"]
    assert check(manifest_of(folder, "ten.mp4", "frames")) == []


def test_leaving_bad_videos_out(folder: Path) -> None:
    manifest = manifest_of(folder, *ALL)
    bad = check(manifest)
    assert [record.video_id for record in without(manifest, bad)] == ["ten", "seven", "frames"]
    error = bad_videos_error(manifest, bad, "Use --skip-bad.")
    assert "4 of 7 videos cannot be read" in str(error)
    assert str(error).count("\n  - ") == 4
    assert str(error).endswith("Use --skip-bad.")
    with pytest.raises(UserError, match="not one of the 1 videos can be read"):
        without(manifest_of(folder, "empty.mp4"), check(manifest_of(folder, "empty.mp4")))


def test_stopping_does_not_wait_for_the_rest(folder: Path) -> None:
    def stop(num_files: int) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        scan(manifest_of(folder, *ALL), num_workers=1, progress=stop)
    assert threading.active_count() == before


def test_command_keeps_bad_rows_unless_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest_of(folder, *ALL).write(folder / "m.csv")
    with pytest.raises(UserError, match=r"4 of 7 videos cannot be read.*--skip-bad"):
        scan_command(folder / "m.csv")
    said = capsys.readouterr()
    assert f"empty\t{folder / 'empty.mp4'}\t" in said.out
    assert "files/s" in said.err
    assert [record.num_frames for record in Manifest.read(folder / "m.csv")] == [10, 0, 7, 0, 3, 0, 0]
    scan_command(folder / "m.csv", out=folder / "good.csv", skip_bad=True)
    assert "4 bad videos left out, 3 are left" in capsys.readouterr().err
    assert [record.num_frames for record in Manifest.read(folder / "good.csv")] == [10, 7, 3]
    assert len(Manifest.read(folder / "m.csv")) == 7


def test_command_names_videos_with_another_number_of_frames(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [Record("ten", "ten.mp4", "run", num_frames=12), Record("seven", "seven.avi", "run", num_frames=7)]
    Manifest.from_records(records, classes=["run"], root=folder).write(folder / "m.csv")
    scan_command(folder / "m.csv")
    said = capsys.readouterr().err
    assert "1 videos have another number of frames than before" in said
    assert "  - ten: 10 frames can be decoded, the manifest had 12\n" in said
    scan_command(folder / "m.csv")
    assert "number of frames" not in capsys.readouterr().err


def test_command_on_a_folder_writes_only_where_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("empty.mp4", "text.mp4", "sound.mp4"):
        (folder / name).unlink()
    before = sorted(folder.iterdir())
    scan_command(folder)
    assert "3 good videos with 20 frames; --out FILE.csv keeps the counts" in capsys.readouterr().out
    assert sorted(folder.iterdir()) == before
    scan_command(folder, out=folder / "lists" / "m.csv")
    assert [record.num_frames for record in Manifest.read(folder / "lists" / "m.csv")] == [7, 10, 3]


def test_real_difficult_files(shared_data: Path) -> None:
    folder = shared_data / "decode_assets" / "derived"
    found = scan(Manifest.open(folder))
    counted, bad = found.manifest, found.bad
    assert [video.video_id for video in bad] == ["audio_only", "empty", "random_bytes", "truncated_no_moov"]
    frames = {record.video_id: record.num_frames for record in counted}
    assert [frames[f"frames_{number}"] for number in (1, 2, 3, 5)] == [1, 2, 3, 5]
    assert (frames["vfr_160x120"], frames["stream_copy_cut_editlist"]) == (81, 92)
