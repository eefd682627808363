"""Seconds are those at which a player shows the frames, whatever the container knows of times."""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from make_videos import numbered_frames, read_numbers, write_video

from kinema.data.dataset import frame_range
from kinema.data.manifest import Manifest, Record
from kinema.data.scan import scan
from kinema.errors import VideoError
from kinema.video.clock import FileClock, frame_rate, frames_between
from kinema.video.open import open_video

FRAMES = numbered_frames(100)
B_FRAMES = {"gop": 25, "options": {"bf": "2"}}


def copied(source, target, *, untimed=False):
    """Remux the packets of a video, if asked to with times in the order of storing, as a file without times gets."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        start_codes = BitStreamFilterContext("h264_mp4toannexb", stream) if target.suffix == ".avi" else None
        for number, packet in enumerate(read.demux(stream)):
            if packet.size == 0:
                continue
            if untimed:
                packet.dts = packet.pts = number * round(1 / (25 * packet.time_base))
            for part in start_codes.filter(packet) if start_codes else [packet]:
                part.stream = copy
                write.mux(part)
    return target


def with_late_picture(path, shift_sec):
    """A video whose sound starts first."""
    sounding = write_video(path.with_name("sounding.mp4"), FRAMES, audio=True, **B_FRAMES)
    with av.open(str(sounding)) as read, av.open(str(path), "w") as write:
        copies = {stream.index: write.add_stream_from_template(stream) for stream in read.streams}
        for packet in read.demux():
            if packet.size == 0:
                continue
            if packet.stream.type == "video":
                packet.dts += round(shift_sec / packet.time_base)
                packet.pts += round(shift_sec / packet.time_base)
            packet.stream = copies[packet.stream_index]
            write.mux(packet)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("times")
    even = np.arange(100) / 25
    plain = write_video(folder / "plain.mp4", FRAMES, **B_FRAMES)
    uneven_ms = [40 * number + 100 * (number // 20) for number in range(100)]
    dropped = [number for number in range(100) if number < 25 or number % 4 == 0]
    ts = write_video(folder / "one.ts", FRAMES, **B_FRAMES)
    joined = folder / "joined.ts"
    joined.write_bytes(ts.read_bytes() * 2)
    return {
        "mp4": (plain, even),
        "b-frames-in-avi": (copied(plain, folder / "b.avi"), even),
        "mpeg4-b-frames-in-avi": (
            write_video(folder / "m.avi", FRAMES, codec="mpeg4", options={"bf": "2", "b": "2M"}, gop=12),
            even,
        ),
        "dropped-in-avi": (
            write_video(folder / "drop.avi", FRAMES[dropped], codec="mpeg4", options={"b": "2M"}, times=dropped),
            even[dropped],
        ),
        "mkv-that-says-1000-fps": (
            write_video(folder / "fast.mkv", FRAMES, fps=1000, times=range(0, 4000, 40), **B_FRAMES),
            even,
        ),
        "uneven-mp4": (
            write_video(folder / "u.mp4", FRAMES, times=uneven_ms, time_base=Fraction(1, 1000), **B_FRAMES),
            np.array(uneven_ms) / 1000,
        ),
        "ts": (ts, even),
        "joined-ts": (joined, np.arange(200) / 25),
        "late-picture-mp4": (with_late_picture(folder / "late.mp4", 1.0), even + 1),
        "late-picture-mkv": (with_late_picture(folder / "late.mkv", 1.0), even + 1),
        "late-picture-ts": (with_late_picture(folder / "late.ts", 1.0), even + 1),
    }


KINDS = [
    "mp4",
    "b-frames-in-avi",
    "mpeg4-b-frames-in-avi",
    "dropped-in-avi",
    "mkv-that-says-1000-fps",
    "uneven-mp4",
    "ts",
    "joined-ts",
    "late-picture-mp4",
    "late-picture-mkv",
    "late-picture-ts",
]
# A container's priming of the sound moves the picture by at most this against the sound's first sample.
PRIMING_SEC = 0.07


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("known", [True, False])
def test_frames_have_their_times(files, kind, known):
    path, expected = files[kind]
    with open_video(path, num_frames=len(expected) if known else None) as video:
        times_sec = video.frame_times()
        offset = times_sec[0] - expected[0]
        assert abs(offset) < (PRIMING_SEC if "late" in kind else 1e-9)
        assert np.allclose(times_sec - offset, expected, atol=0.0006)
        some = [38, 3, 27]
        assert np.allclose(video.frames_at(some).times_sec, times_sec[some], atol=1e-9)
    with open_video(path, num_frames=len(expected) if known else None) as video:
        assert np.allclose(video.frames_at(some).times_sec, times_sec[some], atol=1e-9), "before all times are known"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damaged", [True, False])
def test_a_frame_has_one_time_whatever_was_asked_before(files, kind, damaged):
    path, _ = files[kind]
    with open_video(path) as video:
        times_sec = video.frame_times()
    with open_video(path, damaged=damaged) as video:
        for indices in ([1], [0, 7, 30], [20, len(times_sec) - 1]):
            assert video.frames_at(indices).times_sec == pytest.approx(times_sec[indices], abs=2e-6)
        assert video.frame_times() == pytest.approx(times_sec, abs=2e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
def test_a_segment_holds_the_frames_shown_in_it(files, kind, backend, request):
    if backend == "torchcodec":
        request.getfixturevalue("torchcodec_loads")
    path, expected = files[kind]
    start, end = 1.1, 2.5
    numbers = np.flatnonzero((expected >= start - 1e-6) & (expected < end - 1e-6))
    with open_video(path, backend=backend) as video:
        span = frame_range(Record("x", str(path), start=start, end=end), video)
        if "late" in kind:  # the sound's priming may move the border by a frame or two
            assert abs(span.start - numbers[0]) <= 2
        else:
            assert list(span) == numbers.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_rate_is_that_of_the_frames(files, kind):
    path, expected = files[kind]
    rate = (len(expected) - 1) / (expected[-1] - expected[0])
    with open_video(path) as video:
        assert video.fps == pytest.approx(rate, rel=0.01)
        video.count_frames()
        assert video.fps == pytest.approx(rate, rel=0.01)


def test_a_scan_measures_the_rate_and_finds_segments_after_the_last_frame(files):
    path, expected = files["dropped-in-avi"]
    records = [
        Record("inside", path.name, start=3.5, end=4.0),
        Record("behind", path.name, start=3.9),
    ]
    found = scan(Manifest.from_records(records, classes=[], root=path.parent))
    assert [video.video_id for video in found.bad] == ["behind"]
    assert "the last frame is shown at 3.84 s" in found.bad[0].reason
    assert found.manifest[0].fps == pytest.approx(42 / 3.84, rel=1e-3)
    assert found.manifest[0].num_frames == len(expected)


def test_a_segment_without_frames_says_when_the_frames_are(files):
    path, _ = files["uneven-mp4"]
    with open_video(path) as video, pytest.raises(VideoError, match=r"100 frames, shown from 0\.00 to 4\.36 s"):
        frame_range(Record("x", str(path), start=0.8, end=0.85), video)


def test_a_file_with_times_in_the_order_of_storing_is_read_in_the_order_of_decoding(files, tmp_path):
    path = copied(files["mp4"][0], tmp_path / "untimed.mp4", untimed=True)
    with av.open(str(path)) as plain:
        sequential = read_numbers(np.stack([frame.to_ndarray(format="rgb24") for frame in plain.decode(video=0)]))
    assert sequential == list(range(100))
    for index in range(0, 100, 3):
        with open_video(path, num_frames=100) as video:
            assert read_numbers(video.frames_at([index]).pixels) == [index]
    with open_video(path, num_frames=100) as video:
        assert np.all(np.diff(video.frame_times()) >= 0)


class FakeFile:
    """The facts of a file that its clock asks for."""

    def __init__(self, *formats):
        self.format = type("Format", (), {"name": ",".join(formats)})
        self.start_time = 0
        self.time_base, self.average_rate, self.guessed_rate = Fraction(1, 25), Fraction(25), Fraction(25)


@pytest.mark.parametrize(
    ("format_name", "told", "expected"),
    [
        ("mov", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("mov", [0, None, None, 3], [0, 1, 2, 3]),
        ("mpegts", [*range(30), *range(30)], list(range(60))),
        ("mpegts", [0, 1, 900, 901], [0, 1, 2, 3]),
        ("mov", [0, 1, 900, 901], [0, 1, 900, 901]),
        ("mov", [0, 2, 1, 3], [0, 2, 2, 3]),
    ],
)
def test_the_clock_runs_forward(format_name, told, expected):
    file = FakeFile(format_name)
    clock = FileClock(file, file)
    for tick in told:
        clock.add(tick)
    assert clock.ticks == expected


@pytest.mark.parametrize(
    ("times_sec", "header", "expected"),
    [
        (np.arange(50) / 25, 25.0, 25.0),
        (np.arange(50) / 25, 50.0, 25.0),
        (np.arange(50) / 25, 0.0, 25.0),
        (np.round(np.arange(50) / 29.97, 3), 29.97, 29.97),
        (np.zeros(1), 24.0, 24.0),
        (np.zeros(1), 0.0, 0.0),
    ],
)
def test_the_header_is_believed_where_it_fits(times_sec, header, expected):
    assert frame_rate(times_sec, header) == pytest.approx(expected)


def test_limits_of_a_segment_allow_for_rounded_times():
    rounded = np.round(np.arange(90) / 30, 3)
    for first, stop in itertools.combinations(range(0, 90, 7), 2):
        assert frames_between(rounded, first / 30, stop / 30) == range(first, stop)
