"""The last step before a network, on its device: computed flow where it is wanted, means subtracted, normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kinema.data.loader import to_clip
from kinema.flow.quantise import quantise
from kinema.shapes import Clip
from kinema.specs.flow_input import FlowInput

if TYPE_CHECKING:
    from kinema.specs.preprocessing import Preprocessing

MAX_PAIRS = 256
"""Pairs of frames that flow is computed of at once."""


def network_input(
    clips: Clip,
    preprocessing: Preprocessing,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
) -> Clip:
    """Bring uint8 clips to the device and make of them what a network is given; see ``kinema.data.loader.to_clip``.

    Args:
        clips: Axes ``b c t h w``, uint8: RGB, stored flow, or the stacked RGB frames that flow is computed of.
        preprocessing: Says which of these, and how they are normalised.
        device: Where the network is.
        dtype: Floating point type of the result.

    Returns:
        Axes ``b c t h w``; for flow c = x1, y1, x2, y2, ….
    """
    flow = preprocessing.flow_input
    if flow is not None and flow.computed:
        clips = computed_fields(clips, flow, device)
    clip = to_clip(clips, preprocessing, device, dtype)
    if flow is not None and flow.centred:
        clip = clip - clip.mean(dim=(3, 4), keepdim=True)
    return clip


def computed_fields(clips: Clip, flow: FlowInput, device: torch.device | str) -> Clip:
    """Compute the flow between the stacked RGB frames of clips, in 8 bits as stores have it.

    The frames are resized and cropped already, so displacements are in pixels of the crop, and the flow of a mirrored
    clip is that of the mirrored motion.

    Args:
        clips: Axes ``b c t h w`` with c the RGB channels of ``num_fields + 1`` frames, uint8.
        flow: What is computed.
        device: Where.

    Returns:
        Axes ``b c t h w`` with c = x1, y1, x2, y2, …, uint8, on the device, channels-last in memory.
    """
    from kinema.flow.methods import find_method

    b, _, t, height, width = clips.shape
    method = find_method(flow.method)
    frames = clips.to(device).reshape(b, flow.num_fields + 1, 3, t, height, width).permute(0, 3, 1, 2, 4, 5)
    first = frames[:, :, :-1].reshape(-1, 3, height, width)
    second = frames[:, :, 1:].reshape(-1, 3, height, width)
    with torch.autocast(torch.device(device).type, enabled=False):  # iterations need every digit
        fields = [
            quantise(method.compute(one, other, device=str(device)), flow.bound)
            for one, other in zip(first.split(MAX_PAIRS), second.split(MAX_PAIRS), strict=True)
        ]
    stacks = torch.cat(fields).to(device).reshape(b, t, flow.num_channels, height, width)
    return stacks.permute(0, 1, 3, 4, 2).contiguous().permute(0, 4, 1, 2, 3)
