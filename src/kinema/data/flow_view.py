"""Shows an open video as a network wants it: RGB frames, stacks of stored flow, or the frames that flow is made of."""

from __future__ import annotations

import numpy as np

from kinema.errors import UserError
from kinema.shapes import Pixels
from kinema.specs.flow_input import FlowInput
from kinema.video.decoder import Decoder
from kinema.video.flow_store import FlowStore
from kinema.video.stacked import StackedDecoder


def seen_as(decoder: Decoder, flow: FlowInput | None) -> Decoder:
    """Show a video, or stored flow, as the frames that a network's clips are made of.

    Args:
        decoder: The open video or store.
        flow: What the network wants; None for RGB. With stored flow a frame has the channels x1, y1, x2, y2, …; with
            computed flow it has the RGB channels of one frame more than there are fields.

    Returns:
        The decoder itself or one that stacks its frames.

    Raises:
        UserError: The file is not what is wanted, or its flow was made with another method or bound.
    """
    if flow is None or flow.computed:
        if decoder.holds_flow:
            wanted = "RGB frames are" if flow is None else f"flow {flow}, computed from RGB frames, is"
            raise UserError(f"{decoder.path} holds stored flow, but {wanted} wanted; see --data.flow")
        return decoder if flow is None else StackedDecoder(decoder, flow.num_fields + 1)
    if not isinstance(decoder, FlowStore):
        raise UserError(
            f"{decoder.path} is a video, but stored flow {flow} is wanted; store it with kinema flow extract, or train "
            f"with flow that is computed on the way: --data.flow {flow}-computed"
        )
    _refuse_other_flow(decoder, flow)
    return decoder if flow.num_fields == 1 else StackedDecoder(decoder, flow.num_fields)


def negate_x(fields: Pixels) -> None:
    """Turn around the horizontal part of mirrored flow, in place: ``255 - x``, exactly the opposite displacement.

    Args:
        fields: Axes ``... c`` with channels x and y in turn, uint8.
    """
    across = fields[..., 0::2]
    np.subtract(255, across, out=across)


def _refuse_other_flow(store: FlowStore, flow: FlowInput) -> None:
    made = store.description
    if flow.method not in ("any", made.method):
        raise UserError(f"{store.path} holds flow of method {made.method!r}, but {flow.method!r} is wanted ({flow})")
    if flow.bound and flow.bound != made.bound:
        raise UserError(
            f"{store.path} holds flow of bound {made.bound:g} pixels, but a bound of {flow.bound:g} is wanted ({flow})"
        )
