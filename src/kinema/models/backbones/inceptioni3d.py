"""The Inception network of I3D and S3D-G: made for clips, its stem and two of its max-pools halve time.

``i3d-inceptioni3d`` and ``i3d-inceptionv1`` have the same layers, keys and number of parameters and are two networks:
this one is I3D as published, which sees a time step of its last map for every 8 frames, and there every 7 x 7 x 7
kernel moves on by two frames; ``inceptionv1`` is the deep analysis' form, which keeps every frame unless ``-tp`` asks
otherwise. They also pad differently: ``inceptionv1`` pools as torchvision's GoogLeNet does, this one as torchvision's
S3D or as TensorFlow. Weights of one load into the other and mean little there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import UserError, one_of
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.backbones.inception import INCEPTION_MODULES, InceptionStages, ModuleWidths
from kinema.models.head import WindowHead
from kinema.models.sites import ConvSpec, PoolSpec
from kinema.models.temporal.base import PlacedModule, init_conv

PADDINGS: Final = ("half", "same")
STEMS: Final = ("split", "whole", "space_to_depth")
HEADS: Final = ("window", "mean")

_STEM_UNITS: Final = 2
"""The 7 x 7 convolution; the 1 x 1 and the 3 x 3 one, which the papers count as one layer."""

_LEAST_WIDTH: Final = 16
"""Channels that a narrowed network keeps everywhere, as the authors' code does."""


@dataclass(frozen=True, kw_only=True)
class InceptionI3dPlan(BackbonePlan):
    """Inception-v1 with batch norm as I3D inflates it; its 11 layers are what a placement counts, from 0 to 11.

    With no layer inflated it is the S3D-G paper's I2D: flat kernels and pools, while the stem (every second frame) and
    the two max-pools before 4a and 5a still halve time.
    Source: "Quo Vadis, Action Recognition?" (arXiv 1705.07750) and "Rethinking Spatiotemporal Feature Learning"
    (arXiv 1712.04851), Figures 2 and 6.
    Differs from the papers: norms have a scale, as in all public PyTorch networks; the authors' have a shift only.

    Attributes:
        padding: ``"half"`` a kernel on each side, as torchvision's and kylemin's S3D (and the pool before 5a drops an
            odd last row and frame); ``"same"`` as TensorFlow, which converted I3D weights need.
        stem: ``"split"``: a module that factorises splits it as well, seven frames (torchvision, the paper's Figure 6);
            ``"whole"``: it stays one 3 x 7 x 7 convolution (the authors' code); ``"space_to_depth"``: see
            ``SpaceToDepthConv``.
        width_multiplier: Factor on all widths, rounded down, at least 16 channels each: the paper's control experiment,
            fewer parameters without factorising.
        context_gate: Whether the embedding before the classifier is gated by itself (section 4.6).
        head: ``"window"``: averages over windows of 2 time steps and 7 x 7 positions, then over what is left, as the
            code of I3D and S3D; ``"mean"``: one average over all.
        norm_eps: Epsilon of the batch norms.
        norm_momentum: Their momentum, 1 minus the 0.999 of TensorFlow; a short training wants more.
    """

    option_names: ClassVar[tuple[str, ...]] = (
        *("padding", "stem", "width_multiplier", "context_gate", "head"),
        *("norm_eps", "norm_momentum"),
    )

    padding: str = "half"
    stem: str = "split"
    width_multiplier: float = 1.0
    context_gate: bool = False
    head: str = "window"
    norm_eps: float = 1e-3
    norm_momentum: float = 1e-3

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            UserError: One is out of range.
        """
        one_of("padding", self.padding, PADDINGS)
        one_of("stem", self.stem, STEMS)
        one_of("head", self.head, HEADS)
        for name in ("width_multiplier", "norm_eps", "norm_momentum"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be greater than 0, got {getattr(self, name)}")

    @property
    def num_units(self) -> int:
        """The stem, the 3 x 3 convolution and nine modules: the papers' layers K = 0 to 10."""
        return _STEM_UNITS + len(INCEPTION_MODULES)

    def width(self, channels: int) -> int:
        """Channels that are left of ``channels``."""
        return max(int(channels * self.width_multiplier), min(channels, _LEAST_WIDTH))

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network; see ``BackbonePlan.build``.

        Raises:
            UserError: Temporal pooling is asked for, or a space-to-depth stem for other than three channels.
        """
        if temporal_pooling:
            raise UserError("this Inception has no form with temporal pooling: it halves time three times as it is")
        if self.stem == "space_to_depth" and in_channels != 3:
            raise UserError(f"the stem space_to_depth takes RGB, in_channels 3, got {in_channels}")
        return InceptionI3d(self, placed, in_channels=in_channels)


class InceptionI3d(InceptionStages):
    """Stem, 3 x 3 convolution and nine modules under torchvision's GoogLeNet names, so that its ImageNet weights fit.

    The papers' names of the modules are one letter on: their 3b and 3c, 4b to 4f, 5b and 5c are 3a to 5b here.
    """

    def __init__(self, plan: InceptionI3dPlan, placed: PlacedModule, *, in_channels: int) -> None:
        super().__init__()
        same = plan.padding == "same"
        like = ConvSpec(
            in_channels=plan.width(64),
            out_channels=plan.width(64),
            kernel=1,
            role="reduce",
            same_padding=same,
            same_time=same,
            norm_eps=plan.norm_eps,
            norm_momentum=plan.norm_momentum,
        )
        stem = replace(like, in_channels=in_channels, kernel=7, stride=2, role="stem", kernel_time=7, stride_time=2)
        stem = replace(stem, split_time=7 if plan.stem == "split" else 1)
        conv3 = replace(like, out_channels=plan.width(192), kernel=3, role="spatial", kernel_time=3)
        first = SpaceToDepthConv(in_channels, plan.width(64)) if plan.stem == "space_to_depth" else None
        self.add_stem([stem, like, conv3], (0, 1, 1), placed, first)
        flat = PoolSpec(kernel=3, stride=2, padding=1, same_padding=same)
        cube = replace(flat, kernel_time=3, stride_time=2)
        self.maxpool1 = placed.pool(flat, 0)
        self.maxpool2 = placed.pool(flat, 1)
        widths = {name: ModuleWidths(*map(plan.width, own)) for name, own in INCEPTION_MODULES.items()}
        self.add_modules(
            plan.width(192), widths, placed, like=like, first_unit=_STEM_UNITS, points_time=conv3.kernel_time
        )
        self.maxpool3 = placed.pool(cube, _STEM_UNITS + list(INCEPTION_MODULES).index("4a"))
        last = replace(cube, kernel=2, padding=0, kernel_time=2)
        self.maxpool4 = placed.pool(last, _STEM_UNITS + list(INCEPTION_MODULES).index("5a"))
        self.temporal_stride = 8
        self._context_gate = plan.context_gate
        # Figure 2: I3D averages windows of 2 x 7 x 7, I2D of 1 x 7 x 7
        window = (2 if any(placed.allowed) else 1, 7, 7)
        self._window = window if plan.head == "window" else None

    def build_head(self, num_classes: int, *, dropout: float) -> WindowHead:
        """The head of the I3D and S3D code: with dropout on each window's average, as in front of its last convolution.

        That convolution is 1 x 1 x 1 and is followed by an average, so a linear layer behind the average is the same.
        """
        return WindowHead(
            self.num_features, num_classes, dropout=dropout, window=self._window, context_gate=self._context_gate
        )


class SpaceToDepthConv(nn.Conv3d):
    """A stem on blocks of 2 x 2 x 2 positions laid along the channels: 2 x 4 x 4 blocks, SAME padding.

    A clip of odd sizes is filled with zeros behind.
    Source: the code of "End-to-End Learning of Visual Representations from Uncurated Instructional Videos"
    (arXiv 1912.06430), S3D-G trained on HowTo100M.

    Args:
        in_channels: Channels of a frame; the kernel has eight times as many.
        out_channels: Channels out.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(8 * in_channels, out_channels, (2, 4, 4), bias=False)
        init_conv(self)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; ``b c t h w`` to ``b d ceil(t / 2) ceil(h / 2) ceil(w / 2)``."""
        num_frames, height, width = input.shape[2:]
        clip = F.pad(input, (0, width % 2, 0, height % 2, 0, num_frames % 2))
        blocks = clip.unflatten(4, (-1, 2)).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        blocks = blocks.permute(0, 3, 5, 7, 1, 2, 4, 6).flatten(1, 4)
        return super().forward(F.pad(blocks, (1, 2, 1, 2, 0, 1)))
