"""Tensors out of other projects' files, whatever wrote them, without running code from them."""

from __future__ import annotations

import collections
import importlib.util
import pickle
import re
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import torch
from torch import Tensor

from kinema.errors import CheckpointError, missing_extra

OUTER_KEYS: Final = ("state_dict", "model_state", "blobs")
"""Where checkpoints keep their tensors when other things lie beside them; the last is Caffe2's."""

_TORCH_MAGIC: Final = 0x1950A86A20F9469CFC6C
"""The number that files of ``torch.save`` began with before they became zip archives."""


class Unread:
    """Stands for an object of another project's training state: takes whatever it is given and does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Forget the state."""


_UNREAD_NAMES: Final = (
    "argparse.Namespace",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.message_hub.MessageHub",
    "fvcore.common.config.CfgNode",
    "yacs.config.CfgNode",
)
"""Classes of training state that lie beside weights; nothing of them is needed."""


class ForeignFile(NamedTuple):
    """A checkpoint of another project.

    Attributes:
        tensors: Tensors by key; a leading ``module.`` of data-parallel training is taken off.
        words: Texts that lie beside them, such as the name of the architecture.
    """

    tensors: dict[str, Tensor]
    words: dict[str, str]


def read_foreign(path: str | Path) -> ForeignFile:
    """Read a checkpoint of any supported kind.

    Read are what ``torch.save`` wrote at any time (also with numpy scalars and optimizer state beside the weights),
    Caffe2's pickles, ``.safetensors``, ``.npz``, and TensorFlow checkpoints by their prefix or ``.index`` file.

    Args:
        path: The file.

    Raises:
        CheckpointError: The file is missing, damaged, of another kind, or would run code.
        MissingExtraError: A TensorFlow checkpoint is given and tensorflow is not installed.
    """
    path = Path(path)
    prefix = path.with_suffix("") if path.suffix == ".index" else path
    if prefix.with_name(f"{prefix.name}.index").is_file():
        return ForeignFile(read_tensorflow(prefix), {})
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file")
    return parts_of(_content(path), source=str(path))


def parts_of(content: object, *, source: str) -> ForeignFile:
    """Pick the tensors out of a checkpoint's content, at the top or under one of ``OUTER_KEYS``.

    Args:
        content: What the file holds.
        source: What messages call it.

    Raises:
        CheckpointError: There are none.
    """
    import numpy as np

    inner: object = content
    if isinstance(content, Mapping):
        inner = next((content[key] for key in OUTER_KEYS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(inner, Mapping):
        raise CheckpointError(f"{source}: holds a {type(content).__name__}, not a dictionary of tensors")
    tensors = {
        str(key).removeprefix("module."): value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        for key, value in inner.items()
        if isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype.kind in "fiu")
    }
    if not tensors:
        names = ", ".join(str(key) for key in list(inner)[:8])
        raise CheckpointError(
            f"{source}: holds no tensors, neither at the top nor under {', '.join(OUTER_KEYS)}; "
            f"its entries are: {names or 'none'}"
        )
    beside = content if isinstance(content, Mapping) else {}
    return ForeignFile(tensors, {str(key): value for key, value in beside.items() if isinstance(value, str)})


def read_tensorflow(prefix: str | Path) -> dict[str, Tensor]:
    """Read the variables of a TensorFlow checkpoint; optimizer slots and counters are left as they are named.

    TensorFlow runs in a process of its own: it and torch each bring an LLVM, and some builds of the two end a process
    that loads both.

    Args:
        prefix: The path without ``.index`` and ``.data-...``.

    Raises:
        CheckpointError: TensorFlow cannot read it.
        MissingExtraError: tensorflow is not installed.
    """
    import numpy as np

    if importlib.util.find_spec("tensorflow") is None:
        raise missing_extra("tensorflow", "tensorflow", "reading a TensorFlow checkpoint")
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "variables.npz"
        command = [sys.executable, str(Path(__file__).with_name("tensorflow_process.py")), str(prefix), str(arrays)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise CheckpointError(f"{prefix}: TensorFlow cannot read it ({reason})")
        with np.load(arrays, allow_pickle=False) as read:
            return {name: torch.from_numpy(read[name]) for name in read}


def _content(path: Path) -> object:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        if zipfile.is_zipfile(path):
            return _torch_content(path)
        with path.open("rb") as file:
            first = RestrictedUnpickler(file).load()
        return _torch_content(path) if first == _TORCH_MAGIC else first
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        detail = f" ({named[1]})" if named else ""
        raise CheckpointError(
            f"{path}: holds more than tensors and plain values{detail}, or is no weights file; loading could run code, "
            f"so it is refused"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights, it may be truncated ({error})") from error
    except (zipfile.BadZipFile, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights, it may be truncated ({error})") from error


def _torch_content(path: Path) -> object:
    import numpy as np

    numpy_types = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdSU"]
    allowed: list[Any] = [*numpy_types, *((Unread, name) for name in _UNREAD_NAMES)]
    allowed += [(value, f"{module}.{name}") for (module, name), value in _allowed_globals().items()]
    with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
        warnings.filterwarnings("ignore", message="Detected pickle protocol")  # old files; refused if unsafe
        return torch.load(path, map_location="cpu", weights_only=True)


def _allowed_globals() -> dict[tuple[str, str], Any]:
    """What a pickle may name: plain containers, and the makers of numpy arrays and scalars under all their names."""
    import numpy as np

    makers = {"_reconstruct": np.zeros(1).__reduce__()[0], "scalar": np.float64(1.0).__reduce__()[0]}
    return {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("_codecs", "encode"): _encode_latin1,
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        **{
            (module, name): maker
            for module in ("numpy.core.multiarray", "numpy._core.multiarray")  # before numpy 2, and since
            for name, maker in makers.items()
        },
    }


def _encode_latin1(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes in the pickle protocols of Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"unexpected encoding {encoding}")
    return text.encode("latin1")


class RestrictedUnpickler(pickle.Unpickler):
    """Reads plain containers and numpy arrays, also those that Python 2 wrote; every other global is refused.

    Args:
        file: The open pickle.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="latin1")
        self._allowed = _allowed_globals()

    def find_class(self, module: str, name: str) -> Any:
        """Look up a global by name, if it is allowed.

        Raises:
            UnpicklingError: It is not.
        """
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"unsupported global {module}.{name}")
        return self._allowed[module, name]

    def persistent_load(self, pid: object) -> Any:
        """Refuse references to data outside the pickle."""
        raise pickle.UnpicklingError("refers to data outside the pickle")
