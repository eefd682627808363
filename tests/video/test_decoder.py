"""What a decoder says about a video, how it scales and turns pictures, and that it leaves nothing behind."""

import gc
import logging
import os
import sys
import threading
import weakref
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from make_videos import numbered_frames, read_number, read_numbers, write_video

from kinema.errors import UserError
from kinema.video import open as open_module
from kinema.video.frames import Frames
from kinema.video.open import open_video
from kinema.video.scaling import Scaling


@pytest.fixture
def gradient(tmp_path):
    """A video whose brightness rises from left to right, 50 x 80, lossless."""
    ramp = np.linspace(30, 220, 80).astype(np.uint8)
    frames = np.broadcast_to(ramp[None, None, :, None], (5, 50, 80, 3))
    return write_video(tmp_path / "ramp.mp4", frames, options={"qp": "0"}, pix_fmt="yuv444p")


def test_header_values_are_reported(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(50, 48, 64), fps=12.5)
    with open_video(path) as video:
        assert (video.size, video.fps, len(video)) == ((48, 64), 12.5, 50)
        assert video.duration_sec == pytest.approx(4.0)
        assert repr(video) == f"PyAVDecoder({str(path)!r}, size=(48, 64), fps=12.5)"


@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_applied(tmp_path, rotation, backend, request):
    if backend == "torchcodec":
        request.getfixturevalue("torchcodec_loads")
    stored = np.rot90(numbered_frames(6, 48, 64), -rotation // 90, axes=(1, 2))
    path = write_video(tmp_path / "a.mp4", stored, rotation=rotation)
    with open_video(path, backend=backend) as video:
        assert video.size == (48, 64)
        assert read_numbers(video.frames_at([5, 0, 3]).pixels) == [5, 0, 3]
    with open_video(path, backend=backend, size=(24, 40)) as video:
        frames = video.frames_at([4])
        assert frames.pixels.shape == (1, 24, 40, 3)
        assert read_numbers(frames.pixels) == [4]


@pytest.mark.parametrize(
    ("scaling", "size", "target"),
    [
        (Scaling(), (50, 80), (50, 80)),
        (Scaling(short_side=25), (50, 80), (25, 40)),
        (Scaling(short_side=100), (50, 80), (100, 160)),
        (Scaling(short_side=256), (240, 320), (256, 341)),
        (Scaling(short_side=256), (320, 240), (341, 256)),
        (Scaling(short_side=5), (10, 11), (5, 6)),
        (Scaling(short_side=7), (7, 7), (7, 7)),
        (Scaling(size=(128, 171)), (240, 320), (128, 171)),
    ],
)
def test_target_size(scaling, size, target):
    assert scaling.target(size) == target


@pytest.mark.parametrize("bad", [{"short_side": -1}, {"size": (0, 5)}, {"short_side": 3, "size": (3, 3)}])
def test_impossible_sizes_are_refused(bad):
    with pytest.raises(UserError):
        Scaling(**bad)


@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
@pytest.mark.parametrize("short_side", [20, 25, 80])
def test_scaling_while_decoding_equals_scaling_afterwards(gradient, short_side, backend, request):
    if backend == "torchcodec":
        request.getfixturevalue("torchcodec_loads")
    with open_video(gradient) as video:
        whole = video.frames_at([3]).pixels[0]
    with open_video(gradient, short_side=short_side, backend=backend) as video:
        assert video.size == (50, 80)
        scaled = video.frames_at([3]).pixels[0]
    height, width = Scaling(short_side=short_side).target((50, 80))
    expected = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA if short_side < 50 else cv2.INTER_LINEAR)
    assert scaled.shape == (height, width, 3)
    assert np.abs(scaled.astype(int) - expected).max() <= 3


def test_shrinking_does_not_alias(tmp_path):
    stripes = np.zeros((3, 64, 64, 3), np.uint8)
    stripes[:, :, ::2] = 255
    path = write_video(tmp_path / "a.mp4", stripes, options={"qp": "0"}, pix_fmt="yuv444p")
    with open_video(path, short_side=16) as video:
        inner = video.frames_at([1]).pixels[0][:, 2:-2].astype(int)
    assert inner.max() - inner.min() < 40


@pytest.mark.parametrize("color", [(200, 40, 40), (40, 200, 40), (40, 40, 200), (128, 128, 128)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le"])
def test_colors_come_back_as_rgb(tmp_path, color, pix_fmt):
    path = write_video(tmp_path / "a.mp4", np.full((4, 32, 32, 3), color, np.uint8), pix_fmt=pix_fmt)
    with open_video(path) as video:
        assert np.abs(video.frames_at([2]).pixels.astype(int) - color).max() <= 6


def test_counting_in_the_middle_of_reading_changes_nothing(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(60), gop=12)
    with open_video(path, num_frames=60) as video:
        assert read_numbers(video.frames_at([10, 20]).pixels) == [10, 20]
        assert video.size == (48, 64)
        assert read_numbers(video.frames_at([21, 22]).pixels) == [21, 22]
        assert video.count_frames() == 60
        assert read_numbers(video.frames_at([23, 0]).pixels) == [23, 0]


def test_auto_says_once_which_backend_reads(tmp_path, caplog):
    path = write_video(tmp_path / "a.mp4", numbered_frames(3))
    open_module._file_backend.cache_clear()
    with caplog.at_level(logging.INFO, logger="kinema"):
        for _ in range(3):
            open_video(path).close()
    assert [record.message for record in caplog.records] == [f"video files are read with PyAV {av.__version__}"]


def test_a_broken_pyav_is_reported_plainly(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", numbered_frames(3))
    open_module._file_backend.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "av", None)
        with pytest.raises(UserError, match="PyAV, which reads video files, does not load"):
            open_video(path)
    open_video(path).close()


def test_iter_frames_refuses_impossible_ranges(tmp_path):
    with open_video(write_video(tmp_path / "a.mp4", numbered_frames(3))) as video:
        for bad in ({"start": -1}, {"step": 0}, {"chunk": 0}):
            with pytest.raises(ValueError, match="step and chunk"):
                list(video.iter_frames(**bad))


def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the /proc of Linux")
def test_closing_frees_frames_without_waiting_for_the_garbage_collector(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(25, 480, 640), gop=12, options={"bf": "2"})
    gc.collect()
    gc.disable()
    try:
        for number in range(30):
            with open_video(path, num_frames=25, short_side=120) as video:
                video.frames_at([3, 9, 20])
                video.frames_at([5, 10, 24])
                cursor = weakref.ref(video._walk.cursor)
            del video
            assert cursor() is None
            if number == 5:
                before_mib = resident_mib()
    finally:
        gc.enable()
    # A frame takes 0.45 MiB; 24 times six of them and what their decoders hold would take more than 60.
    assert resident_mib() - before_mib < 15


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the /proc of Linux")
def test_opening_500_times_leaks_neither_files_nor_memory(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(12, 240, 320), gop=4)

    def use(times):
        for _ in range(times):
            with open_video(path, short_side=120) as video:
                video.frames_at([11, 2, len(video) - 3])
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), resident_mib()

    use(50)
    files, memory_mib = use(50)
    files_later, memory_later_mib = use(400)
    assert files_later == files
    # One frame of this video takes 0.2 MiB; 400 leaked decoders would take hundreds.
    assert memory_later_mib - memory_mib < 10


def test_decoders_in_several_threads_do_not_disturb_each_other(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(60), gop=12)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        with open_video(path) as video:
            for _ in range(20):
                index = int(rng.integers(60))
                if read_number(video.frames_at([index]).pixels[0]) != index:
                    wrong.append(index)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_frames_check_their_shapes_and_print_no_pixels():
    frames = Frames(np.zeros((2, 4, 5, 3), np.uint8), np.array([0.0, 0.5]))
    assert repr(frames) == "Frames(pixels=uint8 (t=2, h=4, w=5, c=3), times_sec=0.000..0.500 s)"
    assert len(frames) == 2
    with pytest.raises(ValueError, match="t h w c"):
        Frames(np.zeros((2, 4, 5, 3), np.float32), np.zeros(2))
    with pytest.raises(ValueError, match="t h w c"):
        Frames(np.zeros((2, 3, 4, 5), np.uint8), np.zeros(2))
    with pytest.raises(ValueError, match="one time for each of 2"):
        Frames(np.zeros((2, 4, 5, 3), np.uint8), np.zeros(3))
