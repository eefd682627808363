"""TSN: a network that looks at every frame by itself."""

from __future__ import annotations

from kinema.models.temporal.base import TemporalModule


class Tsn(TemporalModule):
    """No temporal module: frames meet only when the head averages.

    Source: "Temporal Segment Networks" (arXiv 1608.00859), average consensus.
    """
