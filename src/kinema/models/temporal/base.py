"""The six questions that a backbone asks its temporal module, with the answers of a purely spatial network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Protocol

from torch import nn

from kinema.models.backbones.network import Backbone
from kinema.models.layers import ClipMaxPool, FrameConv2d
from kinema.models.sites import ConvSpec, PoolSpec, Site


class NetworkPlan(Protocol):
    """What a module has to know of the plan of a network: ``kinema.models.backbones.base.BackbonePlan`` is one."""

    @property
    def num_units(self) -> int:
        """Number of units that a placement counts."""

    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network, asking the module for its parts."""


class TemporalModule:
    """How frames meet in a network. A subclass answers the questions that concern it and inherits the other answers.

    Every answer is a module from clip to clip, ``b c t h w``. Answers that hold no parameters add no keys to the state
    dictionary, so a network without a module has exactly the keys of its two-dimensional form.

    Attributes:
        strides_time: Whether its own convolutions can halve time; otherwise a max-pool does.
        sees_order: Whether shuffling the frames can change its answers (averages and attention do not see order).
        num_frames: Frames of every clip, where the module joins them all in the stem; 0 for clips of any length.
        option_names: Keyword arguments of the constructor that a user may set through ``options``.
        named_blocks: Blocks that the user named in an option; the backbone has to have them.
    """

    strides_time: bool = False
    sees_order: bool = False
    num_frames: int = 0
    named_blocks: tuple[str, ...] = ()
    option_names: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def may_have_no_gradient(cls, parameter: str) -> bool:
        """Whether the loss of some clips does not depend on a parameter that the module brings; mostly False.

        A bias that the softmax behind it takes away is one, or a weight of the difference between neighbouring frames
        where one time step is left. The contract tests ask, which else want a gradient for every parameter.

        Args:
            parameter: Its name in the network, such as ``"layer2.1.after.phi.bias"``.
        """
        return False

    def network(self, backbone: NetworkPlan) -> NetworkPlan:
        """The network that carries the module: the backbone, unless the module is made of several."""
        return backbone

    def conv(self, spec: ConvSpec) -> nn.Module:
        """Replaces one 2-D convolution of the backbone."""
        return FrameConv2d(spec)

    def activated(self, spec: ConvSpec) -> nn.Module:
        """Applied after each activation; after the norm where ``spec.role`` is ``branch_out``."""
        return nn.Identity()

    def pool(self, spec: PoolSpec) -> nn.Module:
        """Replaces one 2-D max-pool of the backbone."""
        return ClipMaxPool(spec, kernel_time=spec.kernel_time if spec.stride_time > 1 else 1)

    def mix(self, site: Site) -> nn.Module:
        """Where frames meet: at the head of a residual branch; on Inception after a stem convolution or a module."""
        return nn.Identity()

    def branch_end(self, site: Site) -> nn.Module:
        """At the end of a residual branch, before the addition, or at the output of an Inception module."""
        return nn.Identity()

    def after(self, site: Site) -> nn.Module:
        """After a whole block."""
        return nn.Identity()


class PlacedModule:
    """A temporal module as a backbone meets it: the six questions, answered spatially outside the placement.

    Attributes:
        module: The module.
        allowed: For each unit of the backbone, from the input, whether the module may sit there.
        blocks: Names of the blocks that have asked so far; for checking options that name blocks.
    """

    def __init__(self, module: TemporalModule, allowed: Sequence[bool]) -> None:
        self.module = module
        self.allowed = tuple(allowed)
        self.blocks: list[str] = []

    def strides_time(self, unit: int) -> bool:
        """Whether the module's own convolutions can halve time in this unit."""
        return self.module.strides_time and self.allowed[unit]

    @property
    def sees_order(self) -> bool:
        """Whether the module sits anywhere and sees the order of the frames there."""
        return self.module.sees_order and any(self.allowed)

    def conv(self, spec: ConvSpec, unit: int) -> nn.Module:
        """Ask for a convolution of a unit, and draw its weights at random."""
        answer = self.module.conv(replace(spec, temporal_allowed=self.allowed[unit]))
        for part in answer.modules():
            if isinstance(part, nn.Conv2d | nn.Conv3d):
                init_conv(part, fan=spec.init_fan)
        return answer

    def activated(self, spec: ConvSpec, unit: int) -> nn.Module:
        """Ask what a convolution's activation passes through."""
        return self.module.activated(spec) if self.allowed[unit] else nn.Identity()

    def pool(self, spec: PoolSpec, unit: int) -> nn.Module:
        """Ask for a max-pool."""
        return self.module.pool(replace(spec, temporal_allowed=self.allowed[unit]))

    def mix(self, site: Site, unit: int) -> nn.Module:
        """Ask where frames meet."""
        return self.module.mix(site) if self.allowed[unit] else nn.Identity()

    def branch_end(self, site: Site, unit: int) -> nn.Module:
        """Ask for the end of a branch."""
        return self.module.branch_end(site) if self.allowed[unit] else nn.Identity()

    def after(self, site: Site, unit: int) -> nn.Module:
        """Ask for what follows a block."""
        self.blocks.append(site.name)
        return self.module.after(site) if self.allowed[unit] else nn.Identity()


def init_conv(conv: nn.Conv2d | nn.Conv3d, *, fan: Literal["in", "out"] = "out") -> None:
    """Draw a convolution that a ReLU follows at random: Kaiming normal, counted within its groups; a bias is zero.

    Args:
        conv: The convolution.
        fan: Whether the size of what goes forward stays (``"in"``) or that of the gradient (``"out"``).
    """
    channels = conv.in_channels if fan == "in" else conv.out_channels
    num_summed = math.prod(conv.kernel_size) * channels // conv.groups
    nn.init.normal_(conv.weight, std=math.sqrt(2.0 / num_summed))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
