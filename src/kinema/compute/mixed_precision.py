"""A network that computes in 16 bits where that is safe, while its weights and its answers stay in 32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class MixedPrecision(nn.Module):
    """Runs a network under torch's autocast.

    Attributes:
        network: The network.

    Args:
        network: Its weights stay as they are.
        device_type: Where it computes, such as ``cpu``.
        dtype: What convolutions and matrix products compute in.
    """

    def __init__(self, network: nn.Module, device_type: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self._device_type, self._dtype = device_type, dtype

    def forward(self, clip: Tensor) -> object:
        """Give what the network gives for a clip, its tensors in the default floating point type."""
        with torch.autocast(self._device_type, self._dtype):
            scores = self.network(clip.to(self._dtype))
        return _as_usual(scores)


def _as_usual(scores: Any) -> Any:
    """Tensors in torch's default type, whatever (named) tuples they come in."""
    if isinstance(scores, Tensor):
        return scores.to(torch.get_default_dtype())
    if isinstance(scores, tuple):
        converted = [_as_usual(part) for part in scores]
        named = getattr(scores, "_make", tuple)
        return named(converted)
    return scores
