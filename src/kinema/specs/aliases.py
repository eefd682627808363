"""Names that the papers give to networks which have another name here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ALIASES: Final[Mapping[str, str]] = {
    "i2d": "i3d@top0-inceptioni3d",
    "fast-s3d": "s3d@top2-inceptioni3d",
    "f-r2d": "tsn-vresnet18",
    "f-r2d-vresnet34": "tsn-vresnet34",
    **{f"mc{x}-vresnet{depth}": f"r3d@bottom{x - 1}-vresnet{depth}" for depth in (18, 34) for x in (2, 3, 4, 5)},
    **{f"rmc{x}-vresnet{depth}": f"r3d@top{6 - x}-vresnet{depth}" for depth in (18, 34) for x in (2, 3, 4, 5)},
}
"""Other names of models, each with the name it stands for."""
