"""Checkpoint files on disk: written whole or not at all, read without running code from them."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from kinema.errors import CheckpointError
from kinema.files import whole_file

FORMAT = 1
"""Version of the file's layout; a reader refuses newer ones."""

REQUIRED = (
    "kinema_version",
    "model",
    "options",
    "num_classes",
    "in_channels",
    "classes",
    "preprocessing",
    "recipe",
    "scores",
    "state_dict",
    "ema",
    "training",
)
"""What every file holds beside ``format``; ``ema`` and ``training`` may be None."""


def write(path: str | Path, payload: dict[str, Any]) -> None:
    """Write a checkpoint so that ``path`` always holds either the old file or the complete new one.

    Args:
        path: The file to write; its folder must exist.
        payload: The entries of ``REQUIRED``; tensors, numbers, strings, and lists and dictionaries of these.

    Raises:
        CheckpointError: When the file cannot be written, as on a full disk; an earlier file is left as it was.
    """
    path = Path(path)
    missing = [key for key in REQUIRED if key not in payload]
    assert not missing, f"a checkpoint needs {missing}"
    try:
        with whole_file(path) as part, part.open("wb") as file:
            torch.save({"format": FORMAT, **payload}, file)
    except (OSError, RuntimeError) as error:  # torch reports a failed write of its zip archive as RuntimeError
        kept = "; the earlier file is unchanged" if path.exists() else ""
        raise CheckpointError(f"{path} could not be written ({_root_cause(error)}){kept}") from error


def read(path: str | Path, *, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint that ``write`` made; nothing in the file is executed.

    Args:
        path: The file.
        device: Where its tensors go.

    Raises:
        CheckpointError: When the file is missing, truncated, not a checkpoint of kinema, of a newer format, or holds
            Python objects that could run code.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            bare_pickle = file.read(1) == pickle.PROTO
        if bare_pickle:
            raise CheckpointError(f"{path} is a bare Python pickle; loading it could run code, so it is refused")
        raise CheckpointError(f"{path} is truncated or not a checkpoint; copy it again, or use last.ckpt beside it")
    try:
        payload = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds Python objects beside tensors and plain values; loading could run code, so it is refused"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint of kinema ({_root_cause(error)})") from None
    if not isinstance(payload, dict) or not isinstance(payload.get("format"), int):
        raise CheckpointError(f"{path} is not a checkpoint of kinema: it has no 'format' entry")
    if payload["format"] > FORMAT:
        by = payload.get("kinema_version", "a newer version")
        raise CheckpointError(
            f"{path} has format {payload['format']}, written by kinema {by}; this version reads {FORMAT}"
        )
    missing = [key for key in REQUIRED if key not in payload]
    if missing:
        raise CheckpointError(f"{path} is incomplete: it lacks {', '.join(missing)}")
    return payload


def _root_cause(error: BaseException) -> str:
    """The first line of the error that started a chain: torch hides a full disk behind an error of its own."""
    while error.__context__ is not None:
        error = error.__context__
    return (str(error) or type(error).__name__).splitlines()[0]
