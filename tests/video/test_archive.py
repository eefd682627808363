"""Videos inside tar archives and on remote storage: the same frames, and clear words when something is wrong."""

import builtins
import functools
import http.server
import os
import tarfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from make_videos import numbered_frames, read_numbers, write_video

from kinema.data.dataset import open_record
from kinema.data.manifest import Manifest, Record
from kinema.data.scan import check
from kinema.errors import MissingExtraError, StorageError, UserError, VideoError
from kinema.inference.views import ViewDataset
from kinema.specs.protocol import EvalProtocol
from kinema.specs.sampling import Uniform
from kinema.video import remote
from kinema.video.archive import index_text
from kinema.video.location import split_archive
from kinema.video.open import open_video

LONG = "deep/" * 12 + "n" * 90 + ".mp4"


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(remote, "PAUSE_SEC", 0.0)
    monkeypatch.delenv(remote.CACHE_VARIABLE, raising=False)
    remote.remote_index.cache_clear()
    yield
    remote.remote_index.cache_clear()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of three videos whose numbers begin at 0, 100 and 200, with its index."""
    path, checksums = tmp_path / "shards" / "0.tar", {}
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for number, name in enumerate(("a/x.mp4", LONG, "y.mkv")):
            video = write_video(tmp_path / Path(name).name, numbered_frames(20, first=100 * number), gop=8)
            checksums[name] = f"{zlib.crc32(video.read_bytes()):08x}"
            tar.add(video, name)
    path.with_name("0.tar.index").write_text(index_text(str(path), checksums))
    return path


def upload(archive: Path, address: str) -> str:
    for path in archive.parent.iterdir():
        with fsspec.open(f"{address}/{path.name}", "wb") as file:
            file.write(path.read_bytes())  # type: ignore[attr-defined]
    return f"{address}/{archive.name}"


def numbers(path: str | Path, **how: Any) -> list[int]:
    with open_video(path, **how) as video:
        return read_numbers(video.frames_at([19, 3, 4, 11]).pixels)


@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
def test_videos_in_an_archive_give_their_own_frames(archive: Path, backend: str) -> None:
    if backend == "torchcodec":
        pytest.importorskip("torchcodec")
    for first, name in ((0, "a/x.mp4"), (100, LONG), (200, "y.mkv")):
        assert numbers(f"{archive}/{name}", backend=backend) == [first + n for n in (19, 3, 4, 11)]
    with open_video(archive / "a/x.mp4", num_frames=20) as video:
        assert (len(video), video.count_frames(), video.size) == (20, 20, (48, 64))


def test_without_an_index_the_archive_is_searched(archive: Path) -> None:
    archive.with_name("0.tar.index").unlink()
    assert numbers(archive / "y.mkv") == [219, 203, 204, 211]


def test_a_folder_may_be_called_like_an_archive(tmp_path: Path) -> None:
    (tmp_path / "set.tar").mkdir()
    write_video(tmp_path / "set.tar" / "v.mp4", numbered_frames(20))
    assert split_archive(tmp_path / "set.tar" / "v.mp4") is None
    assert numbers(tmp_path / "set.tar" / "v.mp4") == [19, 3, 4, 11]


def test_what_is_wrong_with_an_archive_is_said(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"holds 3 videos, but not this; similar: a/x\.mp4"):
        open_video(archive / "a/xx.mp4")
    with pytest.raises(VideoError, match=r"the archive .*1\.tar is missing"):
        open_video(archive.with_name("1.tar") / "a/x.mp4")
    with pytest.raises(VideoError, match="backend 'frames' reads a folder"):
        open_video(archive / "a/x.mp4", backend="frames")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-2000])
    with pytest.raises(VideoError, match=r"was cut off: it has .* bytes; copy it again"):
        open_video(archive / "a/x.mp4")
    archive.write_bytes(whole + b"\0" * 512)
    with pytest.raises(VideoError, match=r"its index says .*copy the archive and its index again"):
        open_video(archive / "a/x.mp4")
    with tarfile.open(archive, "w") as tar:  # the same videos in another order, padded to the same length
        tar.add(tmp_path / "y.mkv", "y.mkv")
        tar.add(tmp_path / "x.mp4", "a/x.mp4")
    archive.write_bytes(archive.read_bytes().ljust(len(whole), b"\0"))
    with pytest.raises(VideoError, match="something else in that place than its index says"):
        open_video(archive / "a/x.mp4")
    archive.with_name("0.tar.index").write_text("junk")
    with pytest.raises(VideoError, match=r"0\.tar\.index: is no index of an archive"):
        open_video(archive / "a/x.mp4")
    archive.with_name("0.tar.index").unlink()
    archive.write_bytes(b"junk" * 400)
    with pytest.raises(VideoError, match="is no uncompressed tar archive"):
        open_video(archive / "a/x.mp4")


def test_a_manifest_reports_missing_archives_and_videos(archive: Path) -> None:
    rows = [Record(name, f"shards/{name}") for name in ("0.tar/a/x.mp4", "0.tar/gone.mp4", "7.tar/x.mp4")]
    manifest = Manifest.from_records(rows, classes=[], root=archive.parents[1])
    with pytest.raises(UserError, match=r"2 of 3 files are missing: .*gone\.mp4: the archive holds 3 .*7\.tar is miss"):
        manifest.validate()
    manifest.select(indices=[0]).validate()


def test_remote_archives_give_the_same_frames(archive: Path, tmp_path: Path) -> None:
    address = upload(archive, "memory://bucket/shards")
    for first, name in ((0, "a/x.mp4"), (100, LONG), (200, "y.mkv")):
        assert numbers(f"{address}/{name}") == [first + n for n in (19, 3, 4, 11)]
    with fsspec.open("memory://bucket/alone.mp4", "wb") as file:
        file.write((tmp_path / "x.mp4").read_bytes())  # type: ignore[attr-defined]
    assert numbers("memory://bucket/alone.mp4") == [19, 3, 4, 11]
    rows = [Record("x", f"{address}/a/x.mp4"), Record("alone", "memory://bucket/alone.mp4")]
    manifest = Manifest.from_records(rows, classes=[], root=tmp_path)
    manifest.validate()
    manifest.write(tmp_path / "sub" / "remote.csv")
    assert [record.path for record in Manifest.read(tmp_path / "sub" / "remote.csv")] == [row.path for row in rows]
    with pytest.raises(UserError, match=r"missing: memory://bucket/gone\.mp4: no such file on the remote storage"):
        Manifest.from_records([Record("g", "memory://bucket/gone.mp4")], classes=[], root=tmp_path).validate()


def test_what_is_wrong_with_remote_storage_is_said(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = upload(archive, "memory://spoiled")
    data = bytearray(fsspec.filesystem("memory").cat_file("/spoiled/0.tar"))
    data[2000] ^= 1
    fsspec.filesystem("memory").pipe_file("/spoiled/0.tar", bytes(data))
    with pytest.raises(VideoError, match="arrived damaged"):
        open_video(f"{address}/a/x.mp4")
    with pytest.raises(VideoError, match=r"the archive memory://nowhere/0\.tar is missing; check the address"):
        open_video("memory://nowhere/0.tar/a/x.mp4")
    fsspec.filesystem("memory").pipe_file("/spoiled/1.tar", bytes(data))
    with pytest.raises(VideoError, match=r"1\.tar\.index: the index of a remote archive must lie beside it"):
        open_video("memory://spoiled/1.tar/a/x.mp4")
    with pytest.raises(UserError, match="unknown protocol 's33'; did you mean s3"):
        open_video("s33://bucket/x.mp4")
    remote.remote_index.cache_clear()
    monkeypatch.setattr(fsspec.filesystem("memory"), "cat_file", lambda *_, **__: 1 / 0)
    with pytest.raises(VideoError, match=r"failed 3 times \(ZeroDivisionError"):
        open_video(f"{address}/a/x.mp4")


def test_a_broken_remote_archive_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(path: str, **_: object) -> bytes:
        asked.append(path)
        raise PermissionError("Forbidden\nby a rule")

    monkeypatch.setattr(fsspec.filesystem("memory"), "cat_file", refuse)
    rows = [Record(str(n), f"memory://locked/0.tar/{n}.mp4") for n in range(30)]
    manifest = Manifest.from_records(rows, classes=[], root=tmp_path)
    with pytest.raises(UserError) as raised:
        manifest.validate()
    assert str(raised.value).endswith(
        "30 of 30 files are missing: memory://locked/0.tar.index: may not be read (Forbidden by a rule); "
        "check your keys, your rights and the endpoint"
    )
    assert asked == ["/locked/0.tar.index"]


def test_storage_that_does_not_answer_ends_every_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault of the videos, which --skip-bad would leave out."""
    asked = []

    def fail(_: object, path: str, **__: object) -> bytes:
        asked.append(path)
        raise ConnectionError("no route\nto the host")

    for name in ("cat_file", "exists"):
        monkeypatch.setattr(type(fsspec.filesystem("memory")), name, fail)  # each thread has a file system of its own
    rows = [Record(str(n), f"memory://far/{n}.mp4") for n in range(30)]
    manifest = Manifest.from_records(rows, classes=[], root=tmp_path)
    with pytest.raises(StorageError, match=r"failed 3 times \(ConnectionError: no route to the host\)"):
        manifest.validate()
    assert asked == ["/far/0.mp4"] * 3
    with pytest.raises(StorageError, match="failed 3 times"):
        check(manifest, 1)
    with pytest.raises(StorageError, match=r"failed 3 times .* \(video 0\)"), open_record(rows[0]):
        pass
    dataset = ViewDataset(manifest, EvalProtocol(name="test", sampler=Uniform(4)))
    for num_workers in (0, 1):
        with pytest.raises(StorageError, match=r"failed 3 times .* \(video 0\)"):
            list(dataset.videos(num_workers=num_workers))
    with pytest.raises(UserError, match=r"a manifest lies on this machine; copy it here with its classes file"):
        Manifest.read(Path("s3://bucket/clips.csv"))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] in ("fsspec", "s3fs"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'kinema\[remote\]'"):
        open_video("s3://bucket/x.mp4")


def test_the_local_copy_saves_a_second_fetch(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = upload(archive, "memory://kept")
    monkeypatch.setenv(remote.CACHE_VARIABLE, str(tmp_path / "cache"))
    assert numbers(f"{address}/a/x.mp4") == [19, 3, 4, 11]
    monkeypatch.setattr(fsspec.filesystem("memory"), "cat_file", lambda *_, **__: 1 / 0)
    assert numbers(f"{address}/a/x.mp4") == [19, 3, 4, 11]
    with pytest.raises(VideoError, match="failed 3 times"):
        open_video(f"{address}/y.mkv")
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(remote.CACHE_VARIABLE, str(tmp_path / "file"))
    assert numbers(f"{address}/a/x.mp4") == [19, 3, 4, 11]
    assert "cannot keep copies" in caplog.text


def test_a_web_server_will_do(archive: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("aiohttp")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=os.fspath(archive.parent))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/0.tar"
        assert numbers(f"{address}/a/x.mp4") == [19, 3, 4, 11]
        assert "use one that knows byte ranges" in caplog.text  # Python's own server does not
        with pytest.raises(VideoError, match="holds 3 videos, but not this"):
            open_video(f"{address}/b.mp4")
    finally:
        server.shutdown()
        server.server_close()


def test_the_index_of_a_changed_archive_is_read_anew(archive: Path, tmp_path: Path) -> None:
    assert numbers(archive / "y.mkv")[0] == 219
    write_video(tmp_path / "y.mkv", numbered_frames(21, first=300), gop=8)
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "y.mkv", "y.mkv")
    archive.with_name("0.tar.index").write_text(index_text(str(archive), {}))
    assert np.array_equal(numbers(archive / "y.mkv"), [319, 303, 304, 311])
