"""A checkpoint is written whole or not at all, and reading one runs no code."""

import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kinema.errors import CheckpointError
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.checkpoint import FORMAT, Checkpoint, Provenance, TrainingState

SMALL = Checkpoint(
    model="tsn-resnet18",
    num_classes=2,
    classes=("clap", "wave"),
    preprocessing=Preprocessing(frames=4),
    state_dict={"weight": torch.arange(6.0)},
)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    whole = replace(
        SMALL,
        named=False,
        options={"tam_init": "kaiming"},
        recipe={"name": "mine"},
        scores={"val_top1": 0.5},
        training=TrainingState(position={"epoch": 3}, data="abc", world=2, fc_gather=True),
        imported=Provenance(family="ibm", file="a.pth", assumed={"input": "8 frames"}),
    )
    whole.write(tmp_path / "a.ckpt")
    again = Checkpoint.read(tmp_path / "a.ckpt")
    assert torch.equal(again.state_dict["weight"], torch.arange(6.0))
    assert replace(again, state_dict={}) == replace(whole, state_dict={})
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_the_average_is_in_use_where_there_is_one() -> None:
    assert SMALL.weights_in_use is SMALL.state_dict
    average = {"weight": torch.ones(6)}
    assert replace(SMALL, ema=average).weights_in_use is average


def test_entries_of_other_versions(tmp_path: Path) -> None:
    """What a file of another version lacks has its default, and what it has more is left alone."""
    replace(SMALL, training=TrainingState(data="abc")).write(tmp_path / "a.ckpt")
    payload = torch.load(tmp_path / "a.ckpt", weights_only=True)
    del payload["named"], payload["training"]["fc_gather"]
    torch.save({**payload, "colour": "blue"}, tmp_path / "a.ckpt")
    read = Checkpoint.read(tmp_path / "a.ckpt")
    assert read.named
    assert read.training == TrainingState(data="abc")
    assert payload["format"] == FORMAT


def test_entries_that_are_wrong(tmp_path: Path) -> None:
    SMALL.write(tmp_path / "a.ckpt")
    payload = torch.load(tmp_path / "a.ckpt", weights_only=True)
    torch.save({**payload, "preprocessing": {"frame": 4}}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"a\.ckpt: .*did you mean frames"):
        Checkpoint.read(tmp_path / "a.ckpt")


def test_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device fills up after part of the bytes are written."""
    path = tmp_path / "a.ckpt"
    SMALL.write(path)
    before = path.read_bytes()
    original = Path.open

    def open_small(self, mode="r", *args, **kwargs):
        file = original(self, mode, *args, **kwargs)
        return _SmallFile(file) if "w" in mode else file

    monkeypatch.setattr(Path, "open", open_small)
    with pytest.raises(
        CheckpointError, match=r"a\.ckpt could not be written .*No space left.*earlier file is unchanged"
    ):
        replace(SMALL, state_dict={"weight": torch.zeros(100_000)}).write(path)
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
        SMALL.write(tmp_path / "a.ckpt")
    assert not (tmp_path / "a.ckpt").exists()


def test_missing_and_truncated_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        Checkpoint.read(tmp_path / "none.ckpt")
    path = tmp_path / "a.ckpt"
    replace(SMALL, state_dict={"weight": torch.zeros(10_000)}).write(path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"a\.ckpt is (truncated|damaged) or not a checkpoint"):
            Checkpoint.read(path)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    SMALL.write(tmp_path / "zip.ckpt")
    trapped = torch.load(tmp_path / "zip.ckpt", weights_only=True) | {"recipe": Trap(tmp_path / "executed")}
    torch.save(trapped, tmp_path / "zip.ckpt")
    with pytest.raises(CheckpointError, match="could run code, so it is refused"):
        Checkpoint.read(tmp_path / "zip.ckpt")
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps(trapped["recipe"]))
    with pytest.raises(CheckpointError, match="could run code, so it is refused"):
        Checkpoint.read(tmp_path / "pickle.ckpt")
    assert not (tmp_path / "executed").exists()


def test_foreign_newer_and_incomplete_files(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of kinema"):
        Checkpoint.read(path)
    torch.save({"format": 99, "kinema_version": "9.0"}, path)
    with pytest.raises(CheckpointError, match=r"format 99, written by kinema 9\.0; this version reads 1"):
        Checkpoint.read(path)
    torch.save({"format": 1, "model": "tsn-resnet18"}, path)
    with pytest.raises(CheckpointError, match="incomplete: it lacks kinema_version, options"):
        Checkpoint.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        Checkpoint.read(path)
