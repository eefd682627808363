"""Files that carry something once, or otherwise: palettes, cropped borders, deep colours, names with a colon."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from make_videos import numbered_frames, read_numbers, write_video

from kinema.video.open import open_video

BACKENDS = ["pyav", "torchcodec"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == "torchcodec":
        request.getfixturevalue("torchcodec_loads")
    return request.param


def write_palette(path, num_frames=40):
    """Numbered frames of two colours, as indices into a palette that the file holds once."""
    palette = np.full((256, 4), 255, np.uint8)
    palette[0], palette[1] = (255, 20, 20, 20), (255, 235, 235, 235)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for number, pixels in enumerate(numbered_frames(num_frames)):
            indices = (pixels[..., 0] > 127).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["avi", "mov"])
@pytest.mark.parametrize("known", [None, 40])
def test_a_palette_outlives_a_seek(tmp_path, suffix, known, backend):
    path = write_palette(tmp_path / f"p.{suffix}")
    for indices in ([20], [0], [39, 5, 21]):
        with open_video(path, backend=backend, num_frames=known) as video:
            frames = video.frames_at(indices)
            assert read_numbers(frames.pixels) == indices
            assert read_numbers(video.frames_at([7, 30]).pixels) == [7, 30]


def test_a_cropped_left_border_is_left_out(tmp_path, backend):
    plain = write_video(tmp_path / "plain.mp4", numbered_frames(20, 64, 128), gop=6)
    with av.open(str(plain)) as read, av.open(str(tmp_path / "crop.mp4"), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        crop = BitStreamFilterContext("h264_metadata=crop_left=16", stream, copy)
        for packet in read.demux(stream):
            for part in crop.filter(packet if packet.size else None):
                part.stream = copy
                write.mux(part)
    with open_video(plain, backend=backend) as video:
        expected = video.frames_at([3, 17]).pixels[:, :, 16:]
    for known in (None, 20):
        with open_video(tmp_path / "crop.mp4", backend=backend, num_frames=known) as video:
            assert video.size == (64, 112)
            assert np.array_equal(video.frames_at([3, 17]).pixels, expected)


def test_deep_colours_are_the_same_by_every_backend(tmp_path, torchcodec_loads):
    path = write_video(tmp_path / "deep.mp4", numbered_frames(12), pix_fmt="yuv420p10le", gop=6)
    pixels = [open_video(path, backend=name).frames_at([1, 8]).pixels for name in BACKENDS]
    assert np.array_equal(*pixels)


def test_a_name_with_a_colon_is_no_address(tmp_path, monkeypatch, backend):
    write_video(tmp_path / "take 1: wave.mp4", numbered_frames(12), gop=6)
    monkeypatch.chdir(tmp_path)
    with open_video("take 1: wave.mp4", backend=backend) as video:
        assert read_numbers(video.frames_at([2, 9]).pixels) == [2, 9]
