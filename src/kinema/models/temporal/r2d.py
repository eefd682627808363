"""R2D: the frames of a clip as channels of one image."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.layers import ClipConv3d, same_padding
from kinema.models.sites import ConvSpec
from kinema.models.temporal.base import TemporalModule


class R2d(TemporalModule):
    """The stem sees all frames at once, as an image of ``c t`` channels; behind it there is one time step.

    Such a network takes clips of one length only.
    Source: "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (arXiv 1711.11248), section 3.1.

    Args:
        frames: Frames of every clip.

    Raises:
        UserError: ``frames`` is missing or less than 1.
    """

    sees_order = True
    option_names: ClassVar[tuple[str, ...]] = ("frames",)

    def __init__(self, *, frames: int = 0) -> None:
        if frames < 1:
            given = f", got {frames}" if frames else ""
            raise UserError(f'r2d is built for clips of one length: give options={{"frames": 8}}, 1 or more{given}')
        self.num_frames = frames

    def conv(self, spec: ConvSpec) -> nn.Module:
        """The stem over all frames; every other convolution as it is.

        Raises:
            UserError: The placement leaves the stem out.
        """
        if spec.role != "stem":
            return super().conv(spec)
        if not spec.temporal_allowed:
            raise UserError("r2d acts in the stem alone, which this placement leaves out; drop the placement")
        return FramesAsChannels(spec, num_frames=self.num_frames)


class FramesAsChannels(ClipConv3d):
    """A two-dimensional convolution on all frames of a clip at once; weights have five axes, ``out c t h w``."""

    def __init__(self, spec: ConvSpec, *, num_frames: int) -> None:
        super().__init__(spec, kernel_time=num_frames)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; ``b c t h w`` to ``b d 1 h' w'``."""
        image, weight = (axes.transpose(1, 2).flatten(1, 2) for axes in (input, self.weight))
        if self.same_padding:
            image = same_padding(image, self.kernel_size[1], self.stride[1])
        return F.conv2d(image, weight, self.bias, self.stride[1:], self.padding[1:]).unsqueeze(2)
