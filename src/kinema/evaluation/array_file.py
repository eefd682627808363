"""Arrays with a JSON header in one ``.npz`` file: how score tables and features are kept."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinema.errors import UserError
from kinema.files import whole_file


def write_arrays(path: str | Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Path:
    """Write an ``.npz`` and the folders above it; a failure leaves the old file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    named: dict[str, Any] = {"header": np.array(json.dumps(header)), **arrays}
    with whole_file(path) as part, part.open("wb") as file:
        np.savez(file, **named)
    return path


def read_arrays(path: str | Path, *, content: str, newest: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what :func:`write_arrays` wrote; pickled objects in the file are refused, never loaded.

    Args:
        path: The file.
        content: What the header must say the file holds.
        newest: Highest format that the caller understands.

    Raises:
        UserError: The file is missing, damaged, holds something else, or is of a newer format.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    if not zipfile.is_zipfile(path):  # numpy would take it for a pickle, and advise to load it unsafely
        raise UserError(f"{path}: not a file of {content} (not an .npz archive, or a damaged one).")
    try:
        # Opened here, since numpy leaves its own file open when the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop("header")))
    except (ValueError, KeyError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a file of {content} ({error}).") from error
    if header.get("content") != content:
        raise UserError(f"{path}: holds {header.get('content')}, not {content}.")
    if header["format"] > newest:
        raise UserError(f"{path}: written by a newer kinema (format {header['format']}, this one reads {newest}).")
    return header, arrays
