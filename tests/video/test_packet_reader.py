"""Frames that are decoded from the bytes of a file: no packet too many, and none that does not prove itself."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest
from make_videos import numbered_frames, read_numbers, write_video
from video_kinds import open_by_walk, shown_numbers

from kinema.video.open import open_video

B_FRAMES = {"bf": "2", "x264-params": "scenecut=0:b-pyramid=none:b-adapt=0"}

READ_ALONE = ["h264-closed-gop", "h264-open-gop", "h264-open-gop-mkv", "h264-no-b", "h264-fragmented", "h264-sound"]
READ_ALONE += ["h264-uneven", "h264-10-bit", "hevc-open-gop", "hevc-leading", "vp9", "vp9-uneven", "av1"]


def known(path, num_frames):
    """Read a file once, so that it is known."""
    with open_video(path, num_frames=num_frames) as video:
        video.frames_at([0, 9])
    return path


def test_only_packets_that_the_wanted_frames_need_are_decoded(tmp_path):
    path = known(write_video(tmp_path / "a.mp4", numbered_frames(60), gop=12, options=B_FRAMES), 60)
    for wanted, num_packets in (([13], 3), ([12], 1), ([15], 2), ([12, 13, 14, 15], 4), ([2, 50], 6)):
        with open_video(path, num_frames=60) as video:
            assert read_numbers(video.frames_at(wanted).pixels) == wanted
            assert video._known.reader().num_decoded == num_packets, wanted


def test_reading_on_decodes_no_group_of_pictures_twice(tmp_path):
    path = known(write_video(tmp_path / "a.mp4", numbered_frames(240), gop=240), 240)
    with open_video(path, num_frames=240) as video:
        numbers = [number for chunk in video.iter_frames(chunk=30) for number in read_numbers(chunk.pixels)]
        assert numbers == list(range(240))
        assert video._known.reader().num_decoded == 0
    with open_video(path, num_frames=240) as video:
        for first in range(0, 240, 30):
            assert read_numbers(video.frames_at(range(first, first + 30)).pixels) == list(range(first, first + 30))
        assert 0 < video._known.reader().num_decoded <= 30


def test_packets_far_apart_are_read_alone(tmp_path):
    """Between two pictures lies 0.4 MB of sound."""
    path = tmp_path / "loud.mov"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options=B_FRAMES)
        stream.height, stream.width, stream.pix_fmt, stream.codec_context.gop_size = 48, 64, "yuv420p", 12
        sound = output.add_stream("pcm_s32le", rate=384_000, layout="7.1")
        for number, picture in enumerate(numbered_frames(30)):
            noise = av.AudioFrame.from_ndarray(np.ones((1, 8 * 15_360), np.int32), format="s32", layout="7.1")
            noise.sample_rate, noise.pts, noise.time_base = 384_000, 15_360 * number, Fraction(1, 384_000)
            output.mux(sound.encode(noise))
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    with open_video(known(path, 30), num_frames=30) as video:
        assert read_numbers(video.frames_at([3, 10, 29]).pixels) == [3, 10, 29]
        assert video._opened is None


@pytest.mark.parametrize("kind", READ_ALONE)
def test_pixels_and_times_are_those_that_ffmpeg_finds(kind, video_of_kind):
    path, count = video_of_kind(kind), len(shown_numbers(kind))
    with open_video(known(path, count), num_frames=count, short_side=32) as video:
        ours = video.frames_at(range(count))
        assert video._opened is None
    with open_by_walk(path, num_frames=count, short_side=32) as video:
        theirs = video.frames_at(range(count))
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
