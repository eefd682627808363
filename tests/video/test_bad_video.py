"""A file that is no video gives one plain message; a damaged one gives the frames that can be decoded."""

import itertools
import pickle
import sys

import av
import numpy as np
import pytest
from make_videos import numbered_frames, read_number, read_numbers, write_audio_only, write_video

from kinema.errors import MissingExtraError, UserError, VideoError
from kinema.video.cursor import FrameCursor
from kinema.video.open import open_video


def skipping_decode(path):
    """The numbers a sequential decode shows when it passes over packets that the decoder rejects."""
    numbers = []
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                numbers += [read_number(frame.to_ndarray(format="rgb24")) for frame in packet.decode()]
            except av.FFmpegError:
                continue
    return numbers


def packet_places(path):
    """Byte offset and size of each video packet."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def overwrite(path, start, data):
    content = bytearray(path.read_bytes())
    content[start : start + len(data)] = data
    path.write_bytes(content)


def bad_files(folder):
    """Path and a word of the message, for files that hold no picture."""
    whole = write_video(folder / "whole.mp4", numbered_frames(20)).read_bytes()
    contents = {
        "empty.mp4": (b"", "empty file"),
        "text.mp4": (b"frame 1\nframe 2\n" * 100, "not a video"),
        "random.mp4": (np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes(), "not a video"),
        "no_index.mp4": (whole[: len(whole) // 2], "not a video"),
        "only_header.mp4": (whole[:48], "not a video"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    (folder / "folder" / "notes.txt").write_text("no image")
    write_audio_only(folder / "sound.m4a")
    return {
        **{name: reason for name, (_, reason) in contents.items()},
        "sound.m4a": "no video stream",
        "missing.mp4": "no such file",
        "folder": "holds no images",
    }


def test_each_bad_file_is_named_with_a_plain_reason(tmp_path):
    for name, reason in bad_files(tmp_path).items():
        with pytest.raises(VideoError) as caught:
            open_video(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(str(tmp_path / name)), message
        assert reason in message
        assert "Errno" not in message
        assert "avcodec" not in message
        assert "\n" not in message
        assert str(pickle.loads(pickle.dumps(caught.value))) == message


def test_torchcodec_backend_gives_the_same_messages(tmp_path, torchcodec_loads):
    for name, reason in bad_files(tmp_path).items():
        if name != "folder":
            with pytest.raises(VideoError, match=reason):
                open_video(tmp_path / name, backend="torchcodec")


def test_a_folder_is_no_file_and_a_file_is_no_folder(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(3))
    with pytest.raises(VideoError, match="is a folder"):
        open_video(tmp_path, backend="pyav")
    with pytest.raises(VideoError, match="is not a folder"):
        open_video(path, backend="frames")


def test_unknown_backend_and_contradictory_sizes_are_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(3))
    with pytest.raises(UserError, match="did you mean pyav"):
        open_video(path, backend="pyva")
    with pytest.raises(UserError, match="not both"):
        open_video(path, short_side=10, size=(4, 4))
    with pytest.raises(UserError, match="at least 1"):
        open_video(path, short_side=0)


def test_a_missing_torchcodec_names_the_extra(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", numbered_frames(3))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(MissingExtraError, match=r"kinema\[torchcodec\]"):
        open_video(path, backend="torchcodec")


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi"])
def test_a_truncated_file_gives_the_frames_before_the_cut(tmp_path, kind):
    options = {"movflags": "faststart"} if kind == "mp4" else {}
    codec = "mpeg4" if kind == "avi" else "libx264"
    path = write_video(tmp_path / f"a.{kind}", numbered_frames(60), codec=codec, gop=12, container_options=options)
    path.write_bytes(path.read_bytes()[: packet_places(path)[40][0] + 5])
    expected = skipping_decode(path)
    assert expected[:30] == list(range(30))
    with open_video(path) as video:
        assert len(video) == len(expected) < 60
        assert read_numbers(video.frames_at(range(30)).pixels) == expected[:30]
        with pytest.raises(VideoError, match=f"frame {len(expected)} was asked for"):
            video.frames_at([3, len(expected)])


@pytest.mark.parametrize("where", [20, 30, 58])
def test_a_rejected_packet_is_not_counted_and_later_frames_move_up(tmp_path, where):
    path = write_video(tmp_path / "a.mp4", numbered_frames(60), gop=12, options={"bf": "0"})
    start, size = packet_places(path)[where]
    overwrite(path, start, b"\xff" * min(size, 40))
    expected = skipping_decode(path)
    assert len(expected) < 60, "the damage must show"
    with open_video(path) as video:
        assert video.count_frames() == len(expected)
    for known in (None, len(expected)):
        with open_video(path, num_frames=known) as video:
            last = read_numbers(video.frames_at([len(expected) - 1]).pixels)
            assert last == [expected[-1]]
            assert len(video) == len(expected)
            assert read_numbers(video.frames_at(range(len(video))).pixels) == expected


def test_a_read_error_ends_the_video_and_gives_up_the_frames_in_flight(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(60), gop=12, options={"bf": "2"})

    class FailingContainer:
        def __init__(self, container):
            self.container = container

        def demux(self, stream):
            yield from itertools.islice(self.container.demux(stream), 30)
            raise av.error.InvalidDataError(1, "disk failure", str(path))

        def close(self):
            self.container.close()

    cursor = FrameCursor(path, 1)
    cursor.container = FailingContainer(cursor.container)
    numbers = [read_number(frame.to_ndarray(format="rgb24")) for frame in cursor.frames()]
    cursor.close()
    assert len(numbers) == 30
    assert numbers[:25] == list(range(25))


@pytest.mark.parametrize(("codec", "suffix"), [("libvpx-vp9", "webm"), ("libx264", "mp4"), ("libx265", "mkv")])
def test_a_tail_that_cannot_be_decoded_is_not_counted(tmp_path, codec, suffix):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_video(tmp_path / f"a.{suffix}", numbered_frames(40), codec=codec, gop=12, options=options)
    for start, size in packet_places(path)[-2:]:
        overwrite(path, start + size - 6, b"\xff" * 6)  # the packet's own lengths stay right
        if codec == "libvpx-vp9":
            overwrite(path, start + 4, b"\xff" * min(size, 12))
    expected = skipping_decode(path)
    with open_video(path) as video:
        assert len(video) == len(expected)
        assert read_numbers(video.frames_at(range(30)).pixels) == expected[:30] == list(range(30))
    if codec == "libvpx-vp9":
        assert len(expected) < 40, "the damage must show"


def test_a_wrong_count_from_a_manifest_is_reported(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(30))
    with (
        open_video(path, num_frames=50) as video,
        pytest.raises(VideoError, match=r"has 30 frames.*scan the file again"),
    ):
        video.frames_at([2, 40])


def test_one_frame_is_a_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(1, first=9))
    with open_video(path) as video:
        assert len(video) == video.count_frames() == 1
        assert read_numbers(video.frames_at([0, 0, 0]).pixels) == [9, 9, 9]
        with pytest.raises(VideoError, match="frame 1 was asked for"):
            video.frames_at([1])
        with pytest.raises(IndexError, match="negative"):
            video.frames_at([0, -1])
        assert video.frames_at([]).pixels.shape == (0, 48, 64, 3)


def test_an_unreadable_title_does_not_matter(tmp_path):
    path = write_video(tmp_path / "a.avi", numbered_frames(5), codec="mpeg4")
    content = path.read_bytes()
    place = content.index(b"Lavf")
    overwrite(path, place, b"\x84\x94\xe1\xff")
    with open_video(path) as video:
        assert len(video) == 5
