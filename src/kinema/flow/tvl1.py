"""TV-L1 optical flow in torch: many pairs at once, on CPU and CUDA.

"A Duality Based Approach for Realtime TV-L1 Optical Flow" (Zach, Pock and Bischof, DAGM 2007), with the pyramid, the
cubic warps, the median filters and the stopping rule that OpenCV's DualTVL1OpticalFlow has, so that either can stand
in for the other.

Differs from the paper: median filters between iterations, and dual variables that outlive a warp (both as OpenCV).
Differs from OpenCV: warps at the exact place where OpenCV rounds to 1/32 px; repeats the border pixel, which OpenCV
mixes with black (at the exact place that would pull even two equal frames apart); no illumination term (``gamma``, 0
there).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kinema.flow.iteration import Iteration
from kinema.flow.median import median_filter
from kinema.flow.parameters import TvL1Parameters

SMALLEST_SIDE = 16
"""Pyramid levels below this many pixels are left out, as in OpenCV."""

CHECK_EVERY = {"cpu": 1, "cuda": 5}
"""Iterations between two looks at the stopping rule; a look makes the processor wait for a GPU. A pair can so iterate
up to 4 times more on a GPU than on the CPU, which changes its flow by less than ``epsilon`` or so."""


def tvl1(first: Tensor, second: Tensor, parameters: TvL1Parameters | None = None) -> Tensor:
    """Compute where the pixels of ``first`` are in ``second``. Every pair stops on its own, as if it were alone.

    Args:
        first: Grey frames 0..255, axes ``n h w``, on the device that shall compute.
        second: The frames after them, of the same shape.
        parameters: OpenCV's defaults when not given.

    Returns:
        Flow in px, float32, axes ``n 2 h w``: to the right, then down.
    """
    parameters = parameters or TvL1Parameters()
    with torch.no_grad():
        flow = torch.zeros(len(first), 2, *first.shape[1:], device=first.device)
        # Where frames are equal, as they often are in videos, or where the second has no texture, nothing pulls.
        pulls = (first != second).flatten(1).any(1) & (second != second[:, :1, :1]).flatten(1).any(1)
        pairs = pulls.nonzero()[:, 0]
        # On a CPU one pair after the other keeps more in the caches.
        for some in [pairs] if first.is_cuda else pairs.split(1):
            if len(some):
                flow[some] = _flow(first[some], second[some], parameters)
        return flow


def _flow(first: Tensor, second: Tensor, parameters: TvL1Parameters) -> Tensor:
    step = parameters.scale_step
    levels = [torch.stack([first, second], 1).float()]
    while len(levels) < parameters.nscales:
        height, width = (round(side * step) for side in levels[-1].shape[-2:])
        if min(height, width) < SMALLEST_SIDE:
            break
        levels.append(resized(levels[-1], (height, width), (1 / step, 1 / step)))
    flow = levels[-1].new_zeros(levels[-1].shape)
    for frames in reversed(levels):
        height, width = frames.shape[-2:]
        if flow.shape != frames.shape:
            flow = resized(flow, (height, width), (flow.shape[-2] / height, flow.shape[-1] / width)) / step
        flow = _one_level(frames, flow, parameters)
    return flow


def resized(planes: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    """Interpolate linearly between pixel centres; beyond the border the nearest pixel repeats.

    Args:
        planes: Axes ``... h w``.
        size: New height and width.
        scale: Old pixels to a new one, down and to the right.
    """
    for axis, count, distance in zip((-2, -1), size, scale, strict=True):
        last = planes.shape[axis] - 1
        position = (torch.arange(count, dtype=torch.float64) + 0.5) * distance - 0.5
        position = position.clamp(0, last)
        start = position.floor().clamp(max=max(last - 1, 0))
        weight = (position - start).to(planes)
        start = start.long().to(planes.device)
        pair = planes.index_select(axis, start), planes.index_select(axis, (start + 1).clamp(max=last))
        planes = torch.lerp(*pair, weight[:, None] if axis == -2 else weight)
    return planes


def _one_level(frames: Tensor, u: Tensor, parameters: TvL1Parameters) -> Tensor:
    """Improve the flow on one level of the pyramid."""
    first, second = frames[:, 0], frames[:, 1]
    padded = functional.pad(frames[:, 1:], (1, 1, 1, 1), mode="replicate")[:, 0]
    gradient_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    gradient_y = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    source = torch.stack([second, gradient_x, gradient_y], 1)
    q, w, data = (u.new_zeros(u.shape[0], *lead, *u.shape[2:]) for lead in ((2, 2), (2,), (3,)))
    iteration = _iteration(u, q, w, data, parameters) if len(u) == 1 else None
    for _ in range(parameters.warps):
        _linearise(first, warp(source, u), u, w, data)
        if iteration is not None:
            _solve_one(iteration, parameters)
        else:
            u, q = _solve(u, q, w, data, parameters)
    return u


def _linearise(first: Tensor, warped: Tensor, u: Tensor, w: Tensor, data: Tensor) -> None:
    """Put the gradient of the warped frame into ``w`` and the data term about ``u`` into ``data``."""
    w.copy_(warped[:, 1:])
    constant = warped[:, 0].sub_(first).addcmul_(w[:, 0], u[:, 0], value=-1).addcmul_(w[:, 1], u[:, 1], value=-1)
    # Where the gradient vanishes so does the step along it; the floor only keeps 0 / 0 away.
    slope = w[:, 0].square().addcmul_(w[:, 1], w[:, 1]).clamp_(min=torch.finfo(torch.float32).eps).reciprocal_().neg_()
    torch.mul(w, slope[:, None], out=data[:, :2])
    torch.mul(constant, slope, out=data[:, 2])


def warp(planes: Tensor, u: Tensor) -> Tensor:
    """Look up a frame and its gradient where the flow points, with OpenCV's cubic (a = -0.75).

    The border pixel repeats. More than half a pixel outside the gradient is 0, so that nothing pulls there.

    Args:
        planes: Frame, gradient to the right, gradient down; axes ``n 3 h w``.
        u: Flow, axes ``n 2 h w``.
    """
    height, width = u.shape[-2:]
    scale_x, scale_y = 2 / (width - 1), 2 / (height - 1)
    grid = u.new_empty(len(u), height, width, 2)  # -1 to 1 from the middle of the first pixel to that of the last
    torch.add(torch.arange(width, device=u.device) * scale_x - 1, u[:, 0], alpha=scale_x, out=grid[..., 0])
    torch.add((torch.arange(height, device=u.device) * scale_y - 1)[:, None], u[:, 1], alpha=scale_y, out=grid[..., 1])
    warped = functional.grid_sample(planes, grid, mode="bicubic", padding_mode="border", align_corners=True)
    far = grid.abs_()
    is_outside = (far[..., 0] > 1 + scale_x / 2).logical_or_(far[..., 1] > 1 + scale_y / 2)
    warped[:, 1:].masked_fill_(is_outside[:, None], 0)
    return warped


def _solve_one(iteration: Iteration, parameters: TvL1Parameters) -> None:
    """Iterate between two warps, for one pair, in place."""
    u = iteration.u
    bound = parameters.epsilon**2 * u.shape[-2] * u.shape[-1]
    every = CHECK_EVERY["cuda" if u.is_cuda else "cpu"]
    for _ in range(parameters.outer_iterations):
        u.copy_(median_filter(u, parameters.median_filtering))
        for done in range(1, parameters.inner_iterations + 1):
            change = iteration()
            if (done % every == 0 or done == parameters.inner_iterations) and float(change) <= bound:
                return


def _solve(u: Tensor, q: Tensor, w: Tensor, data: Tensor, parameters: TvL1Parameters) -> tuple[Tensor, Tensor]:
    """Iterate between two warps until every pair stands still; pairs that do so are left alone from then on."""
    bound = parameters.epsilon**2 * u.shape[-2] * u.shape[-1]
    every = CHECK_EVERY["cuda" if u.is_cuda else "cpu"]
    solved_u, solved_q = u.clone(), q.clone()
    active = torch.arange(len(u), device=u.device)
    for _ in range(parameters.outer_iterations):
        u = median_filter(u, parameters.median_filtering)
        iteration = _iteration(u, q, w, data, parameters)
        for done in range(1, parameters.inner_iterations + 1):
            change = iteration()
            if done % every and done < parameters.inner_iterations:
                continue
            moving = change > bound
            if bool(moving.all()):
                continue
            solved_u[active], solved_q[active] = iteration.u, iteration.q
            keep = moving.nonzero()[:, 0]
            if not len(keep):
                return solved_u, solved_q
            u, q, w, data, active = iteration.u[keep], iteration.q[keep], w[keep], data[keep], active[keep]
            iteration = _iteration(u, q, w, data, parameters)
        u, q = iteration.u, iteration.q
    solved_u[active], solved_q[active] = u, q
    return solved_u, solved_q


def _iteration(u: Tensor, q: Tensor, w: Tensor, data: Tensor, parameters: TvL1Parameters) -> Iteration:
    limit, taut = parameters.lambda_ * parameters.theta, parameters.tau / parameters.theta
    return Iteration(u, q, w, data, limit=limit, tau=parameters.tau, taut=taut)
