"""Costs of the listed networks that were counted before, so that listing them builds none. Loads no torch."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

FRAMES: Final = 8
"""Frames of the clip of which the table knows the cost."""
SIZE: Final = 224
"""Height and width of that clip, in pixels."""
TABLE: Final = Path(__file__).with_name("costs.csv")
"""Written from the networks themselves by ``tests/count_costs.py``."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one clip.

    Attributes:
        name: The model's name.
        parameters: Parameters, the classifier's included.
        macs: Multiply-adds of one clip; see ``cost`` for what is counted.
        temporal_stride: Frames in for every time step of the last map.
        order_blind: Whether shuffling the frames leaves the scores unchanged.
        frames: Frames of the clip.
        size: Height and width of the clip, in pixels.
    """

    name: str
    parameters: int
    macs: int
    temporal_stride: int
    order_blind: bool
    frames: int
    size: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self)


def known_cost(name: str, *, frames: int, size: int) -> Cost | None:
    """Look up the cost of a model of 400 classes; None where the table does not have it.

    Args:
        name: As ``list_models`` gives it.
        frames: Frames of the clip.
        size: Height and width of the clip, in pixels.
    """
    return _known_costs().get(name) if (frames, size) == (FRAMES, SIZE) else None


@cache
def _known_costs() -> dict[str, Cost]:
    with TABLE.open(newline="") as rows:
        return {
            row["name"]: Cost(
                name=row["name"],
                parameters=int(row["parameters"]),
                macs=int(row["macs"]),
                temporal_stride=int(row["temporal_stride"]),
                order_blind=row["order_blind"] == "yes",
                frames=FRAMES,
                size=SIZE,
            )
            for row in csv.DictReader(rows)
        }


def write_table(costs: list[Cost], path: Path = TABLE) -> None:
    """Write the table anew.

    Args:
        costs: Of all listed models, for the clip of the table.
        path: Where to.
    """
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["name", "parameters", "macs", "temporal_stride", "order_blind"])
        for row in costs:
            blind = "yes" if row.order_blind else "no"
            table.writerow([row.name, row.parameters, row.macs, row.temporal_stride, blind])
