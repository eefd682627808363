"""Every way to reach a frame gives the frame that a sequential decode gives, on every container and codec."""

import itertools

import av
import numpy as np
import pytest
from make_videos import numbered_frames, read_number, read_numbers, write_video
from video_kinds import KINDS, open_by_walk, shown_numbers

from kinema.video import recent_frames
from kinema.video.open import open_video

SEEKING_KINDS = [
    "h264-closed-gop",
    "h264-open-gop",
    "h264-open-gop-mkv",
    "h264-edit-list",
    "h264-uneven",
    "hevc-open-gop",
    "hevc-leading",
    "vp8",
    "vp9",
    "av1",
    "mpeg4-b-mp4",
]


def plain_decode(path):
    """What the definition of a frame index refers to: PyAV, from the first frame to the last."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        return [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_show_their_numbers_in_order(kind, video_of_kind):
    assert [read_number(pixels) for _, pixels in plain_decode(video_of_kind(kind))] == shown_numbers(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_any_order_of_access_gives_the_sequential_frames(kind, video_of_kind):
    _check_any_order(kind, open_video(video_of_kind(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_any_order_of_seeks_gives_the_sequential_frames(kind, video_of_kind):
    _check_any_order(kind, open_by_walk(video_of_kind(kind)))


def _check_any_order(kind, opened):
    numbers = shown_numbers(kind)
    with opened as video:
        assert len(video) == len(numbers)
        backwards = [read_numbers(video.frames_at([index]).pixels)[0] for index in reversed(range(len(video)))]
        assert backwards[::-1] == numbers
        rng = np.random.default_rng(0)
        for size in (1, 3, 8, 40):
            indices = rng.integers(0, len(video), size)
            assert read_numbers(video.frames_at(indices).pixels) == [numbers[index] for index in indices]


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_request_anywhere_is_exact_with_and_without_a_known_count(kind, video_of_kind):
    _check_first_requests(kind, video_of_kind(kind), open_video)


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_seek_anywhere_is_exact_with_and_without_a_known_count(kind, video_of_kind):
    _check_first_requests(kind, video_of_kind(kind), open_by_walk)


def _check_first_requests(kind, path, open_as):
    numbers = shown_numbers(kind)
    for known, index in itertools.product((None, len(numbers)), (0, 11, 12, 13, 30, len(numbers) - 1)):
        with open_as(path, num_frames=known) as video:
            assert read_numbers(video.frames_at([index]).pixels) == [numbers[index]], (known, index)


# The plain conversion interpolates colour less finely than ours from 10-bit pictures.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "h264-10-bit"])
def test_pixels_after_a_seek_are_those_of_the_sequential_decode(kind, video_of_kind):
    expected = np.stack([pixels for _, pixels in plain_decode(video_of_kind(kind))])
    with open_video(video_of_kind(kind)) as video:
        indices = [37, 2, 39, 25]
        assert np.array_equal(video.frames_at(indices).pixels, expected[indices])


@pytest.mark.parametrize("kind", SEEKING_KINDS)
def test_seeking_is_used_where_it_is_exact(kind, video_of_kind):
    decoded = []
    with open_by_walk(video_of_kind(kind)) as video:
        cursor = video._walk.cursor
        plain = cursor.decode
        cursor.decode = lambda packet, **options: [decoded.append(packet.pts), plain(packet, **options)][1]
        for index in (len(video) - 1, len(video) - 11):
            decoded.clear()
            video.frames_at([index])
            assert 0 < len(decoded) < 35, f"frame {index} was reached by decoding nearly all before it"


@pytest.mark.parametrize("kind", ["h264-closed-gop", "mpeg4-b-avi", "gif", "h264-intra-refresh-large"])
def test_chunks_of_a_long_read_join_without_gap(kind, video_of_kind):
    with open_video(video_of_kind(kind)) as video:
        chunks = list(video.iter_frames(chunk=7))
        assert [len(chunk) for chunk in chunks] == [7] * 8 + [5]
        assert [number for chunk in chunks for number in read_numbers(chunk.pixels)] == shown_numbers(kind)
        sparse = list(video.iter_frames(5, 50, 9, chunk=2))
        assert [number for chunk in sparse for number in read_numbers(chunk.pixels)] == list(range(5, 50, 9))


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("kind", ["h264-open-gop", "hevc-open-gop", "vp9", "mpeg4-b-avi"])
def test_codec_threads_change_nothing(kind, threads, video_of_kind):
    with open_video(video_of_kind(kind), threads=threads) as video:
        assert read_numbers(video.frames_at([50, 13, 14, 3, 60]).pixels) == [50, 13, 14, 3, 60]


@pytest.mark.parametrize("kind", KINDS)
def test_torchcodec_gives_the_same_frames(kind, video_of_kind, torchcodec_loads):
    numbers = shown_numbers(kind)
    with open_video(video_of_kind(kind), backend="torchcodec") as video:
        assert len(video) == len(numbers)
        indices = [30, 5, 5, len(video) - 1, 0, 13]
        frames = video.frames_at(indices)
        assert read_numbers(frames.pixels) == [numbers[index] for index in indices]
        with open_video(video_of_kind(kind)) as other:
            assert np.allclose(frames.times_sec, other.frames_at(indices).times_sec, atol=2e-4)


def test_torchcodec_really_decodes_where_it_agrees(video_of_kind, torchcodec_loads, monkeypatch):
    with open_video(video_of_kind("h264-open-gop"), backend="torchcodec", short_side=24) as video:
        len(video)
        monkeypatch.setattr("kinema.video.pyav.PyAVDecoder._decode", None)
        assert read_numbers(video.frames_at([40, 7]).pixels) == [40, 7]


def test_hidden_vp8_frames_are_not_counted(video_of_kind, tmp_path):
    path = tmp_path / "hidden.webm"
    with av.open(str(video_of_kind("vp8"))) as read, av.open(str(path), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        for number, packet in enumerate(read.demux(stream)):
            if packet.size:
                data = bytearray(bytes(packet))
                if number % 10 == 5:
                    data[0] &= 0xEF  # the bit that says "show this frame"
                changed = av.Packet(bytes(data))
                changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
                changed.is_keyframe, changed.stream = packet.is_keyframe, copy
                write.mux(changed)
    numbers = [read_number(pixels) for _, pixels in plain_decode(path)]
    assert numbers == [number for number in range(61) if number % 10 != 5]
    with open_video(path) as video:
        assert len(video) == len(numbers)
        assert read_numbers(video.frames_at([50, 20, 33]).pixels) == [numbers[50], numbers[20], numbers[33]]
        assert video._walk._can_seek


def test_times_are_those_of_the_container(video_of_kind):
    with open_video(video_of_kind("vp9-uneven")) as video:
        times_sec = video.frames_at(range(6)).times_sec
    assert times_sec.tolist() == pytest.approx([0, 0.047, 0.094, 0.120, 0.167, 0.214])


def test_times_start_at_the_first_frame_wherever_reading_starts(video_of_kind):
    for kind in ("h264-edit-list", "mpeg2-ts", "mpeg4-b-avi"):
        with open_video(video_of_kind(kind), num_frames=len(shown_numbers(kind))) as video:
            assert video.frames_at([25]).times_sec[0] == pytest.approx(1.0, abs=1e-3), kind


def test_numbers_survive_long_videos(tmp_path):
    path = write_video(tmp_path / "long.mp4", numbered_frames(1500), gop=250, options={"preset": "ultrafast"})
    with open_video(path) as video:
        indices = [1499, 249, 250, 251, 1000, 0]
        assert read_numbers(video.frames_at(indices).pixels) == indices


@pytest.mark.parametrize("kept", [512 << 20, 4 * 48 * 64])
def test_overlapping_requests_decode_a_file_without_seeking_once(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(recent_frames, "MAX_BYTES", kept)
    path = write_video(tmp_path / "long.ts", numbered_frames(90), codec="mpeg2video", gop=12)
    decoded = []
    with open_video(path) as video:
        assert len(video) == 90
        cursor = video._walk.cursor
        plain = cursor.decode
        monkeypatch.setattr(cursor, "decode", lambda packet, **how: [decoded.append(1), plain(packet, **how)][1])
        for first in range(0, 70, 10):
            wanted = range(first, first + 20, 3)
            assert read_numbers(video.frames_at(wanted).pixels) == list(wanted)
        assert read_numbers(video.frames_at([5, 70]).pixels) == [5, 70]
    if kept > 1 << 20:
        assert len(decoded) < 300, "each window read the file from its start"
