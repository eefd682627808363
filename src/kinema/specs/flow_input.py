"""Which optical flow a network is given, as a short name that recipes and checkpoints carry. Free of torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from kinema.errors import UserError

METHODS = ("tvl1", "farneback", "dis")
"""Algorithms by their names."""

FORM = "METHOD-BOUND[xFIELDS][-centred][-computed]"
EXAMPLES = "tvl1-20x10 (stacks of 10 fields), tvl1-20 (one field per frame), farneback-20-computed"

FLOW_MEAN, FLOW_STD = 0.5, 0.226
"""How flow is normalised: no motion becomes 0, and the deviation is ImageNet's, averaged over its channels.

Source: the published code of "Temporal Segment Networks" (arXiv 1608.00859) and its successors.
"""

_NAME = re.compile(rf"({'|'.join(METHODS)}|any)-(\d+(?:\.\d+)?)(?:x(\d+))?(-centred)?(-computed)?")


@dataclass(frozen=True, kw_only=True)
class FlowInput:
    """What a flow network sees in one time step: ``num_fields`` consecutive fields, x and y interleaved.

    Attributes:
        method: ``tvl1``, ``farneback`` or ``dis``; ``any`` for weights that do not say.
        bound: Displacement in pixels at which fields are clipped; 0 for weights that do not say.
        num_fields: Fields of one time step; the network has twice as many input channels.
        centred: Subtract from each field its mean over the crop, which takes out most of the camera's motion. Differs
            from the two-stream paper (arXiv 1406.2199), which takes the mean over the whole field, before the crop.
            Source: "Two-Stream Convolutional Networks for Action Recognition in Videos" (arXiv 1406.2199) section 3.1.
        computed: Compute the flow on the network's device from decoded frames, instead of reading it from stores.
    """

    method: str = "tvl1"
    bound: float = 20.0
    num_fields: int = 1
    centred: bool = False
    computed: bool = False

    @staticmethod
    def parse(name: str) -> FlowInput:
        """Read a name such as ``tvl1-20x10``; printing gives it back.

        Raises:
            UserError: The name has another form, or a number in it is 0.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise UserError(f"unknown flow {name!r}; its form is {FORM}, such as {EXAMPLES}")
        method, bound, num_fields, centred, computed = match.groups()
        flow = FlowInput(
            method=method,
            bound=float(bound),
            num_fields=int(num_fields or 1),
            centred=bool(centred),
            computed=bool(computed),
        )
        if flow.num_fields < 1 or (flow.bound <= 0 and flow.method != "any"):
            raise UserError(f"flow {name!r}: bound and number of fields must be above 0")
        if flow.computed and flow.method == "any":
            raise UserError(f"flow {name!r}: say which method computes it: {', '.join(METHODS)}")
        return flow

    @staticmethod
    def normalisation(num_channels: int) -> dict[str, Any]:
        """The fields of a ``Preprocessing`` that make it one for flow."""
        mean, std = (FLOW_MEAN,) * num_channels, (FLOW_STD,) * num_channels
        return {"mean": mean, "std": std, "channel_order": "rgb", "modality": "flow"}

    def __str__(self) -> str:
        stack = f"x{self.num_fields}" if self.num_fields > 1 else ""
        ends = f"{'-centred' if self.centred else ''}{'-computed' if self.computed else ''}"
        return f"{self.method}-{self.bound:g}{stack}{ends}"

    @property
    def num_channels(self) -> int:
        """Input channels of the network."""
        return 2 * self.num_fields
