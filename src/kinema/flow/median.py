"""The 3x3 and 5x5 median of whole planes: OpenCV's on the CPU, minima and maxima of whole planes on other devices."""

from __future__ import annotations

from functools import cache

import cv2
import torch
from torch import Tensor
from torch.nn import functional

# Exchanges that sort three and five values (five: nine exchanges, the fewest possible).
_SORT = {3: ((0, 1), (1, 2), (0, 1)), 5: ((0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3))}


def median_filter(planes: Tensor, side: int) -> Tensor:
    """Median over a square window around each value; beyond the border the nearest value repeats.

    Args:
        planes: float32, axes ``n c h w``.
        side: 3 or 5; 1 returns the planes as they are.
    """
    if side == 1:
        return planes
    if planes.device.type != "cpu":
        return median_by_exchanges(planes, side)
    answer = torch.empty_like(planes, memory_format=torch.contiguous_format)
    for plane, filtered in zip(planes.flatten(0, 1).numpy(), answer.flatten(0, 1).numpy(), strict=True):
        cv2.medianBlur(plane, side, filtered)
    return answer


def median_by_exchanges(planes: Tensor, side: int) -> Tensor:
    """Compute the same by minima and maxima alone: no sorting, no copies of neighbourhoods.

    Args:
        planes: Axes ``n c h w``, on any device.
        side: 3 or 5.
    """
    reach = side // 2
    height, width = planes.shape[-2:]
    padded = functional.pad(planes, (reach, reach, reach, reach), mode="replicate")
    # The columns of neighbouring windows are the same, so each is sorted once.
    ranks = _run([padded[..., row : row + height, :] for row in range(side)], _column_plan(side))
    shifted = [rank[..., column : column + width] for rank in ranks for column in range(side)]
    return _run(shifted, _window_plan(side))[0]


Plan = tuple[tuple[tuple[int, int, bool, bool], ...], tuple[int, ...]]
"""Exchanges (low place, high place, whether each result is used later), and the places of the answers."""


def _run(values: list[Tensor], plan: Plan) -> list[Tensor]:
    exchanges, answers = plan
    values = list(values)
    for low, high, needs_low, needs_high in exchanges:
        first, second = values[low], values[high]
        if needs_low:
            values[low] = torch.minimum(first, second)
        if needs_high:
            values[high] = torch.maximum(first, second)
    return [values[index] for index in answers]


@cache
def _column_plan(side: int) -> Plan:
    return _pruned(list(_SORT[side]), list(range(side)))


@cache
def _window_plan(side: int) -> Plan:
    """Find the median of ``side`` sorted columns, given as ranks times columns.

    Once the rows are sorted too, value (i, j) has (i + 1)(j + 1) values that are not larger, itself included, and as
    many from the other corner that are not smaller: those that cannot be in the middle drop out in equal numbers.
    Of the rest, the largest and the smallest of just more than half are dropped again and again.
    """
    exchanges = [(side * row + i, side * row + j) for row in range(side) for i, j in _SORT[side]]
    middle = (side * side + 1) // 2
    rest = [
        side * i + j
        for i in range(side)
        for j in range(side)
        if (i + 1) * (j + 1) <= middle and (side - i) * (side - j) <= middle
    ]
    held, waiting = rest[: len(rest) // 2 + 2], rest[len(rest) // 2 + 2 :]
    while len(held) > 1:
        exchanges += [(held[0], other) for other in held[1:]]  # the smallest of them goes to the front
        exchanges += [(other, held[-1]) for other in held[1:-1]]  # and the largest to the end
        held = held[1:-1] + waiting[:1]
        waiting = waiting[1:]
    return _pruned(exchanges, held)


def _pruned(exchanges: list[tuple[int, int]], answers: list[int]) -> Plan:
    """Mark the results that matter, from the end backwards."""
    needed, kept = set(answers), []
    for low, high in reversed(exchanges):
        if low in needed or high in needed:
            kept.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(kept)), tuple(answers)
