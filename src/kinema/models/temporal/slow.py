"""SlowFast's kernels: time is covered by the first convolution of a residual branch, stage by stage."""

from __future__ import annotations

from torch import nn

from kinema.models.layers import ClipConv3d
from kinema.models.sites import ConvSpec
from kinema.models.temporal.base import TemporalModule


class StageKernels(TemporalModule):
    """A temporal kernel for the stem and one for each stage, on the first convolution of every residual branch.

    That convolution is the 1 x 1 of a bottleneck and the first 3 x 3 of a basic block. Keys are those of the
    two-dimensional network; every convolution weight has a time axis, of length 1 where the kernel stays flat.

    Args:
        kernels: Frames that the stem and the four stages cover, each odd.
        num_layer3_blocks: Blocks of the third stage that do so, from its first; None for all.
    """

    sees_order = True

    def __init__(self, kernels: tuple[int, int, int, int, int], *, num_layer3_blocks: int | None = None) -> None:
        self.kernels = kernels
        self.num_layer3_blocks = num_layer3_blocks

    def conv(self, spec: ConvSpec) -> nn.Module:
        """A convolution over time where it leads a branch, flat elsewhere and outside the placement."""
        covers = spec.temporal_allowed and (spec.leads or spec.role == "stem")
        if spec.stage == 3 and self.num_layer3_blocks is not None and spec.block >= self.num_layer3_blocks:
            covers = False
        return ClipConv3d(spec, kernel_time=self.kernels[spec.stage] if covers else 1)


class Slow(StageKernels):
    """SlowFast's slow pathway by itself: nothing in the stem and the first two stages, three frames in the last two.

    Source: "SlowFast Networks for Video Recognition" (arXiv 1812.03982), Table 1 without its fast pathway
    ("Slow-only"); time is never strided.
    """

    def __init__(self) -> None:
        super().__init__((1, 1, 1, 3, 3))
