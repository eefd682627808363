"""Words of messages that depend on numbers."""

from __future__ import annotations

from collections.abc import Sequence

LISTED = 20
"""How many items of one kind a message names; the number of the others follows."""

SCORE_NAMES = {"top1": "top-1", "top5": "top-5", "mean_class": "mean class"}
"""What papers call accuracies, by their names in tables of runs."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number and what it counts, such as ``1 video`` and ``2,300 videos``.

    Args:
        number: How many.
        noun: One of them.
        plural: Several of them, where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def some_of(items: Sequence[str], limit: int = LISTED) -> str:
    """Join the first items with commas and count the others."""
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest:,} more" if rest > 0 else "")
