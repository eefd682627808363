"""The published key lists and reference outputs: how their tensors are filled, and the clip they were run on."""

import csv
import hashlib
import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Reference:
    """What a public implementation computed from filled tensors."""

    state: dict[str, Tensor]
    clip: Tensor
    logits: Tensor


def read_reference(folder: Path, network: str) -> Reference:
    """Fill the tensors of one network by the folder's rule, checking the fill, and read its clip and output."""
    output = json.loads((folder / "keys" / f"{network}.output.json").read_text())
    with (folder / "keys" / output["keys_file"]).open() as file:
        rows = [(row["key"].removeprefix("module."), row["shape"], row["dtype"]) for row in csv.DictReader(file)]
    keys = {key for key, _, _ in rows}
    state = {key: _fill(key, _shape(shape), dtype, keys) for key, shape, dtype in rows}
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].numpy().tobytes())
    assert digest.hexdigest() == output["weights_sha256"]
    clip = np.random.Generator(np.random.PCG64(0)).standard_normal(output["clip_shape"])
    return Reference(state, torch.from_numpy(clip), torch.tensor(output["logits"], dtype=torch.float64))


def _shape(text: str) -> tuple[int, ...]:
    return () if text == "()" else tuple(int(size) for size in text.split("x"))


def _fill(key: str, shape: tuple[int, ...], dtype: str, keys: set[str]) -> Tensor:
    if dtype == "int64":
        return torch.zeros(shape, dtype=torch.int64)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    stem, _, last = key.rpartition(".")
    if last == "running_var" or (len(shape) == 1 and last == "weight" and f"{stem}.running_var" in keys):
        values = 0.5 + rng.random(shape)
    elif len(shape) >= 2:
        values = rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
    else:
        values = 0.1 * rng.standard_normal(shape)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
