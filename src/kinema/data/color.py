"""Changes of colour that all frames of a clip share."""

from __future__ import annotations

import cv2
import numpy as np

from kinema.shapes import Pixels

HUES = 180
"""OpenCV keeps hue in half degrees, so that a turn fits in uint8."""


def jitter_color(pixels: Pixels, largest: tuple[int, int, int], rng: np.random.Generator) -> Pixels:
    """Shift hue, lightness and saturation by one draw for the whole clip.

    Hue (0..179) runs round; lightness and saturation (0..255) stop at their ends.
    Source: the published code of "Multi-Fiber Networks for Video Recognition" (arXiv 1807.11195), 15, 35, 25.

    Args:
        pixels: Axes ``t h w c``, uint8 RGB.
        largest: Largest shift of hue, lightness and saturation; zeros leave the pixels as they are.
        rng: Source of the three draws.

    Returns:
        Axes ``t h w c``, uint8 RGB.
    """
    if not any(largest):
        return pixels
    hue, lightness, saturation = (round(rng.uniform(-limit, limit)) for limit in largest)
    levels = np.arange(256)
    table = np.stack(
        [(levels + hue) % HUES, np.clip(levels + lightness, 0, 255), np.clip(levels + saturation, 0, 255)], axis=-1
    ).astype(np.uint8)
    t, h, w, c = pixels.shape
    flat = np.ascontiguousarray(pixels).reshape(t * h, w, c)  # one tall picture: one call instead of t
    shifted = cv2.LUT(cv2.cvtColor(flat, cv2.COLOR_RGB2HLS), table[None])
    return cv2.cvtColor(shifted, cv2.COLOR_HLS2RGB).reshape(t, h, w, c)
