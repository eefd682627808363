"""S3D: a spatial convolution, then a temporal one."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from torch import nn

from kinema.models.layers import ClipConv3d, ClipMaxPool, FrameConv2d
from kinema.models.sites import ConvSpec, PoolSpec
from kinema.models.temporal.base import TemporalModule
from kinema.models.temporal.temporal_conv import TemporalConvNorm, temporal_conv


class S3d(TemporalModule):
    """Factorised inflation: every k x k convolution, its norm and ReLU, then three frames, a norm and a ReLU.

    Spatial convolutions keep true two-dimensional weights; the stem is one 3 x 7 x 7 convolution.
    Source: "Rethinking Spatiotemporal Feature Learning" (arXiv 1712.04851), in the form of the deep analysis
    (arXiv 2010.11757): the width does not change between the two convolutions.
    Differs from the paper: temporal convolutions start as the identity, as S3D-G's do, so that ImageNet weights give
    the features they were trained for from the first step (basic blocks aside: there the temporal half begins with a
    ReLU that the image network does not have).

    Args:
        temporal_init: How the temporal convolutions start, ``"identity"`` or ``"kaiming"``.
    """

    strides_time = True
    sees_order = True
    option_names: ClassVar[tuple[str, ...]] = ("temporal_init",)

    def __init__(self, *, temporal_init: str = "identity") -> None:
        self.temporal_init = temporal_init

    def conv(self, spec: ConvSpec) -> nn.Module:
        """The spatial half; the stem whole; a strided projection as it is."""
        if spec.role == "stem" and spec.temporal_allowed:
            return ClipConv3d(spec, kernel_time=min(spec.kernel_time, 3))
        return FrameConv2d(replace(spec, stride_time=1) if spec.kernel_time > 1 else spec)

    def activated(self, spec: ConvSpec) -> nn.Module:
        """The temporal half of a k x k convolution, which also strides time."""
        if spec.kernel_time == 1 or spec.role == "stem":
            return nn.Identity()
        groups = spec.out_channels if spec.groups > 1 else 1
        wide = replace(spec, in_channels=spec.out_channels, groups=groups)
        return TemporalConvNorm(
            temporal_conv(wide, init=self.temporal_init, bias=spec.bias_time),
            eps=spec.norm_eps,
            momentum=spec.norm_momentum,
            identity=self.temporal_init == "identity",
            relu_first=spec.role == "branch_out",
        )

    def pool(self, spec: PoolSpec) -> nn.Module:
        """A max-pool over time as far as the backbone proposes."""
        inflated = spec.kernel_time if spec.temporal_allowed else 1
        return ClipMaxPool(spec, kernel_time=3 if spec.stride_time > 1 else inflated)
