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

    Spatial convolutions keep true two-dimensional weights, and the width does not change between the two. Where else a
    temporal convolution follows is the backbone's proposal. On ``inceptioni3d``, the paper's network, one follows all
    four branches of every module (the paper's footnote 5) and the stem (seven frames). On the others the form is that
    of the deep analysis (arXiv 2010.11757): behind k x k convolutions only, and the stem is one 3 x 7 x 7 convolution.
    Source: "Rethinking Spatiotemporal Feature Learning" (arXiv 1712.04851), section 4.4.
    Differs from the paper: ``temporal_norm`` (see there). Temporal convolutions start as the identity, as the authors'
    code has it, so that ImageNet weights give the features they were trained for from the first step (basic blocks
    aside: there the temporal half begins with a ReLU that the image network does not have).

    Args:
        temporal_init: How the temporal convolutions start, ``"identity"`` or ``"kaiming"``.
        temporal_norm: Whether they have a norm, as the public PyTorch networks do; the authors' have a bias instead.
    """

    strides_time = True
    sees_order = True
    option_names: ClassVar[tuple[str, ...]] = ("temporal_init", "temporal_norm")

    def __init__(self, *, temporal_init: str = "identity", temporal_norm: bool = True) -> None:
        self.temporal_init = temporal_init
        self.temporal_norm = temporal_norm

    def frames_behind(self, spec: ConvSpec) -> int:
        """Frames of the temporal convolution behind a convolution; 1 for none."""
        return spec.frames_behind if spec.temporal_allowed else 1

    def conv(self, spec: ConvSpec) -> nn.Module:
        """The spatial half; a stem that nothing follows as one convolution; a strided projection as it is."""
        split = self.frames_behind(spec) > 1
        if spec.role == "stem" and spec.temporal_allowed and not split:
            return ClipConv3d(spec, kernel_time=min(spec.kernel_time, 3))
        return FrameConv2d(replace(spec, stride_time=1) if split else spec)

    def activated(self, spec: ConvSpec) -> nn.Module:
        """The temporal half, which also strides time."""
        frames = self.frames_behind(spec)
        if frames == 1:
            return nn.Identity()
        wide = replace(spec, in_channels=spec.out_channels)
        bias = spec.bias_time or not self.temporal_norm
        return TemporalConvNorm(
            temporal_conv(wide, kernel_time=frames, init=self.temporal_init, bias=bias),
            eps=spec.norm_eps if self.temporal_norm else None,
            momentum=spec.norm_momentum,
            identity=self.temporal_init == "identity",
            relu_first=spec.role == "branch_out",
        )

    def pool(self, spec: PoolSpec) -> nn.Module:
        """A max-pool over time as far as the backbone proposes."""
        inflated = spec.kernel_time if spec.temporal_allowed else 1
        return ClipMaxPool(spec, kernel_time=spec.kernel_time if spec.stride_time > 1 else inflated)


class S3d2(S3d):
    """S3D whose 1 x 1 convolutions stay flat, so that two of the four branches of ``inceptioni3d`` see time.

    The form of the authors' released code, of torchvision's ``s3d`` and of the public weights. On other backbones it
    is ``S3d``.
    """

    def frames_behind(self, spec: ConvSpec) -> int:
        """Frames of the temporal convolution behind a convolution; 1 for none."""
        return super().frames_behind(spec) if spec.kernel > 1 else 1
