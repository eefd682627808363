"""Several temporal modules on one backbone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from kinema.errors import UserError
from kinema.models.sites import ConvSpec, PoolSpec, Site
from kinema.models.temporal.base import NetworkPlan, TemporalModule


class Stack(TemporalModule):
    """Modules that act one after the other wherever more than one has something to say.

    Only one of them may replace convolutions, since a convolution cannot be two things.

    Args:
        modules: The modules, in the order in which they act.
    """

    def __init__(self, modules: Sequence[TemporalModule]) -> None:
        self.modules = tuple(modules)
        self.strides_time = any(m.strides_time for m in modules)
        self.sees_order = any(m.sees_order for m in modules)
        self.num_frames = max(m.num_frames for m in modules)
        self.named_blocks = tuple(block for m in modules for block in m.named_blocks)
        own_conv = [m for m in modules if type(m).conv is not TemporalModule.conv]
        if len(own_conv) > 1:
            names = " and ".join(type(m).__name__.lower() for m in own_conv)
            raise UserError(f"{names} both replace the backbone's convolutions; keep one of them")
        self._base = own_conv[0] if own_conv else TemporalModule()

    def network(self, backbone: NetworkPlan) -> NetworkPlan:
        """What each of the modules makes of the network before it."""
        for module in self.modules:
            backbone = module.network(backbone)
        return backbone

    def conv(self, spec: ConvSpec) -> nn.Module:
        """The convolution of the one module that replaces them, else the spatial one."""
        return self._base.conv(spec)

    def pool(self, spec: PoolSpec) -> nn.Module:
        """The pool of the module that replaces convolutions, else the spatial one."""
        return self._base.pool(spec)

    def activated(self, spec: ConvSpec) -> nn.Module:
        """All answers in a row."""
        return _in_a_row([m.activated(spec) for m in self.modules])

    def mix(self, site: Site) -> nn.Module:
        """All answers in a row."""
        return _in_a_row([m.mix(site) for m in self.modules])

    def branch_end(self, site: Site) -> nn.Module:
        """All answers in a row."""
        return _in_a_row([m.branch_end(site) for m in self.modules])

    def after(self, site: Site) -> nn.Module:
        """All answers in a row."""
        return _in_a_row([m.after(site) for m in self.modules])


def _in_a_row(parts: Sequence[nn.Module]) -> nn.Module:
    own = [part for part in parts if not isinstance(part, nn.Identity)]
    return own[0] if len(own) == 1 else nn.Sequential(*own) if own else nn.Identity()
