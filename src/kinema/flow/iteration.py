"""One iteration of TV-L1, in place through buffers that stay in the processor's cache.

``u`` is the flow, ``q`` are the dual variables times theta, axes ``n 2 2 h w`` (direction, then component of the flow).
The data term is kept as ``a, b, c``, so that ``a u_x + b u_y + c`` is the step along the image gradient ``w`` before it
is limited to ``limit``.
"""

from __future__ import annotations

import torch
from torch import Tensor

BAND_VALUES = 24_000
"""Pixels of a band on the CPU: its buffers stay in the second cache (1 MB or more) from one step to the next."""


class Iteration:
    """Iterates in place, band of rows by band of rows, so that little travels to and from the memory.

    Args:
        u: Flow, axes ``n 2 h w``, changed in place.
        q: Dual variables, axes ``n 2 2 h w``, changed in place.
        w: Image gradient of the warped frame, axes ``n 2 h w``.
        data: The planes a, b and c of the data term, axes ``n 3 h w``.
        limit: Largest step along ``w``.
        tau: Step of the dual variables.
        taut: ``tau / theta``.
    """

    def __init__(self, u: Tensor, q: Tensor, w: Tensor, data: Tensor, *, limit: float, tau: float, taut: float) -> None:
        self.u, self.q = u, q
        self.limit, self.tau, self.taut = limit, tau, taut
        num, _, height, width = u.shape
        rows = height if u.is_cuda else max(1, min(height, BAND_VALUES // (num * width)))
        bands = [(top, min(top + rows, height)) for top in range(0, height, rows)]
        self._one = u.new_ones(())
        self._changes = u.new_zeros(len(bands), num)
        step, along, gradient, length = (u.new_zeros(num, *lead, rows, width) for lead in ((), (2,), (2, 2), (2,)))
        last = u.new_zeros(num, 2, 2, height - bands[-1][0], width)  # its last row stays 0: no gradient beyond
        self._flow_views, self._dual_views = [], []
        for top, stop in bands:
            inside = slice(top, stop)
            t, du = step[:, : stop - top], along[:, :, : stop - top]
            q_x, q_y = q[:, 0, :, inside], q[:, 1, :, inside]
            above = (du, q[:, 1, :, top - 1 : stop - 1]) if top else (du[:, :, 1:], q[:, 1, :, : stop - 1])
            planes = [data[:, place, inside] for place in range(3)]
            own = u[:, :, inside]
            data_views = (t, *planes, own[:, 0], own[:, 1], t[:, None], w[:, :, inside])
            self._flow_views.append((*data_views, du, q_x, q_y, du[..., 1:], q_x[..., :-1], *above, own))
            g = gradient[:, :, :, : stop - top] if stop < height else last
            below = u[:, :, top + 1 : stop + 1]
            above = own[:, :, : below.shape[2]]
            differences = (own[..., 1:], own[..., :-1], g[:, 0, ..., :-1], below, above, g[:, 1, :, : below.shape[2]])
            norm = length[:, :, : stop - top]
            self._dual_views.append((*differences, g[:, 0], g[:, 1], norm, g, q[:, :, :, inside], norm[:, None]))

    def __call__(self) -> Tensor:
        """Do one iteration; gives the sum of the squared changes of each pair, axis ``n``."""
        for views, change in zip(self._flow_views, self._changes, strict=True):
            t, a, b, c, u_x, u_y, t_both, w, du, q_x, q_y, right, q_left, under, q_above, u = views
            torch.addcmul(c, a, u_x, out=t)
            t.addcmul_(b, u_y).clamp_(-self.limit, self.limit)
            torch.mul(w, t_both, out=du)
            du.add_(q_x).add_(q_y)
            right.sub_(q_left)
            under.sub_(q_above)
            u.add_(du)
            torch.linalg.vector_norm(du, dim=(1, 2, 3), out=change)
        for right, left, g_x, below, above, g_y, g_0, g_1, length, g, q, length_both in self._dual_views:
            torch.sub(right, left, out=g_x)
            torch.sub(below, above, out=g_y)
            torch.mul(g_0, g_0, out=length)
            length.addcmul_(g_1, g_1).sqrt_()
            torch.add(self._one, length, alpha=self.taut, out=length)
            q.add_(g, alpha=self.tau).div_(length_both)
        return self._changes.square().sum(0)
