"""The axis legend of the whole library, and names for the arrays that cross its borders.

Axes: ``b`` batch, ``v`` view (one clip x crop of a video), ``c`` channel, ``t`` time, ``h`` height, ``w`` width,
``d`` feature. A clip is always ``b c t h w``, whatever a network does with time inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import torch

Clip: TypeAlias = "torch.Tensor"
"""Network input, axes ``b c t h w``; uint8 (0..255) until it is on the device, floating point afterwards."""

Features: TypeAlias = "torch.Tensor"
"""A feature map, axes ``b d t h w``."""

Logits: TypeAlias = "torch.Tensor"
"""Scores before the softmax, axes ``b classes``."""

Pixels: TypeAlias = "np.ndarray"
"""Decoded frames, axes ``t h w c``, uint8 RGB."""

FrameIndices: TypeAlias = "np.ndarray"
"""Positions of frames in a video, axes ``v t``, int64; a position counts the frames of a sequential decode from 0."""
