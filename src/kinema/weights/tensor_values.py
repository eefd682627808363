"""What no tensor of a trained network may hold, whoever wrote the file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kinema.errors import CheckpointError

_VARIANCE = "running_var"


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
