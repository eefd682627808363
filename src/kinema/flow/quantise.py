"""Flow in 8 bits: displacements clipped at a bound and spread evenly over 0..255."""

from __future__ import annotations

import torch


def quantise(flow: torch.Tensor, bound: float) -> torch.Tensor:
    """Turn displacements into bytes: ``255 (v + bound) / (2 bound)``, rounded, halves up.

    No motion lies between two values, at 127.5, and becomes 128. Source: "Two-Stream Convolutional Networks for Action
    Recognition in Videos" (arXiv 1406.2199) section 5, with the bound of 20 that its successors use.

    Args:
        flow: Displacements in pixels, floating point, any axes; NaN counts as no motion.
        bound: Displacement that becomes 255, above 0; what lies beyond is clipped.

    Returns:
        uint8, the same axes.
    """
    assert bound > 0, "a bound is a length"
    levels = (torch.nan_to_num(flow.float(), nan=0.0) + bound) * (255 / (2 * bound))
    return (levels + 0.5).floor().clamp(0, 255).to(torch.uint8)
