"""Packing: the same frames in the same order whatever the original is, resumable, as files and in archives."""

import re
import tarfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from make_videos import numbered_frames, read_numbers, write_video

from kinema.cli.main import run
from kinema.data.manifest import Manifest, Record
from kinema.derived.pack import PackResult, pack
from kinema.derived.pack_video import Packing, read_packed, scaled_size
from kinema.errors import UserError
from kinema.video.open import open_video
from kinema.video.packet_index import read_packet_index


def write_set(folder: Path, videos: dict[str, int | bytes]) -> Path:
    """Videos of so many frames, or files with these bytes; a folder of one class."""
    (folder / "a").mkdir(parents=True)
    for name, content in videos.items():
        path = folder / "a" / f"{name}.mp4"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            write_video(path, numbered_frames(content), gop=50)
    return folder


def packed(data: Path | Manifest, out: Path, *, shard_videos: int = 0, url: str = "", **how: int) -> PackResult:
    return pack(data, out, **how, shard_videos=shard_videos, url=url, num_workers=0)


def numbers_of(path: str) -> list[int]:
    with open_video(path) as video:
        return read_numbers(video.frames_at(range(len(video))).pixels)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_frames_keep_their_order_and_times_whatever_the_original_is(tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "a"
    folder.mkdir(parents=True)
    times = np.cumsum([40, 70, 33, 110] * 5).tolist()
    milliseconds = Fraction(1, 1000)
    write_video(folder / "uneven.mkv", numbered_frames(20), times=times, time_base=milliseconds, gop=50)
    write_video(folder / "turned.mp4", np.rot90(numbered_frames(12), 1, (1, 2)), rotation=-90)
    write_video(folder / "odd.mkv", numbered_frames(12, 49, 65), codec="ffv1", pix_fmt="yuv444p")
    write_video(folder / "sound.mp4", numbered_frames(12), fps=Fraction(30000, 1001), audio=True)
    write_video(folder / "one.mp4", numbered_frames(1))
    made = packed(tmp_path / "videos", tmp_path / "out")
    assert made.manifest is not None
    originals = {record.video_id: record for record in Manifest.open(tmp_path / "videos")}
    for record in Manifest.read(made.manifest):
        with open_video(originals[record.video_id].path) as before, open_video(record.path) as after:
            assert len(after) == len(before) == record.num_frames, record.video_id
            wanted, got = before.frames_at(range(len(before))), after.frames_at(range(len(after)))
            assert read_numbers(got.pixels) == list(range(len(before))), record.video_id
            np.testing.assert_allclose(got.times_sec, wanted.times_sec, atol=1e-4)
            assert after.size == tuple(side - side % 2 for side in before.size)
            if "uneven" in record.video_id:
                assert (after.fps, record.fps) == pytest.approx((before.fps, before.fps), rel=1e-4)
            else:
                assert (after.fps, record.fps) == (before.fps, before.fps)


def test_a_frame_folder_has_the_rate_of_its_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "a"
    folder.mkdir(parents=True)
    for number, frame in enumerate(numbered_frames(12)):
        cv2.imwrite(str(folder / f"{number:03}.png"), frame)
    made = packed(
        Manifest.from_records([Record("v", str(folder), fps=10.0)], classes=[], root=tmp_path), tmp_path / "out"
    )
    record = Manifest.read(made.manifest or "")[0]
    with open_video(record.path) as video:
        assert record.fps == video.fps == 10.0
        np.testing.assert_allclose(video.frame_times(), np.arange(12) / 10, atol=1e-4)


def test_every_frame_is_near_a_key_frame_and_sound_is_gone(tmp_path: Path) -> None:
    write_set(tmp_path / "videos", {"long": 30})
    made = packed(tmp_path / "videos", tmp_path / "out", key_every=4)
    record = Manifest.read(made.manifest or "")[0]
    from kinema.video.cursor import FrameCursor

    cursor = FrameCursor(Path(record.path), 1)
    assert [stream.type for stream in cursor.container.streams] == ["video"]
    assert cursor.stream.codec_context.has_b_frames  # a reader skips those it does not want
    index = read_packet_index(cursor.container, cursor.stream)
    cursor.close()
    assert max(np.diff([*index.key_positions, 30])) <= 4
    assert index.key_positions[0] == 0


def test_the_short_side_shrinks_and_never_grows(tmp_path: Path) -> None:
    assert scaled_size((480, 853), 256) == (256, 454)
    assert scaled_size((853, 480), 256) == (454, 256)
    assert scaled_size((121, 161), 256) == (121, 161)
    assert scaled_size((480, 853), 0) == (480, 853)
    write_set(tmp_path / "videos", {"v": 3})
    made = packed(tmp_path / "videos", tmp_path / "out", short_side=24)
    with open_video(Manifest.read(made.manifest or "")[0].path) as video:
        assert video.size == (24, 32)
    with pytest.raises(UserError, match="even number"):
        Packing(short_side=255)


@pytest.mark.parametrize(
    ("short_side", "level"),
    [(0, 0.6), (120, 1.3)],  # FFmpeg's conversion to RGB darkens frames that keep their size, such as a packed video's
)
def test_pixels_are_close_to_the_scaled_original(
    tmp_path: Path, shared_data: Path, short_side: int, level: float
) -> None:
    source = shared_data / "labelled_clips" / "v_SoccerJuggling_g23_c01.avi"
    manifest = Manifest.from_records([Record("v", str(source), end=1.0)], classes=[], root=tmp_path)
    made = packed(manifest, tmp_path / "out", short_side=short_side)
    packed_path = Manifest.read(made.manifest or "")[0].path
    with open_video(source, short_side=short_side or None) as before, open_video(packed_path) as after:
        assert after.size == ((120, 160) if short_side else before.size)
        frames = np.arange(0, len(after), 5)
        error = before.frames_at(frames).pixels.astype(float) - after.frames_at(frames).pixels
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 33
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < level  # no colour is shifted


def test_segments_are_cut_out(tmp_path: Path) -> None:
    videos = write_set(tmp_path / "videos", {"v": 20})
    records = [Record("whole", "a/v.mp4", "a"), Record("part", "a/v.mp4", "a", start=0.2, end=0.4, group="g")]
    made = packed(Manifest.from_records(records, classes=["a"], root=videos), tmp_path / "out")
    whole, part = Manifest.read(made.manifest or "")
    assert numbers_of(whole.path) == list(range(20))
    assert numbers_of(part.path) == [5, 6, 7, 8, 9]
    assert (part.num_frames, part.group, np.isnan(part.start)) == (5, "g", True)


@pytest.mark.parametrize("shard_videos", [0, 2])
def test_a_second_run_packs_nothing_and_damage_is_mended(tmp_path: Path, shard_videos: int) -> None:
    videos = write_set(tmp_path / "videos", {"x": 5, "y": 6, "z": 7, "junk": b"no video" * 99})
    first = packed(videos, tmp_path / "out", shard_videos=shard_videos)
    assert (first.num_videos, first.num_found, first.num_frames) == (3, 0, 18)
    assert [video.video_id for video in first.bad] == ["a/junk"]
    before = contents(tmp_path / "out")
    again = packed(videos, tmp_path / "out", shard_videos=shard_videos)
    assert (again.num_videos, again.num_found, again.num_frames) == (3, 3, 0)
    assert again.bad == first.bad
    assert contents(tmp_path / "out") == before
    victim = sorted(path for path in (tmp_path / "out").rglob("*") if path.suffix in (".mp4", ".tar"))[-1]
    victim.unlink()
    packed(videos, tmp_path / "out", shard_videos=shard_videos)
    assert contents(tmp_path / "out") == before
    with pytest.raises(UserError, match="made with crf 20, not 30"):
        packed(videos, tmp_path / "out", shard_videos=shard_videos, crf=30)


def test_archives_are_plain_and_splits_share_them(tmp_path: Path) -> None:
    videos = write_set(tmp_path / "videos", {"x": 5, "y": 6, "z": 7})
    every = Manifest.open(videos).with_splits(["train", "train", "test"])
    every.select(indices=[0, 1]).write(videos / "split1.csv")
    every.select(indices=[1, 2]).write(videos / "split2.csv")
    first = packed(videos / "split1.csv", tmp_path / "out", shard_videos=1)
    second = packed(videos / "split2.csv", tmp_path / "out", shard_videos=1)
    assert (first.num_frames, second.num_frames) == (11, 7)
    assert [record.path for record in Manifest.read(second.manifest or "")] == [
        str(tmp_path / "out" / "shards" / "split1-000001.tar" / "a" / "y.mp4"),
        str(tmp_path / "out" / "shards" / "split2-000000.tar" / "a" / "z.mp4"),
    ]
    for manifest in (first.manifest, second.manifest):
        assert [numbers_of(record.path) for record in Manifest.read(manifest or "")] == [
            list(range(record.num_frames)) for record in Manifest.read(manifest or "")
        ]
    with tarfile.open(tmp_path / "out" / "shards" / "split1-000000.tar", "r:") as tar:
        assert tar.getnames() == ["a/x.mp4"]
    with pytest.raises(UserError, match="holds other videos"):
        packed(videos / "split1.csv", tmp_path / "out", shard_videos=2)


def test_launched_processes_share_the_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = write_set(tmp_path / "videos", dict.fromkeys("pqrst", 4))
    alone = packed(videos, tmp_path / "alone", shard_videos=2)
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, expected in ((0, 3), (1, 2)):
        monkeypatch.setenv("RANK", str(rank))
        assert packed(videos, tmp_path / "out", shard_videos=2).num_videos == expected
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert Manifest.read(alone.manifest or "").digest() == Manifest.read(tmp_path / "out" / "packed.csv").digest()


def test_the_command_lists_bad_videos_and_its_work_can_be_scanned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = write_set(tmp_path / "videos", {"good": 6, "empty": b""})
    words = ["data", "pack", "--data", str(videos), "--out", str(tmp_path / "out"), "--shard-videos", "9"]
    assert run([*words, "--url", "memory://set", "--num-workers", "1"]) == 1
    shown = capsys.readouterr()
    assert "1 of 2 videos cannot be read; the others are packed" in shown.err
    assert re.search(r"^a/empty\t.*empty file", shown.out, re.MULTILINE)
    remote = Manifest.read(tmp_path / "out" / "packed-remote.csv")[0]
    assert remote.path == "memory://set/shards/packed-000000.tar/a/good.mp4"
    assert run(["data", "scan", str(tmp_path / "out" / "packed.csv"), "--num-workers", "1"]) == 0
    assert Manifest.read(tmp_path / "out" / "packed.csv")[0].num_frames == 6
    assert run([*words, "--url", "here"]) == 1
    assert "--url must begin with a protocol" in capsys.readouterr().err


def test_the_head_tells_how_a_video_was_packed(tmp_path: Path) -> None:
    write_set(tmp_path / "videos", {"v": 5})
    packed(tmp_path / "videos", tmp_path / "out", crf=25)
    head = read_packed(tmp_path / "out" / "a" / "v.mp4")
    assert (head.num_frames, head.fps, head.made["crf"], head.made["source"]) == (5, 25.0, 25, "a/v")
