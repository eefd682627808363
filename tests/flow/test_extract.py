"""Extraction: every video once, whatever stops it, on any number of processes; bad videos and full disks."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from make_videos import numbered_frames, write_video

from kinema.cli.main import run
from kinema.data.manifest import Manifest, Record
from kinema.derived.derive import Advance
from kinema.derived.extract_flow import extract_flow, store_path
from kinema.errors import UserError
from kinema.video.flow_store import FlowDescription, open_flow_store
from kinema.video.flow_writer import JPEG_QUALITY

OPTIONS = ["--method", "farneback", "--backend", "opencv"]


def stores_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*.flow.*") if not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def write_set(folder: Path, videos: dict[str, int | bytes]) -> Path:
    """Videos of so many frames, or files with these bytes; a folder of one class."""
    (folder / "a").mkdir(parents=True)
    for name, content in videos.items():
        path = folder / "a" / f"{name}.mp4"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            write_video(path, numbered_frames(content))
    return folder


def test_a_data_set_becomes_a_manifest_of_stores(shapes: Manifest, flow_of_shapes: Manifest) -> None:
    assert flow_of_shapes.digest() == shapes.digest()
    assert flow_of_shapes.no_flip == shapes.no_flip
    assert {record.num_frames for record in flow_of_shapes} == {5}
    with open_flow_store(flow_of_shapes[0].path) as store:
        made = store.description
        assert (made.method, made.backend, made.bound, made.step) == ("farneback", "opencv", 20.0, 1)
        assert (made.size, made.kind, made.quality) == ((32, 32), "jpeg", JPEG_QUALITY)
        assert made.version
        assert made.source == shapes[0].video_id


@pytest.mark.parametrize("kind", ["jpeg", "video"])
def test_fields_have_the_times_of_their_frames(tmp_path: Path, kind: str) -> None:
    times = np.cumsum([0, 40, 70, 33, 110, 40, 200, 33])
    (tmp_path / "videos" / "a").mkdir(parents=True)
    video = tmp_path / "videos" / "a" / "uneven.mkv"
    write_video(video, numbered_frames(8), times=times.tolist(), time_base=Fraction(1, 1000))
    options = ["--kind", kind, "--step", "2", "--out", str(tmp_path / "flow")]
    assert run(["flow", "extract", "--data", str(tmp_path / "videos"), *OPTIONS, *options]) == 0
    (path,) = tmp_path.joinpath("flow").rglob("uneven*.flow.*")
    with open_flow_store(path) as store:
        np.testing.assert_allclose(store.frame_times(), times[[0, 2, 4]] / 1000, atol=1e-6)
        old = json.loads(store.description.to_json())
    del old["times_sec"]  # as stores were before they knew uneven times
    assert FlowDescription.from_json(path, json.dumps(old)).times_sec == ()


def test_motion_to_the_right_is_stored_above_the_middle(flow_of_shapes: Manifest) -> None:
    for label, channel, sign in (("moving right", 0, 1), ("moving left", 0, -1), ("moving down", 1, 1)):
        levels = []
        for record in flow_of_shapes:
            if record.label == label:
                with open_flow_store(record.path) as store:
                    levels.append(store.frames_at(np.arange(5)).pixels[..., channel].mean() - 127.5)
        assert sign * np.mean(levels) > 0.5, label


def test_a_second_run_computes_nothing_and_mends_damage(tmp_path: Path) -> None:
    videos = write_set(tmp_path / "videos", {"one": 1, "six": 6, "twenty": 20})
    told: list[Advance] = []
    how = {"method": "farneback", "backend": "opencv", "num_workers": 0}
    first = extract_flow(videos, tmp_path / "out", **how, progress=told.append)
    assert (first.num_videos, first.num_found, first.num_fields) == (3, 0, 5 + 19)
    assert sum(step.num_frames for step in told) == 24
    assert sum(step.num_videos for step in told) == 3
    before = stores_of(tmp_path / "out")
    assert len(before) == 3
    again = extract_flow(videos, tmp_path / "out", **how)
    assert (again.num_videos, again.num_found, again.num_fields) == (3, 3, 0)
    store = tmp_path / "out" / "a" / "six.flow.zip"
    store.write_bytes(before["a/six.flow.zip"][:-30])
    mended = extract_flow(videos, tmp_path / "out", **how)
    assert (mended.num_found, mended.num_fields) == (2, 5)
    assert stores_of(tmp_path / "out") == before


def test_a_video_of_one_frame_has_one_field_without_motion(tmp_path: Path) -> None:
    videos = write_set(tmp_path / "videos", {"one": 1})
    extract_flow(videos, tmp_path / "out", method="farneback", backend="opencv", num_workers=0, kind="video")
    with open_flow_store(tmp_path / "out" / "a" / "one.flow.mkv") as store:
        assert len(store) == 1
        assert (store.frames_at(np.array([0])).pixels == 128).all()


def test_frames_that_change_size_are_scaled_to_the_first(tmp_path: Path) -> None:
    for name, height, width in (("first", 48, 64), ("second", 32, 48)):
        write_video(tmp_path / f"{name}.h264", numbered_frames(4, height, width), options={"bf": "0"}, container="h264")
    (tmp_path / "videos" / "a").mkdir(parents=True)
    joined = (tmp_path / "first.h264").read_bytes() + (tmp_path / "second.h264").read_bytes()
    with (
        av.open(io.BytesIO(joined), format="h264") as raw,
        av.open(str(tmp_path / "videos" / "a" / "sizes.mkv"), "w") as file,
    ):
        stream = file.add_stream_from_template(raw.streams.video[0])
        for number, packet in enumerate(packet for packet in raw.demux(video=0) if packet.size):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            file.mux(packet)
    done = extract_flow(tmp_path / "videos", tmp_path / "out", method="farneback", num_workers=0)
    assert (done.bad, done.num_fields) == ([], 7)
    with open_flow_store(tmp_path / "out" / "a" / "sizes.flow.zip") as store:
        assert store.size == (48, 64)


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    videos = write_set(tmp_path / "videos", {"six": 6})
    extract_flow(videos, tmp_path / "out", method="farneback", backend="opencv", num_workers=0)
    with pytest.raises(UserError, match=r"made with bound 20\.0, not 15\.0; give another --out"):
        extract_flow(videos, tmp_path / "out", method="farneback", backend="opencv", num_workers=0, bound=15)
    with pytest.raises(UserError, match=r"made with step 1, not 2"):
        extract_flow(videos, tmp_path / "out", method="farneback", backend="opencv", num_workers=0, step=2)


def test_steps_segments_and_sizes(tmp_path: Path) -> None:
    videos = write_set(tmp_path / "videos", {"long": 50})
    records = [
        Record("whole", "a/long.mp4", "a", split="train"),
        Record("part/../x", "a/long.mp4", "a", split="train", start=0.4, end=0.84),
    ]
    manifest = Manifest.from_records(records, classes=["a"], root=videos)
    done = extract_flow(
        manifest, tmp_path / "out", method="farneback", backend="opencv", num_workers=0, step=3, short_side=24
    )
    assert done.manifest is not None
    whole, part = Manifest.read(done.manifest)
    assert (whole.num_frames, part.num_frames) == (16, 3)  # frames 0, 3, …, 48 and 10, 13, 16, 19
    assert part.fps == pytest.approx(25 / 3, abs=1e-3)
    assert np.isnan(part.start)
    assert Path(part.path) == tmp_path / "out" / "part" / "%2E%2E" / "x.flow.zip"
    with open_flow_store(whole.path) as store:
        assert store.size == (24, 32)


def test_frames_too_small_for_flow_are_a_bad_video(tmp_path: Path) -> None:
    (tmp_path / "videos" / "a").mkdir(parents=True)
    write_video(tmp_path / "videos" / "a" / "tiny.mp4", numbered_frames(3, height=6, width=8))
    done = extract_flow(tmp_path / "videos", tmp_path / "out", method="farneback", num_workers=0)
    assert [(bad.video_id, "too small for flow" in bad.reason) for bad in done.bad] == [("a/tiny", True)]
    assert done.manifest is None


def test_ids_make_file_names_inside_the_folder() -> None:
    names = ["a/b", "/a", "..", "a//b", "ü:?", "a b", ""]
    paths = [store_path(Path("out"), name, "jpeg") for name in names]
    assert len(set(paths)) == len(names)
    assert all(".." not in path.parts and path.parts[0] == "out" for path in paths)


def test_bad_videos_are_listed_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = write_set(tmp_path / "videos", {"good": 6, "empty": b"", "junk": b"no video" * 99})
    words = ["flow", "extract", "--data", str(videos), "--out", str(tmp_path / "out"), *OPTIONS, "--num-workers", "2"]
    assert run(words) == 1
    shown = capsys.readouterr()
    assert "2 of 3 videos cannot be read; the others have their flow" in shown.err
    listed = [line.split("\t")[0] for line in shown.out.splitlines() if "\t" in line]
    assert listed == ["video_id", "a/empty", "a/junk"]
    assert len(Manifest.read(tmp_path / "out" / "flow.csv")) == 1
    (videos / "a" / "good.mp4").unlink()
    (videos / "a" / "good.mp4").write_bytes(b"")
    assert run([*words[:5], str(tmp_path / "other"), *words[6:]]) == 1
    assert "3 of 3 videos cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["jpeg", "video"])
def test_a_full_disk_stops_with_a_message_and_loses_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = write_set(tmp_path / "videos", {"first": 6, "second": 6, "third": 6})
    how = {"method": "farneback", "backend": "opencv", "kind": kind}
    extract_flow(videos, tmp_path / "good", **how, num_workers=0)
    opened = Path.open

    def full_for_second(path: Path, mode: str = "r", *rest: object, **options: object) -> object:
        file = opened(path, mode, *rest, **options)
        if mode == "wb" and "second" in path.name:
            file.close()
            file = opened(Path("/dev/full"), "wb", buffering=0)
        return file

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full_for_second)
        with pytest.raises(UserError, match=r"disk of .*out is full .* 1 of 3 videos is complete.*same command again"):
            extract_flow(videos, tmp_path / "out", **how, num_workers=0)
    assert [path.name.split(".")[0] for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["first"]
    extract_flow(videos, tmp_path / "out", **how, num_workers=0)
    assert stores_of(tmp_path / "out") == stores_of(tmp_path / "good")


def test_a_killed_run_goes_on_and_leaves_the_same_bytes(tmp_path: Path) -> None:
    videos = write_set(tmp_path / "videos", {f"clip{number}": 40 for number in range(6)})
    extract_flow(videos, tmp_path / "good", method="farneback", backend="opencv", num_workers=2)
    words = ["flow", "extract", "--data", str(videos), "--out", str(tmp_path / "out"), *OPTIONS, "--num-workers", "2"]
    process = subprocess.Popen([sys.executable, "-m", "kinema", *words], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not stores_of(tmp_path / "out") and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.3)  # the workers notice that they are alone within a few frames
    left = stores_of(tmp_path / "out")
    good = stores_of(tmp_path / "good")
    assert 0 < len(left) < len(good), "killed in the middle"
    assert left.items() <= good.items(), "what is there is complete"
    assert not (tmp_path / "out" / "flow.csv").exists()
    (tmp_path / "out" / "a" / ".clip5.flow.zip.123.part").write_bytes(b"left by a killed process")
    assert run(words) == 0
    assert stores_of(tmp_path / "out") == good
    assert len(Manifest.read(tmp_path / "out" / "flow.csv")) == 6
    assert not list((tmp_path / "out").rglob("*.part"))


def test_launched_processes_share_the_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = write_set(tmp_path / "videos", {f"clip{number}": 3 for number in range(5)})
    for rank, expected in ((0, 3), (1, 2)):
        for name, value in (("SLURM_PROCID", rank), ("SLURM_NTASKS", 2), ("SLURM_LOCALID", rank)):
            monkeypatch.setenv(name, str(value))
        done = extract_flow(videos, tmp_path / "out", method="farneback", backend="opencv", num_workers=0)
        assert (done.num_videos, done.num_fields) == (expected, 2 * expected)
    assert len(Manifest.read(tmp_path / "out" / "flow.csv")) == 5


def test_a_killed_worker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = write_set(tmp_path / "videos", {"one": 3, "two": 3})

    def killed(*arguments: object, **options: object) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    monkeypatch.setattr("kinema.derived.extract_flow.extract_video", killed)
    with pytest.raises(UserError, match="killed by signal 9; what is finished is kept"):
        extract_flow(videos, tmp_path / "out", method="farneback", backend="opencv", num_workers=1)


def test_a_folder_of_another_data_set_is_refused_before_the_work(tmp_path: Path) -> None:
    videos = write_set(tmp_path / "videos", {"one": 1})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "flow.csv").write_text("video_id,path,label,split\nx,x.mp4,b,train\n")
    with pytest.raises(UserError, match=r"flow.csv lists flow of another data set, with the classes b;.*another --out"):
        extract_flow(videos, tmp_path / "out", method="farneback", backend="opencv", num_workers=0)
    assert not stores_of(tmp_path / "out")
