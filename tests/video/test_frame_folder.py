"""Folders of images read as videos."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from make_videos import numbered_frames, read_numbers

from kinema.errors import VideoError
from kinema.video.frame_folder import FrameFolderDecoder, ImageDecoder
from kinema.video.open import open_video
from kinema.video.scaling import Scaling


def write_images(folder, names, first=0, height=48, width=64):
    folder.mkdir(exist_ok=True)
    for name, frame in zip(names, numbered_frames(len(names), height, width, first), strict=True):
        assert cv2.imwrite(str(folder / name), frame[..., ::-1])
    return folder


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "JPEG"])
def test_images_are_frames_in_natural_order(tmp_path, suffix):
    folder = write_images(tmp_path / "a", [f"frame{number}.{suffix}" for number in range(12)])
    (folder / "readme.txt").write_text("not a frame")
    (folder / ".hidden.jpg").write_bytes(b"not a frame")
    with open_video(folder) as video:
        assert (len(video), video.size, video.count_frames()) == (12, (48, 64), 12)
        frames = video.frames_at([11, 2, 2, 10])
        assert read_numbers(frames.pixels) == [11, 2, 2, 10]
        assert frames.times_sec.tolist() == [11 / 25, 2 / 25, 2 / 25, 10 / 25]


def test_flow_beside_the_pictures_is_left_out_unless_asked_for(tmp_path):
    folder = write_images(tmp_path / "a", [f"img_{number:05d}.jpg" for number in range(5)])
    for prefix, first in (("x", 100), ("y", 200), ("flow_x", 300)):
        write_images(folder, [f"{prefix}_{number:05d}.jpg" for number in range(4)], first)
    with open_video(folder) as video:
        assert read_numbers(video.frames_at(range(len(video))).pixels) == [0, 1, 2, 3, 4]
    flow = FrameFolderDecoder(folder, scaling=Scaling(), pattern="x_*.jpg", fps=10)
    assert read_numbers(flow.frames_at(range(len(flow))).pixels) == [100, 101, 102, 103]
    assert flow.duration_sec == pytest.approx(0.4)


def test_colors_are_rgb(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue first
    cv2.imwrite(str(tmp_path / "0.png"), red)
    with open_video(tmp_path) as video:
        assert video.frames_at([0]).pixels[0, 0, 0].tolist() == [255, 0, 0]


def test_scaling_and_mixed_sizes_follow_the_first_image(tmp_path):
    folder = write_images(tmp_path / "a", ["0.png", "1.png"])
    write_images(folder, ["2.png"], first=2, height=96, width=96)
    with open_video(folder) as video:
        assert video.frames_at([2, 0]).pixels.shape == (2, 48, 64, 3)
    with open_video(folder, short_side=24) as video:
        frames = video.frames_at([2, 1])
        assert frames.pixels.shape == (2, 24, 32, 3)
        assert read_numbers(frames.pixels) == [2, 1]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "JPEG"])
def test_an_image_is_a_video_of_one_frame(tmp_path, suffix):
    folder = write_images(tmp_path / "a", [f"cat.{suffix}"], first=9)
    for backend in ("auto", "frames", "pyav"):
        with open_video(folder / f"cat.{suffix}", backend=backend) as video:
            assert isinstance(video, ImageDecoder) == (backend != "pyav")
            assert (len(video), video.size, video.count_frames()) == (1, (48, 64), 1)
            assert read_numbers(video.frames_at([0, 0]).pixels) == [9, 9]
    with open_video(folder / f"cat.{suffix}", short_side=24) as video:
        assert video.frames_at([0]).pixels.shape == (1, 24, 32, 3)
        with pytest.raises(VideoError, match="frame 1 was asked for"):
            video.frames_at([1])


def test_a_damaged_image_file_is_named(tmp_path):
    (tmp_path / "half.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    with open_video(tmp_path / "half.jpg") as video, pytest.raises(VideoError, match=r"half\.jpg: is not an image"):
        video.count_frames()


def test_a_damaged_image_is_named(tmp_path):
    folder = write_images(tmp_path / "a", ["0.png", "1.png"])
    (folder / "1.png").write_bytes(b"")
    with open_video(folder) as video:
        with pytest.raises(VideoError, match=r"1\.png: is not an image"):
            video.frames_at([1])
        with pytest.raises(VideoError, match=r"1\.png"):
            video.count_frames()
        with pytest.raises(VideoError, match="frame 2 was asked for"):
            video.frames_at([2])


def test_real_frame_folders(shared_data: Path):
    with open_video(shared_data / "frames_demo" / "mmaction2_imgs") as video:
        assert (len(video), video.size) == (10, (240, 320))
    for folder in sorted((shared_data / "frames_demo" / "raivokoot").glob("*/*/")):
        images = len(list(folder.glob("*.jpg")))
        if images:
            with open_video(folder) as video:
                assert len(video) == video.count_frames() == images
