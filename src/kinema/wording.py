"""Words of messages that depend on numbers."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number and what it counts, such as ``1 video`` and ``2,300 videos``.

    Args:
        number: How many.
        noun: One of them.
        plural: Several of them, where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
