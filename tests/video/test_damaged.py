"""Damaged streams: counted by a scan, and read the same way by a seek, from the start and by several threads."""

import random

import numpy as np
import pytest
from make_videos import numbered_frames, write_video
from video_kinds import open_by_walk

from kinema.cli.main import run
from kinema.data.dataset import open_record
from kinema.data.manifest import Manifest, Record
from kinema.data.scan import scan
from kinema.video.open import open_video

NUM_FRAMES = 61


def noisy_frames():
    """Numbered frames with noise, so that packets are large enough for damage to hit pictures rather than heads."""
    noise = np.random.default_rng(0).integers(-20, 20, (NUM_FRAMES, 48, 64, 1))
    return np.clip(numbered_frames(NUM_FRAMES).astype(int) + noise, 0, 255).astype(np.uint8)


def damaged(path, seed, num_flips=2):
    """Turn around some bits in the pictures of an MP4."""
    rng = random.Random(seed)
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 800  # behind the first picture, so that one frame stands for certain
    for _ in range(num_flips):
        data[rng.randrange(begin, begin + (len(data) - begin) * 8 // 10)] ^= 1 << rng.randrange(8)
    target = path.with_stem(f"{path.stem}-{seed}")
    target.write_bytes(data)
    return target


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    options = {"bf": "2", "x264-params": "scenecut=0"}
    return write_video(folder / "clean.mp4", noisy_frames(), gop=12, options=options)


@pytest.mark.parametrize("seed", range(8))
def test_a_seek_gives_the_frame_of_the_sequential_read(clean, seed):
    path = damaged(clean, seed)
    with open_video(path) as video:
        num_frames = video.count_frames()
        sequential = video.frames_at(range(num_frames)).pixels
    for index in range(0, num_frames, 5):
        with open_video(path, num_frames=num_frames) as video:
            assert np.array_equal(video.frames_at([index]).pixels[0], sequential[index]), index
    some = list(range(3, num_frames, 7))
    with open_video(path, num_frames=num_frames) as video:
        for chunk in (some[:4], some[4:]):
            assert np.array_equal(video.frames_at(chunk).pixels, sequential[chunk])
    with open_video(path, num_frames=num_frames, threads=4) as video:
        assert np.array_equal(video.frames_at(range(num_frames)).pixels, sequential)


def test_a_scan_counts_damaged_frames(clean):
    paths = [clean, *(damaged(clean, seed, num_flips=6) for seed in (11, 12))]
    records = [Record(path.stem, path.name) for path in paths]
    found = scan(Manifest.from_records(records, classes=[], root=clean.parent))
    assert found.bad == []
    assert [video.video_id for video in found.damaged] == [path.stem for path in paths[1:]]
    assert all("frames are damaged" in video.reason for video in found.damaged)


def test_frames_with_gaps_between_them_are_read_without_starting_again(clean):
    decoded = []
    with open_by_walk(clean, num_frames=NUM_FRAMES) as video:
        cursor = video._walk.cursor
        plain = cursor.decode
        cursor.decode = lambda packet, **options: [decoded.append(packet.pts), plain(packet, **options)][1]
        for first in range(0, 60, 12):
            video.frames_at(range(first, first + 12, 3))
    assert len(decoded) < 1.6 * NUM_FRAMES, "each request decoded its group of pictures again"


def test_a_request_decodes_its_own_part_of_a_video(clean):
    with open_by_walk(clean, num_frames=NUM_FRAMES) as video:
        decoded = []
        cursor = video._walk.cursor
        plain = cursor.decode
        cursor.decode = lambda packet, **options: [decoded.append(packet.pts), plain(packet, **options)][1]
        for first in (0, 12, 5, 24):
            decoded.clear()
            video.frames_at([first, first + 4, first + 8])
            assert len(decoded) < 25, "one request decoded on to the end of the video"


@pytest.mark.parametrize("percent", [30, 60, 77, 89])
def test_several_threads_lose_no_frame_around_a_damaged_packet(tmp_path, percent):
    options = {"bf": "2", "x264-params": "scenecut=0:slices=4:aud=1"}
    path = write_video(tmp_path / "zeros.mkv", noisy_frames(), gop=12, options=options)
    data = bytearray(path.read_bytes())
    begin = len(data) * percent // 100
    data[begin : begin + 500] = bytes(500)
    path.write_bytes(data)
    with open_video(path) as video:
        num_frames = video.count_frames()
        sequential = video.frames_at(range(num_frames)).pixels
    with open_video(path, threads=4) as video:
        assert video.count_frames() == num_frames
    with open_video(path, num_frames=num_frames, threads=4) as video:
        assert np.array_equal(video.frames_at(range(num_frames)).pixels, sequential)


def test_a_video_known_to_be_damaged_is_read_from_its_start(clean):
    path = damaged(clean, 11, num_flips=6)
    record = Record("v", path.name)
    counted = scan(Manifest.from_records([record], classes=[], root=clean.parent)).manifest
    assert counted[0].damaged > 0
    counted.write(clean.parent / "counted.csv")
    again = Manifest.read(clean.parent / "counted.csv")[0]
    assert again.damaged == counted[0].damaged
    with open_record(again) as video:
        num_decoded = []
        plain = video._walk.cursor.decode
        video._walk.cursor.decode = lambda packet, **options: [num_decoded.append(1), plain(packet, **options)][1]
        video.frames_at([50])
        assert len(num_decoded) >= 50


def test_the_command_lists_damaged_videos_and_refuses_them_when_strict(clean, tmp_path, capsys):
    paths = [clean, damaged(clean, 11, num_flips=6)]
    records = [Record(path.stem, path.name) for path in paths]
    listed = clean.parent / "listed.csv"
    Manifest.from_records(records, classes=[], root=clean.parent).write(listed)
    run(["data", "scan", str(listed), "--out", str(tmp_path / "all.csv")])
    assert "clean-11" in capsys.readouterr().out
    assert "damaged" in (tmp_path / "all.csv").read_text().splitlines()[0]
    assert run(["data", "scan", str(listed), "--strict", "--out", str(tmp_path / "all.csv")]) == 1
    assert "1 of 2 videos cannot be used" in capsys.readouterr().err
    run(["data", "scan", str(listed), "--strict", "--skip-bad", "--out", str(tmp_path / "good.csv")])
    assert [record.video_id for record in Manifest.read(tmp_path / "good.csv")] == ["clean"]
