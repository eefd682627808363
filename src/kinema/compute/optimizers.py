"""Torch's optimizers without its compiler.

Torch marks methods of every optimizer so that ``torch.compile`` leaves them out, and loads its compiler to do so, which
takes as long as loading torch itself. Nobody compiles an optimizer here, so the methods underneath are called; what
they compute is the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch


class Uncompiled(torch.optim.Optimizer):
    """Stands before an optimizer of torch among the bases of a class."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """See torch."""
        _under_the_mark(super().add_param_group)(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """See torch."""
        _under_the_mark(super().zero_grad)(self, set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """See torch."""
        return _under_the_mark(super().state_dict)(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See torch."""
        _under_the_mark(super().load_state_dict)(self, state_dict)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """See torch."""
        return _under_the_mark(super().step)(self, closure)


class SGD(Uncompiled, torch.optim.SGD):
    """Stochastic gradient descent, see ``torch.optim.SGD``."""


class AdamW(Uncompiled, torch.optim.AdamW):
    """Adam with decoupled weight decay, see ``torch.optim.AdamW``."""


class LBFGS(Uncompiled, torch.optim.LBFGS):
    """Limited-memory BFGS, see ``torch.optim.LBFGS``."""


def _under_the_mark(method: Any) -> Callable[..., Any]:
    """The function that a bound method's decorators wrap."""
    return inspect.unwrap(method.__func__)
