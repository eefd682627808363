"""A checkpoint is written whole or not at all, and reading one runs no code."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from kinema.errors import CheckpointError
from kinema.weights import checkpoint as checkpoint_file

PAYLOAD = dict.fromkeys(checkpoint_file.REQUIRED) | {"state_dict": {"weight": torch.arange(6.0)}}


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    checkpoint_file.write(tmp_path / "a.ckpt", PAYLOAD)
    payload = checkpoint_file.read(tmp_path / "a.ckpt")
    assert torch.equal(payload["state_dict"]["weight"], torch.arange(6.0))
    assert payload["format"] == checkpoint_file.FORMAT
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device fills up after part of the bytes are written."""
    path = tmp_path / "a.ckpt"
    checkpoint_file.write(path, PAYLOAD)
    before = path.read_bytes()
    original = Path.open

    def open_small(self, mode="r", *args, **kwargs):
        file = original(self, mode, *args, **kwargs)
        return _SmallFile(file) if "w" in mode else file

    monkeypatch.setattr(Path, "open", open_small)
    with pytest.raises(
        CheckpointError, match=r"a\.ckpt could not be written .*No space left.*earlier file is unchanged"
    ):
        checkpoint_file.write(path, {**PAYLOAD, "state_dict": {"weight": torch.zeros(100_000)}})
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.ckpt"]


class _SmallFile:
    """A file on a device with room for 10,000 bytes."""

    def __init__(self, file) -> None:
        self._file, self._left = file, 10_000

    def write(self, data) -> int:
        self._left -= len(memoryview(data).cast("B"))
        if self._left < 0:
            raise OSError(28, "No space left on device")
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self._file.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_really_full_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "with_name", lambda self, name: Path("/dev/full"))
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    with pytest.raises(CheckpointError, match="No space left on device"):
        checkpoint_file.write(tmp_path / "a.ckpt", PAYLOAD)
    assert not (tmp_path / "a.ckpt").exists()


def test_missing_and_truncated_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        checkpoint_file.read(tmp_path / "none.ckpt")
    path = tmp_path / "a.ckpt"
    checkpoint_file.write(path, {**PAYLOAD, "state_dict": {"weight": torch.zeros(10_000)}})
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"a\.ckpt is (truncated|damaged) or not a checkpoint"):
            checkpoint_file.read(path)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    trapped = {**PAYLOAD, "format": 1, "recipe": Trap(tmp_path / "executed")}
    torch.save(trapped, tmp_path / "zip.ckpt")
    with pytest.raises(CheckpointError, match="could run code, so it is refused"):
        checkpoint_file.read(tmp_path / "zip.ckpt")
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps(trapped["recipe"]))
    with pytest.raises(CheckpointError, match="could run code, so it is refused"):
        checkpoint_file.read(tmp_path / "pickle.ckpt")
    assert not (tmp_path / "executed").exists()


def test_foreign_newer_and_incomplete_files(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of kinema"):
        checkpoint_file.read(path)
    torch.save({**PAYLOAD, "format": 99, "kinema_version": "9.0"}, path)
    with pytest.raises(CheckpointError, match=r"format 99, written by kinema 9\.0; this version reads 1"):
        checkpoint_file.read(path)
    torch.save({"format": 1, "model": "tsn-resnet18"}, path)
    with pytest.raises(CheckpointError, match="incomplete: it lacks kinema_version, options"):
        checkpoint_file.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        checkpoint_file.read(path)
