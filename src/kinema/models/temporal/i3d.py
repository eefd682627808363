"""I3D: spatial kernels become space-time kernels."""

from __future__ import annotations

from torch import nn

from kinema.models.layers import ClipConv3d, ClipMaxPool
from kinema.models.sites import ConvSpec, PoolSpec
from kinema.models.temporal.base import TemporalModule


class I3d(TemporalModule):
    """Inflation: k x k convolutions cover three frames (Inception's stem seven), pools of Inception three.

    The keys are those of the two-dimensional network, every convolution weight with one more axis.
    Source: "Quo Vadis, Action Recognition?" (arXiv 1705.07750), in the form of the deep analysis (arXiv 2010.11757):
    1 x 1 convolutions stay flat and no stem strides time.
    """

    strides_time = True
    sees_order = True

    def conv(self, spec: ConvSpec) -> nn.Module:
        """A convolution over time as far as the backbone proposes, flat outside the placement."""
        return ClipConv3d(spec, kernel_time=spec.kernel_time if spec.temporal_allowed else 1)

    def pool(self, spec: PoolSpec) -> nn.Module:
        """A max-pool over time as far as the backbone proposes."""
        inflated = spec.kernel_time if spec.temporal_allowed else 1
        return ClipMaxPool(spec, kernel_time=spec.kernel_time if spec.stride_time > 1 else inflated)
