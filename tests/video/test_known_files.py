"""What reading a file has found out is kept, between readings, processes and runs, for as long as the file stays."""

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from make_videos import numbered_frames, read_numbers, write_video

from kinema.data.manifest import Manifest, Record
from kinema.data.scan import scan
from kinema.errors import VideoError
from kinema.video.fact_code import decode, encode
from kinema.video.fact_store import FactStore
from kinema.video.file_stamp import FileStamp
from kinema.video.known_files import KnownFiles, begin_anew, known_files
from kinema.video.open import open_video

NUM_FRAMES = 50
INDICES = [40, 7, 8, 21]

READ_ONCE = """
import sys
from kinema.video.open import open_video
for _ in range(20):
    for path in sys.argv[1:]:
        with open_video(path, num_frames=50) as video:
            assert video.frames_at([40, 7]).pixels.shape == (2, 48, 64, 3)
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of this test's own; gives its path."""
    path = tmp_path / "cache" / "videos.sqlite3"
    monkeypatch.setenv("KINEMA_VIDEO_INDEX", str(path))
    begin_anew()
    yield path
    monkeypatch.undo()
    begin_anew()


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "a.mp4", numbered_frames(NUM_FRAMES), gop=12, options={"bf": "2"})


def read(path, num_frames=NUM_FRAMES, **how):
    """The numbers in some frames, and whether FFmpeg had to open the file."""
    with open_video(path, num_frames=num_frames, **how) as video:
        numbers = read_numbers(video.frames_at(INDICES).pixels)
        return numbers, video._opened is not None


def test_a_file_is_opened_once(clip, store):
    assert read(clip) == (INDICES, True)
    assert read(clip) == (INDICES, False)


def test_other_processes_and_later_runs_know_what_one_found_out(clip, store, monkeypatch):
    read(clip)
    begin_anew()
    assert read(clip) == (INDICES, False)
    monkeypatch.setenv("KINEMA_VIDEO_INDEX", "")
    begin_anew()
    assert read(clip) == (INDICES, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_a_store_of_its_own(clip, store):
    read(clip)
    before = known_files()
    child = os.fork()
    if child == 0:
        os._exit(0 if known_files() is not before and read(clip) == (INDICES, False) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert known_files() is before
    assert read(clip) == (INDICES, False)


def test_two_processes_may_write_at_once(tmp_path, store):
    paths = [str(write_video(tmp_path / f"{name}.mp4", numbered_frames(NUM_FRAMES), gop=12)) for name in "abcdef"]
    orders = (paths, paths[::-1])
    workers = [subprocess.Popen([sys.executable, "-c", READ_ONCE, *order], env=os.environ) for order in orders]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    assert [read(Path(path)) for path in paths] == [(INDICES, False)] * 6


def test_a_file_that_was_replaced_is_read_anew(clip, store, tmp_path):
    read(clip)
    status = clip.stat()
    other = write_video(tmp_path / "b.mp4", numbered_frames(NUM_FRAMES)[::-1], gop=9)
    other.replace(clip)
    backwards = [NUM_FRAMES - 1 - index for index in INDICES]
    assert read(clip) == (backwards, True)
    assert read(clip) == (backwards, False)
    os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert read(clip) == (backwards, True)


def test_a_file_that_is_replaced_while_it_is_open_is_not_mistaken(clip, store, tmp_path):
    read(clip)
    with open_video(clip, num_frames=NUM_FRAMES) as video:
        write_video(tmp_path / "b.mp4", numbered_frames(NUM_FRAMES)[::-1], gop=9).replace(clip)
        assert read_numbers(video.frames_at(INDICES).pixels) == [NUM_FRAMES - 1 - index for index in INDICES]


@pytest.mark.parametrize("damage", ["no store", "bytes", "other version"])
def test_a_damaged_store_is_as_good_as_none(clip, store, damage):
    read(clip)
    keeper, stamp = FactStore(store), FileStamp.of_file(clip)
    facts = keeper.find(str(clip), stamp)
    if damage == "no store":
        store.write_bytes(b"no data base at all" * 100)
    elif damage == "bytes":
        keeper.keep(str(clip), stamp, facts[:-9] + bytes(9))
    else:
        text = zlib.decompress(facts[4:])
        assert text.startswith(b'{"version": [1,')
        data = zlib.compress(text.replace(b"[1,", b"[0,", 1))
        keeper.keep(str(clip), stamp, zlib.crc32(data).to_bytes(4, "big") + data)
    begin_anew()
    assert read(clip) == (INDICES, True)
    begin_anew()
    assert read(clip) == (INDICES, False)


def test_a_store_that_cannot_be_written_is_done_without(clip, store, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KINEMA_VIDEO_INDEX", str(tmp_path / "file" / "videos.sqlite3"))
    begin_anew()
    assert [read(clip), read(clip)] == [(INDICES, True), (INDICES, False)]
    begin_anew()
    assert read(clip) == (INDICES, True)


def test_nothing_is_written_beside_the_videos(clip, store):
    read(clip)
    assert [path.name for path in clip.parent.iterdir() if path.is_file()] == ["a.mp4"]


def test_a_length_is_believed_only_where_the_file_itself_told(clip, store):
    read(clip)
    assert read(clip, None) == (INDICES, True)
    with open_video(clip) as video:
        assert len(video) == NUM_FRAMES
    with open_video(clip) as video:
        assert (len(video), video._opened) == (NUM_FRAMES, None)
    assert read(clip, None) == (INDICES, False)
    with open_video(clip, num_frames=NUM_FRAMES + 1) as video, pytest.raises(VideoError, match="50 frames"):
        video.frames_at([NUM_FRAMES])


def test_a_scan_leaves_nothing_to_find_out(clip, store):
    scan(Manifest.from_records([Record("a", clip.name)], classes=[], root=clip.parent))
    assert read(clip) == read(clip, None) == (INDICES, False)


def test_known_and_unknown_files_answer_alike(video_of_kind, store):
    for kind in ("h264-open-gop", "h264-open-gop-mkv", "h264-uneven", "mpeg4-b-avi", "vp9"):
        answers = []
        for _ in range(2):
            with open_video(video_of_kind(kind)) as video:
                answers.append((len(video), video.size, video.fps, video.duration_sec, video.frame_times().tolist()))
        assert answers[0] == answers[1], kind


def test_facts_survive_being_written(clip, store):
    read(clip)
    facts = known_files().find(clip, FileStamp.of_file(clip))
    again = decode(encode(facts))
    for name in ("begins", "sizes", "pts", "are_keys", "are_needed"):
        assert np.array_equal(getattr(again.packets, name), getattr(facts.packets, name))
    assert np.array_equal(again.index.pts, facts.index.pts)
    assert again.index.key_positions == facts.index.key_positions
    assert again.codec == facts.codec
    assert again.scale == facts.scale


def test_a_process_forgets_what_would_take_too_much_memory(clip, store, tmp_path):
    read(clip)
    stamp = FileStamp.of_file(clip)
    facts = known_files().find(clip, stamp)
    known = KnownFiles(FactStore(None), max_packets=2 * NUM_FRAMES + 20)
    paths = [Path(shutil.copy2(clip, tmp_path / f"{name}.mp4")) for name in "xyz"]
    for path in paths:
        known.keep(path, stamp, facts)
    assert [known.find(path, stamp) is facts for path in paths] == [False, True, True]
