"""Where a temporal module sits: which of a backbone's units, counted from the input, it may touch."""

from __future__ import annotations

import re

from kinema.errors import unknown_name

_HALVES = ("tophalf", "bottomhalf", "uniformhalf")
_COUNTED = re.compile(r"(top|bottom)(\d+)")


def check_placement(placement: str) -> None:
    """Raise a UserError unless ``placement`` is a word of the grammar; empty and ``"all"`` mean everywhere."""
    if placement not in ("", "all", *_HALVES) and not _COUNTED.fullmatch(placement):
        raise unknown_name("placement", placement, ("all", *_HALVES), "Or topN, bottomN with a number of blocks.")


def placed_units(placement: str, num_units: int) -> tuple[bool, ...]:
    """Which units a module touches, one flag per unit from the input to the output.

    "Top" is the end near the output, as in Table 6 of "Deep Analysis of CNN-based Spatio-temporal Representations for
    Action Recognition" (arXiv 2010.11757); with an odd number of units a half is rounded up.

    Args:
        placement: ``""`` or ``"all"``; ``"tophalf"``, ``"bottomhalf"``; ``"uniformhalf"`` (first, third, ...);
            ``"topN"``, ``"bottomN"`` with N units, of which at most all are taken.
        num_units: Units of the backbone: residual blocks of a ResNet, modules of an Inception, convolutions of a VGG.
    """
    check_placement(placement)
    if placement in ("", "all"):
        return (True,) * num_units
    if placement == "uniformhalf":
        return tuple(unit % 2 == 0 for unit in range(num_units))
    counted = _COUNTED.fullmatch(placement)
    count = min(int(counted[2]), num_units) if counted else (num_units + 1) // 2
    if placement.startswith("top"):
        return tuple(unit >= num_units - count for unit in range(num_units))
    return tuple(unit < count for unit in range(num_units))
