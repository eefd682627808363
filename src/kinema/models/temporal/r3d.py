"""R3D: whole space-time kernels."""

from __future__ import annotations

from torch import nn

from kinema.models.layers import ClipConv3d
from kinema.models.sites import ConvSpec
from kinema.models.temporal.base import TemporalModule

FRAMES = 3
"""Frames that a kernel of the paper's networks covers, the stem's included."""


class R3d(TemporalModule):
    """Every k x k convolution covers three frames; pools stay flat.

    On a ResNet this is what inflation gives as well. MC and rMC networks are placements of it: MC3 has it in the first
    two groups of convolutions (``@bottom2``), rMC3 from the third on (``@top3``).
    Source: "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (arXiv 1711.11248), sections 3.3, 3.4.
    """

    strides_time = True
    sees_order = True

    def conv(self, spec: ConvSpec) -> nn.Module:
        """A convolution over three frames, flat outside the placement."""
        return ClipConv3d(spec, kernel_time=min(spec.kernel_time, FRAMES) if spec.temporal_allowed else 1)
