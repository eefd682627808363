"""Convolutions of 3 x 3 positions by Winograd's method: a quarter of the multiplications, between two transforms."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

_TILE, _KERNEL = 4, 3
_SPAN = _TILE + _KERNEL - 1
_POINTS = (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2))
"""Where the polynomials of a tile and of a kernel are evaluated, besides infinity; these keep rounding small."""
_STRIP_BYTES, _STRIP_TILES = 2**20, 128
"""Tiles are transformed in strips of rows that stay in a core's cache, but are enough for products of matrices."""


@cache
def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """What turns tiles, kernels and products, along one axis, from positions to points and back.

    A tile of outputs is a product of polynomials read backwards (Toom and Cook): both are evaluated at ``_SPAN``
    points, multiplied there, and what interpolates is transposed onto the input.
    Source: "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), F(4 x 4, 3 x 3).

    Returns:
        For tiles ``_SPAN x _SPAN``, for kernels ``_SPAN x 3``, and for products ``4 x _SPAN``; float64.
    """
    tiles, kernels = [], []
    for point in _POINTS:
        others = [other for other in _POINTS if other != point]
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        tiles.append([*_with_roots(others), Fraction(0)])
        kernels.append([point**power / scale for power in range(_KERNEL)])
    tiles.append(_with_roots(_POINTS))
    kernels.append([Fraction(power == _KERNEL - 1) for power in range(_KERNEL)])
    back = [[*(point**power for point in _POINTS), Fraction(power == _TILE - 1)] for power in range(_TILE)]
    tile, kernel, product = (
        torch.tensor([[float(number) for number in row] for row in rows], dtype=torch.float64)
        for rows in (tiles, kernels, back)
    )
    return tile, kernel, product


def _with_roots(roots: tuple[Fraction, ...] | list[Fraction]) -> list[Fraction]:
    """Coefficients, from the constant on, of the polynomial with these roots."""
    found = [Fraction(1)]
    for root in roots:
        found = [low - root * high for low, high in zip([Fraction(0), *found], [*found, Fraction(0)], strict=True)]
    return found


def transform_kernels(weight: Tensor) -> Tensor:
    """Weights ``d c t 3 3`` at the points, columns before rows: ``t point c d``, with 36 points."""
    kernel = _matrices()[1].to(weight.device)
    points = torch.einsum("ai,bj,dctij->tbacd", kernel, kernel, weight.double())
    return points.flatten(1, 2).to(weight.dtype).contiguous()


def winograd(clip: Tensor, points: Tensor, bias: Tensor | None, padding: tuple[int, ...]) -> Tensor:
    """Convolve with stride one.

    Args:
        clip: Axes ``b c t h w``.
        points: Transformed kernels, from ``transform_kernels``.
        bias: One number for each channel out.
        padding: Zeros on both sides of time, height and width.

    Returns:
        ``b d t' h' w'``, in channels-last order.
    """
    batch, channels, frames = clip.shape[:3]
    size_time, _, _, out_channels = points.shape
    num_out = frames + 2 * padding[0] - size_time + 1
    height, width = (size + 2 * pad - _KERNEL + 1 for size, pad in zip(clip.shape[3:], padding[1:], strict=True))
    num_rows, num_columns = -(-height // _TILE), -(-width // _TILE)
    padded = clip.new_zeros(frames, batch, num_rows * _TILE + 2, num_columns * _TILE + 2, channels)
    inner = padded[:, :, padding[1] : padding[1] + clip.shape[3], padding[2] : padding[2] + clip.shape[4]]
    inner.copy_(clip.permute(2, 0, 3, 4, 1))
    tile, product = _matrices()[0].to(clip), _matrices()[2].to(clip)
    out = clip.new_empty(batch, num_out, num_rows, _TILE, num_columns * _TILE * out_channels)
    tiles_in_row = batch * frames * num_columns
    bytes_in_row = tiles_in_row * _SPAN**2 * max(channels, out_channels) * clip.element_size()
    num_strip = max(1, _STRIP_BYTES // bytes_in_row, _STRIP_TILES // tiles_in_row)
    for first in range(0, num_rows, num_strip):
        last = min(num_rows, first + num_strip)
        tiles = _evaluate(padded.flatten(0, 1), tile, range(first, last), num_columns)
        sums = _multiply(tiles.view(_SPAN**2, frames, -1, channels), points, num_out, padding[0])
        sums = sums.view(_SPAN**2, num_out, batch, last - first, num_columns, out_channels)
        strip = out[:, :, first:last].transpose(0, 1)
        if bias is None:
            strip.copy_(_interpolate(sums, product))
        else:
            torch.add(_interpolate(sums, product), bias.repeat(num_columns * _TILE), out=strip)
    whole = out.view(batch, num_out, num_rows * _TILE, num_columns * _TILE, out_channels)
    return whole[:, :, :height, :width].contiguous().permute(0, 4, 1, 2, 3)


def _evaluate(padded: Tensor, tile: Tensor, rows: range, columns: int) -> Tensor:
    """Some rows of overlapping tiles of ``n h w c``, as ``point (n row column) c``."""
    num, _, width, channels = padded.shape
    by_frame, by_row = padded.stride()[:2]
    along = padded.new_empty(len(rows), num, _SPAN, width * channels)
    each = tile.expand(num, -1, -1)
    for index, row in enumerate(rows):
        seen = padded.as_strided((num, _SPAN, width * channels), (by_frame, by_row, 1), row * _TILE * by_row)
        torch.bmm(each, seen, out=along[index])
    tiles = along.unflatten(3, (width, channels)).unfold(3, _SPAN, _TILE)  # row n point column c position
    return torch.mm(tile, tiles.permute(5, 2, 1, 0, 3, 4).reshape(_SPAN, -1)).view(_SPAN**2, -1, channels)


def _multiply(tiles: Tensor, points: Tensor, num_out: int, padding: int) -> Tensor:
    """At each point, tiles ``point t n c`` times kernels ``t point c d``, summed over the kernel's frames."""
    size, frames = points.shape[0], tiles.shape[1]
    sums = tiles.new_empty(_SPAN**2, num_out, tiles.shape[2], points.shape[3])
    written = False
    for tap in sorted(range(size), key=lambda tap: abs(tap - size // 2)):
        start, end = max(0, padding - tap), min(num_out, frames + padding - tap)
        if start >= end:
            continue
        seen = tiles[:, start + tap - padding : end + tap - padding].flatten(1, 2)
        if not written and (start, end) == (0, num_out):
            torch.bmm(seen, points[tap], out=sums.flatten(1, 2))
        else:
            into = sums if written else sums.zero_()
            into[:, start:end].flatten(1, 2).baddbmm_(seen, points[tap])
        written = True
    return sums


def _interpolate(sums: Tensor, product: Tensor) -> Tensor:
    """Sums ``point t b row column d`` as outputs ``t b row position (column position d)``."""
    num_out, batch, rows = sums.shape[1:4]
    columns = torch.mm(product, sums.reshape(_SPAN, -1)).view(_TILE, _SPAN, *sums.shape[1:])
    columns = columns.permute(2, 3, 4, 1, 5, 0, 6).reshape(num_out * batch * rows, _SPAN, -1)
    answers = torch.bmm(product.expand(len(columns), -1, -1), columns)
    return answers.view(num_out, batch, rows, _TILE, -1)
