"""All eight ways in which a picture can lie come out upright, by every backend and in everything made of videos."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from make_videos import numbered_frames, read_numbers, write_video

from kinema.data.manifest import Manifest, Record
from kinema.derived.pack_video import Packing, pack_video
from kinema.derived.video_flow import Extraction, extract_video
from kinema.inference.views import ViewDataset
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol
from kinema.video.open import open_video
from kinema.video.orientation import Orientation

MATRICES = {
    "upright": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, 1),
    "flipped": (1, 0, 0, -1),
    "half-turn": (-1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "quarter-right": (0, 1, -1, 0),
    "quarter-left": (0, -1, 1, 0),
    "transverse": (0, -1, -1, 0),
}
"""a, b, c, d of the display matrix: the stored pixel (p, q) is shown at (a p + c q, b p + d q)."""


def stored_picture():
    """64 x 96 pixels whose four corners differ: no turning and no mirroring leaves them alike."""
    picture = np.full((64, 96, 3), 40, np.uint8)
    picture[:32, :48], picture[:32, 48:], picture[32:, :48] = (220, 30, 30), (30, 200, 30), (240, 240, 240)
    return picture


def shown(picture, matrix):
    """Where the matrix shows every pixel, moved so that the picture begins at 0; slow and obvious."""
    a, b, c, d = matrix
    height, width = picture.shape[:2]
    target = {}
    for q in range(height):
        for p in range(width):
            target[b * p + d * q, a * p + c * q] = picture[q, p]
    rows, columns = zip(*target, strict=True)
    out = np.zeros((max(rows) - min(rows) + 1, max(columns) - min(columns) + 1, 3), np.uint8)
    for (row, column), pixel in target.items():
        out[row - min(rows), column - min(columns)] = pixel
    return out


def lying(path: Path, matrix) -> Path:
    """Write a video with a display matrix in its track header (ISO/IEC 14496-12, 8.3.2)."""
    write_video(path, np.repeat(stored_picture()[None], 6, axis=0), gop=3)
    data = path.read_bytes()
    assert data.count(b"tkhd") == 1
    start = data.index(b"tkhd") + 4
    assert data[start] == 0, "version 0: 20 bytes of times and ids, then layer, group, volume"
    place = start + 4 + 20 + 16
    assert struct.unpack(">9i", data[place : place + 36]) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    a, b, c, d = (65536 * value for value in matrix)
    entry = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:place] + entry + data[place + 36 :])
    return path


def looks_like(pixels, expected):
    """Whether a decoded picture is the expected one, but for what the codec lost."""
    return pixels.shape == expected.shape and np.abs(pixels.astype(int) - expected).mean() < 12


@pytest.fixture(params=MATRICES)
def case(request, tmp_path):
    matrix = MATRICES[request.param]
    return lying(tmp_path / "v.mp4", matrix), shown(stored_picture(), matrix)


@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
def test_both_backends_set_every_picture_upright(case, backend, request):
    if backend == "torchcodec":
        request.getfixturevalue("torchcodec_loads")
    path, expected = case
    with open_video(path, backend=backend) as video:
        assert video.size == expected.shape[:2]
        for pixels in video.frames_at([4, 0]).pixels:
            assert looks_like(pixels, expected)
    with open_video(path, backend=backend, short_side=32) as video:
        small = video.frames_at([1]).pixels[0]
        assert looks_like(np.repeat(np.repeat(small, 2, axis=0), 2, axis=1), expected)


def test_packed_videos_are_upright(case, tmp_path):
    path, expected = case
    pack_video(Record("v", str(path)), tmp_path / "packed.mp4", Packing(short_side=0))
    with open_video(tmp_path / "packed.mp4") as video:
        assert looks_like(video.frames_at([2]).pixels[0], expected)


def test_predicting_and_evaluating_see_upright_pictures(case):
    path, expected = case
    manifest = Manifest.from_records([Record("v", str(path), split="test")], classes=[], root=path.parent)
    size = min(expected.shape[:2])
    views = ViewDataset(manifest, protocol("clip", Preprocessing(frames=2, crop_size=size)))[0]
    top, left = (expected.shape[0] - size) // 2, (expected.shape[1] - size) // 2
    picture = views.clips(0, 1)[0, :, 0].permute(1, 2, 0).numpy()
    assert looks_like(picture, expected[top : top + size, left : left + size])


def test_stored_flow_has_the_size_of_the_upright_picture(case, tmp_path):
    path, expected = case
    extraction = Extraction(method="farneback", backend="auto", bound=10.0, kind="jpeg", step=1, short_side=0)
    target = tmp_path / "v.flow.zip"
    extract_video(Record("v", str(path)), target, extraction, extraction.describe("v"))
    with open_video(target) as flow:
        assert flow.size == expected.shape[:2]


def test_turning_and_mirroring_are_told_apart():
    turns = {name for name, (a, b, c, d) in MATRICES.items() if a * d - b * c > 0}
    assert turns == {"upright", "half-turn", "quarter-right", "quarter-left"}
    for transposed, mirrored, flipped in np.ndindex(2, 2, 2):
        orientation = Orientation(bool(transposed), bool(mirrored), bool(flipped))
        assert orientation.is_mirror_image == ((transposed + mirrored + flipped) % 2 == 1)


@pytest.mark.parametrize("options", [{"x264-params": "tff=1", "flags": "+ilme+ildct"}, {"x264-params": "bff=1"}])
def test_interlaced_pictures_are_read(tmp_path, options):
    path = write_video(tmp_path / "fields.mp4", numbered_frames(12, 64, 64), options=options)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    with open_video(path) as video:
        assert read_numbers(video.frames_at([0, 5, 11]).pixels) == [0, 5, 11]
