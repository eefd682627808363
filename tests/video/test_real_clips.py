"""Real clips, the difficult ones included: what each gives. Skipped where they are not beside the checkout."""

import csv
import json

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video.open import open_video

OTHER_COUNTS = {
    "corrupted.mp4": 49,  # the header announces 50, the decoder rejects one packet
    "stream_copy_cut_editlist.mp4": 92,  # the edit list hides 99 of 191 packets
    "nasa_13013.mp4": 390,  # the listing describes the first video stream, FFmpeg prefers the second
    "Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2.avi": 40,  # cut off: the header announces 48
    # DivX files whose last packet gives no frame.
    "(HQ)_Rock_Climbing_-_Free_Solo_Speed_Climb_-_Dan_Osman_climb_f_cm_np1_le_med_2.avi": 242,
    "6arrowswithin30seconds_shoot_bow_f_nm_np1_fr_med_3.avi": 81,
    "AdvancedBoxingTechniquesandExercises_punch_u_nm_np1_ba_med_23.avi": 172,
    "BaseballHitinSlowMotion_swing_baseball_f_nm_np1_fr_bad_0.avi": 140,
    "Golf_Tips_-_Hit_The_Driver_300+_Yards!!!_golf_f_nm_np1_fr_med_0.avi": 89,
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi": 72,
    "SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi": 74,
    "TrumanShow_wave_f_nm_np1_fr_med_26.avi": 48,
    "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": 83,
}
"""Frames of a sequential decode where the listing of the clips has another number, which it took from the header."""

OTHER_RATES = {
    "Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2.avi": 39 / 47 * 30,  # the file leaves out frames, 40 of 48 are there
    "corrupted.mp4": 48 / 49 * 10,  # one frame is missing
    "stream_copy_cut_editlist.mp4": 91 / 92 * 30,  # one frame is missing
    "vfr_160x120.mp4": 80 / 7.941267,  # the header counts no time for the last frame
    "imageio_test.webm": 93 / 3.104,  # the header guesses from the first frames
}
"""Frames per second of the frames themselves, where the header's are others."""

UNREADABLE = {
    "audio_only.mp4": "no video stream",
    "empty.mp4": "empty file",
    "random_bytes.mp4": "not a video",
    "truncated_no_moov.mp4": "not a video",
    "phpffmpeg_WrongFile.mp4": "not a video",
}


def listed(shared_data, folders):
    with (shared_data / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["path"].startswith(folders)]
    assert rows
    return [(shared_data / row["path"], row) for row in rows]


@pytest.mark.parametrize("folder", ["decode_assets/", "labelled_clips/", "kinetics400_8/", "weizmann_4c/"])
def test_every_clip_gives_the_expected_frames(shared_data, folder):
    for path, row in listed(shared_data, folder):
        if path.name in UNREADABLE:
            with pytest.raises(VideoError, match=UNREADABLE[path.name]):
                open_video(path)
            continue
        expected = OTHER_COUNTS.get(path.name, int(row["frames"]))
        with open_video(path) as video:
            assert len(video) == expected, path
            assert video.count_frames() == expected, path
            turned = row["rotation"] in ("90", "-90")
            listed_size = (int(row["height"]), int(row["width"]))
            if path.name != "nasa_13013.mp4":
                assert video.size == (listed_size[::-1] if turned else listed_size), path
                rate = OTHER_RATES.get(path.name, float(row["avg_fps"] or 1))
                assert video.fps == pytest.approx(rate, abs=1e-3), path


def test_the_many_small_clips_have_the_listed_counts(shared_data):
    for path, row in listed(shared_data, ("ucf101_8c/", "typing_exercise/"))[::25]:
        with open_video(path) as video:
            assert len(video) == int(row["frames"]), path
            assert video.frames_at([len(video) - 1]).pixels.any()


def test_difficult_clips_are_exact_at_random(shared_data):
    for path, _ in listed(shared_data, "decode_assets/"):
        if path.name in UNREADABLE or path.name.startswith("imageio_cockatoo"):
            continue
        with open_video(path) as video:
            indices = np.random.default_rng(1).integers(0, len(video), 5)
            sequential = [frames.pixels for frames in video.iter_frames(0, int(indices.max()) + 1)]
            expected = np.concatenate(sequential)[indices]
            assert np.array_equal(video.frames_at(indices).pixels, expected), path


def test_times_agree_with_those_that_torchcodec_publishes(shared_data):
    path = shared_data / "decode_assets" / "torchcodec" / "nasa_13013.mp4"
    info = json.loads(path.with_name(path.name + ".stream3.all_frames_info.json").read_text())
    with open_video(path) as video:
        assert len(video) == len(info)
        times_sec = video.frames_at(range(0, len(info), 10)).times_sec
    assert np.allclose(times_sec, [float(frame["pts_time"]) for frame in info[::10]], atol=1e-5)


@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
def test_pixels_agree_with_those_that_torchcodec_publishes(shared_data, tmp_path, backend, request):
    if backend == "torchcodec":
        request.getfixturevalue("torchcodec_loads")
    source = shared_data / "decode_assets" / "torchcodec" / "nasa_13013.mp4"
    path = tmp_path / "first_stream.mp4"
    with av.open(str(source)) as read, av.open(str(path), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        for packet in read.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                write.mux(packet)
    reference = np.load(source.with_name(source.name + ".stream0.reference_frames.npz"))
    with open_video(path, backend=backend) as video:
        assert np.array_equal(video.frames_at(reference["frame_index"]).pixels, reference["frames"])
