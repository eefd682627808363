"""Tensors by name: read from weights files, checked, copied into a network and hashed."""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kinema.errors import CheckpointError
from kinema.models.action_model import ActionModel
from kinema.weights.imagenet import TAGS

_VARIANCE = "running_var"


def read_state_dict(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors of a weights file: ``.safetensors``, ``.npz``, or what ``torch.save`` wrote.

    Loading never runs code from the file. Prefixes that data-parallel training leaves (``module.``) are taken off.

    Returns:
        The tensors by key, and what else the file holds beside them (empty for a bare state dictionary).

    Raises:
        CheckpointError: The file is missing, truncated, of another kind, or would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such weights file; known tags: {', '.join(TAGS)}")
    content = _read_content(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a dictionary of tensors")
    inner = content.get("state_dict")
    rest = {} if inner is None else {key: value for key, value in content.items() if key != "state_dict"}
    tensors = content if inner is None else inner
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path}: holds no dictionary of tensors")
    return {str(key).removeprefix("module."): value for key, value in tensors.items()}, rest


def _read_content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {key: torch.from_numpy(arrays[key]) for key in arrays}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # old files; refused if unsafe
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: holds more than tensors and plain values, or is no weights file") from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights, it may be truncated ({error})") from error


def refuse_bad_values(state: Mapping[str, Tensor], *, source: str, names: Mapping[str, str] | None = None) -> None:
    """Stop at tensors that make every score meaningless.

    Args:
        state: Tensors under our keys.
        source: What the message calls the file.
        names: What the file calls a tensor, where that differs from our key.

    Raises:
        CheckpointError: Values are not finite, or a norm's running variance is negative, or zero for every channel;
            the message lists the tensors.
    """
    variances = {key: value for key, value in state.items() if key.endswith(_VARIANCE)}
    faults = {
        "values that are not finite numbers": [key for key, value in state.items() if not torch.isfinite(value).all()],
        "a negative variance": [key for key, value in variances.items() if (value < 0).any()],
        "a variance of zero in every channel": [key for key, value in variances.items() if not value.any()],
    }
    listed = "".join(
        f"\n  {len(keys)} with {what}: {', '.join((names or {}).get(key, key) for key in keys)}"
        for what, keys in faults.items()
        if keys
    )
    if listed:
        raise CheckpointError(f"{source} holds tensors that no trained network has; get the file anew:{listed}")


def load_exact(model: ActionModel, weights: dict[str, torch.Tensor], *, source: str) -> None:
    """Copy weights into a network that must have exactly their names and shapes.

    Raises:
        CheckpointError: Listing the first missing, unknown and differently shaped entries.
    """
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in weights]
    unknown = [name for name in weights if name not in wanted]
    shapes = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in weights and weights[name].shape != wanted[name].shape
    ]
    faults = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, what in ((missing, "missing"), (unknown, "unknown"), (shapes, "of another shape"))
        if names
    ]
    if faults:
        raise CheckpointError(f"the weights of {source} do not fit {model.name}: {'; '.join(faults)}")
    model.load_state_dict(weights)


def weights_digest(weights: dict[str, torch.Tensor]) -> str:
    """Hash names and bytes of the weights, whatever file or device they came from (SHA-256, hexadecimal)."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
