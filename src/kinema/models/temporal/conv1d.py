"""The full temporal convolution at TAM's place."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from kinema.models.layers import rectified
from kinema.models.sites import ConvSpec, Site
from kinema.models.temporal.base import TemporalModule
from kinema.models.temporal.temporal_conv import temporal_conv


class Conv1d(TemporalModule):
    """A temporal convolution over three frames in which all channels meet, then a ReLU.

    Source: the column "Conv." of Tables 5 and 10 of the deep analysis (arXiv 2010.11757): the parameters and
    multiply-adds there are those of TAM with full instead of depth-wise taps.

    Args:
        temporal_init: How the convolutions start, ``"identity"`` or ``"kaiming"``.
    """

    sees_order = True
    option_names: ClassVar[tuple[str, ...]] = ("temporal_init",)

    def __init__(self, *, temporal_init: str = "identity") -> None:
        self.temporal_init = temporal_init

    def mix(self, site: Site) -> nn.Module:
        """The convolution."""
        return TemporalConv(site, init=self.temporal_init)


class TemporalConv(nn.Module):
    """A full temporal convolution and, on maps that have gone through one already, a ReLU."""

    def __init__(self, site: Site, *, init: str) -> None:
        super().__init__()
        spec = ConvSpec(in_channels=site.channels, out_channels=site.channels, kernel=1, role="spatial")
        self.conv = temporal_conv(spec, init=init)
        self.rectify = site.rectified

    def forward(self, clip: Tensor) -> Tensor:
        """``b c t h w`` to the same shape."""
        mixed = self.conv(clip)
        return rectified(mixed) if self.rectify else mixed
