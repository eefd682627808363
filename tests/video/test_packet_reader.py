"""Frames that are decoded from the bytes of a file: no packet too many, and none that does not prove itself."""

import os

import av
import numpy as np
import pytest
from make_videos import numbered_frames, read_numbers, write_video

from kinema.video import packet_reader
from kinema.video.open import open_video

B_FRAMES = {"bf": "2", "x264-params": "scenecut=0:b-pyramid=none:b-adapt=0"}


@pytest.fixture
def fed(monkeypatch):
    """The packets that were decoded."""
    packets = []

    def noted(data):
        packets.append(av.Packet(data))
        return packets[-1]

    monkeypatch.setattr(packet_reader, "Packet", noted)
    return packets


def known(path, num_frames):
    """Read a file once, so that it is known."""
    with open_video(path, num_frames=num_frames) as video:
        video.frames_at([0, 9])
    return path


def test_only_packets_that_the_wanted_frames_need_are_decoded(tmp_path, fed):
    path = known(write_video(tmp_path / "a.mp4", numbered_frames(60), gop=12, options=B_FRAMES), 60)
    for wanted, num_packets in (([13], 3), ([12], 1), ([15], 2), ([12, 13, 14, 15], 4), ([2, 50], 6)):
        fed.clear()
        with open_video(path, num_frames=60) as video:
            assert read_numbers(video.frames_at(wanted).pixels) == wanted
        assert len(fed) == num_packets, wanted


def test_reading_on_decodes_no_group_of_pictures_twice(tmp_path, fed):
    path = known(write_video(tmp_path / "a.mp4", numbered_frames(240), gop=240), 240)
    fed.clear()
    with open_video(path, num_frames=240) as video:
        numbers = [number for chunk in video.iter_frames(chunk=30) for number in read_numbers(chunk.pixels)]
        assert numbers == list(range(240))
        assert fed == []
    with open_video(path, num_frames=240) as video:
        for first in range(0, 240, 30):
            assert read_numbers(video.frames_at(range(first, first + 30)).pixels) == list(range(first, first + 30))
    assert 0 < len(fed) <= 30


def test_packets_far_apart_are_read_alone(video_of_kind, monkeypatch):
    path = known(video_of_kind("h264-closed-gop"), 61)
    monkeypatch.setattr(packet_reader, "MAX_GAP_BYTES", -(1 << 30))
    with open_video(path, num_frames=61) as video:
        assert read_numbers(video.frames_at([3, 30, 60]).pixels) == [3, 30, 60]
        assert video._opened is None


@pytest.mark.parametrize("kind", ["h264-closed-gop", "h264-open-gop", "h264-open-gop-mkv", "h264-uneven"])
def test_pixels_and_times_are_those_that_ffmpeg_finds(kind, video_of_kind, monkeypatch):
    path = known(video_of_kind(kind), 61)
    with open_video(path, num_frames=61, short_side=32) as video:
        ours = video.frames_at(range(61))
        assert video._opened is None
    monkeypatch.setattr("kinema.video.pyav.PyAVDecoder._read_packets", lambda _decoder, _positions: None)
    with open_video(path, num_frames=61, short_side=32) as video:
        theirs = video.frames_at(range(61))
    assert np.array_equal(ours.pixels, theirs.pixels)
    assert np.array_equal(ours.times_sec, theirs.times_sec)


def test_a_file_that_contradicts_what_is_known_is_read_otherwise(tmp_path):
    path = known(write_video(tmp_path / "a.mp4", numbered_frames(60), gop=12, options=B_FRAMES), 60)
    status, data = path.stat(), bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        damaged = [packet for packet in container.demux(video=0) if packet.size][20]
    data[damaged.pos + 8 : damaged.pos + damaged.size] = bytes(damaged.size - 8)
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if it were the same
    with open_video(path) as video:
        num_frames = video.count_frames()
        sequential = video.frames_at(range(num_frames)).pixels
    for _ in range(2):
        with open_video(path, num_frames=60) as video:
            assert np.array_equal(video.frames_at(range(num_frames)).pixels, sequential)
            assert video._opened is not None
    with open_video(path, num_frames=60) as video:
        assert video._known.facts.packets is None
