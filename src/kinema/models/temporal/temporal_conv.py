"""Convolutions over time alone, as S3D and the full temporal convolution use them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kinema.errors import one_of
from kinema.models.layers import ClipBatchNorm, ClipConv3d, rectified
from kinema.models.sites import ConvSpec

TEMPORAL_INITS = ("identity", "kaiming")
"""How a temporal convolution starts: passing its frame on unchanged, or at random."""


def temporal_conv(spec: ConvSpec, *, init: str, kernel_time: int = 3, bias: bool = False) -> ClipConv3d:
    """A convolution of ``spec.out_channels`` over a few frames and one position, ``b d t h w`` to ``b d t' h w``.

    Args:
        spec: The spatial convolution it belongs to; groups, width and temporal stride are taken from it.
        init: One of ``TEMPORAL_INITS``. From identity, a network with trained spatial weights starts as what it was.
        kernel_time: Frames that it covers; odd.
        bias: Whether it carries a bias, which starts at zero.
    """
    one_of("temporal_init", init, TEMPORAL_INITS)
    conv = ClipConv3d(spec, kernel=1, kernel_time=kernel_time, stride=1, bias=bias)
    if init == "identity":
        nn.init.zeros_(conv.weight)
        per_group = conv.out_channels // conv.groups
        with torch.no_grad():
            index = torch.arange(conv.out_channels, device=conv.weight.device)
            conv.weight[index, index % per_group, kernel_time // 2] = 1.0
    else:
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class TemporalConvNorm(nn.Module):
    """A temporal convolution with its norm, and an activation before or behind.

    Attributes:
        conv: The convolution.
        norm: Its batch norm; the identity where ``eps`` is None.
    """

    def __init__(
        self, conv: ClipConv3d, *, eps: float | None, momentum: float, identity: bool, relu_first: bool
    ) -> None:
        super().__init__()
        self.conv = conv
        self.norm: nn.Module = nn.Identity()
        self.relu_first = relu_first
        if eps is None:
            return
        self.norm = norm = ClipBatchNorm(conv.out_channels, eps=eps, momentum=momentum)
        if identity and norm.running_var is not None:
            norm.running_var.fill_(1.0 - eps)  # so that the fresh norm, in evaluation, divides by exactly one

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to ``b c t' h w``."""
        if self.relu_first:
            return self.norm(self.conv(torch.relu(clip)))
        clip = self.norm(self.conv(clip))
        return rectified(clip) if isinstance(self.norm, nn.Identity) else torch.relu_(clip)
