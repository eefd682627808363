"""One iteration of TV-L1, in place through buffers that stay in the processor's cache.

``u`` is the flow, ``q`` are the dual variables times theta, axes ``n 2 2 h w`` (direction, then component of the flow).
The data term is kept as ``a, b, c``, so that ``a u_x + b u_y + c`` is the step along the image gradient ``w`` before it
is limited to ``limit``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
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
        shared = _Buffers(u, rows)
        last = _Buffers(u, height - bands[-1][0])  # the last row of its gradient stays 0: there is none beyond
        self._flow_views, self._dual_views = [], []
        for number, (top, stop) in enumerate(bands):
            inside = slice(top, stop)
            buffers = shared if stop < height else last
            t, du, g, norm = buffers.step, buffers.along, buffers.gradient, buffers.length
            q_x, q_y = q[:, 0, :, inside], q[:, 1, :, inside]
            above = (du, q[:, 1, :, top - 1 : stop - 1]) if top else (du[:, :, 1:], q[:, 1, :, : stop - 1])
            planes = [data[:, row, inside] for row in range(3)]
            own = u[:, :, inside]
            data_views = (t, *planes, own[:, 0], own[:, 1], t[:, None], w[:, :, inside])
            squares = buffers.sum_of_squares(self._changes[number])
            self._flow_views.append((*data_views, du, q_x, q_y, du[..., 1:], q_x[..., :-1], *above, own, squares))
            below = u[:, :, top + 1 : stop + 1]
            above = own[:, :, : below.shape[2]]
            differences = (own[..., 1:], own[..., :-1], g[0, ..., :-1], below, above, g[1, :, :, : below.shape[2]])
            self._dual_views.append((*differences, buffers, g.transpose(0, 1), norm, q[:, :, :, inside], norm[:, None]))

    def __call__(self) -> Tensor:
        """Do one iteration; gives the sum of the squared changes of each pair, axis ``n``."""
        for (
            t,
            a,
            b,
            c,
            u_x,
            u_y,
            t_both,
            w,
            du,
            q_x,
            q_y,
            right,
            q_left,
            under,
            q_above,
            u,
            squares,
        ) in self._flow_views:
            torch.addcmul(c, a, u_x, out=t)
            t.addcmul_(b, u_y).clamp_(-self.limit, self.limit)
            torch.mul(w, t_both, out=du)
            du.add_(q_x).add_(q_y)
            right.sub_(q_left)
            under.sub_(q_above)
            u.add_(du)
            squares()
        for right, left, g_x, below, above, g_y, buffers, g, length, q, length_both in self._dual_views:
            torch.sub(right, left, out=g_x)
            torch.sub(below, above, out=g_y)
            buffers.set_length()
            torch.add(self._one, length, alpha=self.taut, out=length)
            q.add_(g, alpha=self.tau).div_(length_both)
        return self._changes[0] if len(self._changes) == 1 else self._changes.sum(0)


class _Buffers:
    """What lies between the steps of an iteration over a band of rows; nothing but views is made while it runs.

    On the CPU lengths and sums of squares are OpenCV's and numpy's, which take a third and half of torch's time.
    """

    def __init__(self, like: Tensor, rows: int) -> None:
        num, _, _, width = like.shape
        self.step = like.new_zeros(num, rows, width)
        self.along, self.length = like.new_zeros(num, 2, rows, width), like.new_zeros(num, 2, rows, width)
        self.gradient = like.new_zeros(2, num, 2, rows, width)
        self._planes = [] if like.is_cuda else [_rows(plane) for plane in (*self.gradient, self.length)]

    def set_length(self) -> None:
        """Put the length of the gradient where it belongs."""
        if self._planes:
            cv2.magnitude(*self._planes)
        else:
            torch.mul(self.gradient[0], self.gradient[0], out=self.length)
            self.length.addcmul_(self.gradient[1], self.gradient[1]).sqrt_()

    def sum_of_squares(self, target: Tensor) -> Callable[[], None]:
        """Give what writes the sum of the squared changes of each pair into ``target``, axis ``n``."""
        if target.is_cuda:
            return partial(self._sum_on_gpu, target)
        return partial(_sum, [pair.reshape(-1).numpy() for pair in self.along], target.numpy())

    def _sum_on_gpu(self, target: Tensor) -> None:
        torch.linalg.vector_norm(self.along, dim=(1, 2, 3), out=target)
        target.square_()


def _rows(planes: Tensor) -> np.ndarray:
    """One tall plane, as OpenCV wants it, of contiguous ones."""
    return planes.reshape(-1, planes.shape[-1]).numpy()


def _sum(changes: list[np.ndarray], target: np.ndarray) -> None:
    for number, change in enumerate(changes):
        target[number] = np.dot(change, change)
