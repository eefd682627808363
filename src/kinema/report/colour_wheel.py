"""Flow as colours: the direction is the hue, the length the saturation, and a wheel that says so."""

from __future__ import annotations

import numpy as np

# Steps of hue between the wheel's six colours. Human eyes tell more shades apart between red and yellow than elsewhere.
# "A Database and Evaluation Methodology for Optical Flow" (Baker et al., IJCV 2011), after Munsell's colour circle.
_STEPS = (15, 6, 4, 11, 13, 6)
_CORNERS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], np.float64)


def flow_colours(flow: np.ndarray, *, largest: float) -> np.ndarray:
    """Paint flow: to the right is red, down yellow, to the left cyan, up violet; white stands still.

    Args:
        flow: Axes ``h w 2`` in px, x then y.
        largest: The length, in px, that has full colour; longer flow is drawn darker. Above 0.

    Returns:
        uint8 RGB, axes ``h w 3``.
    """
    length = np.hypot(flow[..., 0], flow[..., 1])[..., None] / largest
    turn = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) % 1
    turns = np.concatenate([[0], np.cumsum(_STEPS)]) / sum(_STEPS)
    hue = np.stack([np.interp(turn, turns, _CORNERS[:, channel]) for channel in range(3)], -1)
    colours = np.where(length <= 1, 1 - length * (1 - hue), 0.75 * hue)
    return np.round(255 * colours).astype(np.uint8)


def wheel(side: int, background: int = 255) -> np.ndarray:
    """Draw the legend: the colour of each direction, full length at the rim.

    Args:
        side: Of the square, in px.
        background: Grey level around the disc, 0 to 255.

    Returns:
        uint8 RGB, axes ``h w 3``.
    """
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    flow = np.stack(np.broadcast_arrays(axis[None, :], axis[:, None]), -1)
    picture = flow_colours(flow, largest=1.0)
    picture[np.hypot(flow[..., 0], flow[..., 1]) > 1] = background
    return picture
