"""Tensors come out of every kind of file that other projects write, and no code does."""

import argparse
import pickle
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.errors import CheckpointError, MissingExtraError
from kinema.weights.importing.reading import read_foreign, read_tensorflow

# What Python 2 wrote for {"blobs": {"x_w": numpy.array([1, 2], "<f4")}}, by protocol 2.
PYTHON2_PICKLE = (
    b"\x80\x02}U\x05blobs}U\x03x_wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    b"U\x08\x00\x00\x80?\x00\x00\x00@tbss."
)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code of the file ran",)


@pytest.mark.parametrize("new", [True, False])
def test_training_state_beside_the_weights_is_passed_over(tmp_path: Path, new: bool) -> None:
    content = {
        "state_dict": OrderedDict({"module.a.weight": torch.ones(2)}),
        "best_prec1": np.float64(71.5),
        "history": np.arange(3, dtype=np.int64),
        "best_top1": torch.tensor(1.0),
        "args": argparse.Namespace(lr=0.1),
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    }
    torch.save(content, tmp_path / "their.pth.tar", _use_new_zipfile_serialization=new)
    tensors = read_foreign(tmp_path / "their.pth.tar").tensors
    assert list(tensors) == ["a.weight"]
    assert tensors["a.weight"].tolist() == [1.0, 1.0]


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    (tmp_path / "their.pkl").write_bytes(PYTHON2_PICKLE)
    assert read_foreign(tmp_path / "their.pkl").tensors["x_w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "inside"])
def test_code_in_a_file_is_refused(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evil.pkl"
    if kind == "pickle":
        file.write_bytes(pickle.dumps(Evil()))
    elif kind == "inside":
        file.write_bytes(pickle.dumps({"blobs": {"x_w": np.zeros(2)}, "more": Evil()}, protocol=2))
    else:
        torch.save({"state_dict": {}, "more": Evil()}, file, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(CheckpointError, match=r"evil\.pkl: .*print.*refused"):
        read_foreign(file)
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x02cposix\nsystem\nU\x04echo\x85R.",
        b"\x80\x02c__builtin__\neval\nU\x011\x85R.",
        b"\x80\x02cnumpy.core.multiarray\nscalar.__class__\n.",
        b"\x80\x02c_codecs\nencode\nU\x01aU\x05rot13\x86R.",
    ],
)
def test_other_names_in_a_pickle_are_refused(tmp_path: Path, code: bytes) -> None:
    (tmp_path / "evil.pkl").write_bytes(code)
    with pytest.raises(CheckpointError, match="refused"):
        read_foreign(tmp_path / "evil.pkl")


def test_files_that_are_no_weights_are_named(tmp_path: Path) -> None:
    good = tmp_path / "good.pth"
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, good)
    (tmp_path / "cut.pth").write_bytes(good.read_bytes()[:-500])
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_bytes(b"404: Not Found")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    (tmp_path / "text.safetensors").write_bytes(b"404: Not Found")
    for name in ("cut.pth", "empty.pth", "text.pth", "list.pkl", "text.safetensors", "absent.pth"):
        with pytest.raises(CheckpointError, match=name):
            read_foreign(tmp_path / name)
    torch.save({"net": {"a": torch.zeros(2)}, "epoch": 3}, good)
    with pytest.raises(CheckpointError, match=r"no tensors.*its entries are: net, epoch"):
        read_foreign(good)


STANDS_FOR_TENSORFLOW = """
import numpy as np

class train:
    class load_checkpoint:
        def __init__(self, prefix):
            if not prefix.endswith("model.ckpt"):
                raise ValueError("no such checkpoint")
            self.variables = {"scope/w": np.ones((2, 3), np.float32), "global_step": np.array(7)}

        def get_variable_to_shape_map(self):
            return {name: list(value.shape) for name, value in self.variables.items()}

        def get_tensor(self, name):
            return self.variables[name]
"""


def test_variables_of_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow itself is too big for the tests; a module with the two calls that are made stands for it."""
    (tmp_path / "tensorflow.py").write_text(STANDS_FOR_TENSORFLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    tensors = read_tensorflow("data/model.ckpt")
    assert {name: tuple(value.shape) for name, value in tensors.items()} == {"scope/w": (2, 3), "global_step": ()}
    assert tensors["scope/w"].dtype == torch.float32
    with pytest.raises(CheckpointError, match=r"other\.ckpt: TensorFlow cannot read it \(.*no such checkpoint\)"):
        read_tensorflow("other.ckpt")


@pytest.mark.parametrize("given", ["model.ckpt", "model.ckpt.index"])
def test_a_tensorflow_checkpoint_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (tmp_path / "model.ckpt.index").write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r"kinema\[tensorflow\]"):
        read_foreign(tmp_path / given)
    monkeypatch.delitem(sys.modules, "tensorflow")
    (tmp_path / "tensorflow.py").write_text(STANDS_FOR_TENSORFLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert sorted(read_foreign(tmp_path / given).tensors) == ["global_step", "scope/w"]
