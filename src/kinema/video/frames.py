"""Decoded frames, with the time at which each is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema.shapes import Pixels


@dataclass(frozen=True, eq=False, slots=True)
class Frames:
    """Some frames of one video, in the order in which they were asked for.

    Attributes:
        pixels: Axes ``t h w c``, uint8, RGB in 0..255, upright as a player shows them. Stored flow has two channels,
            stacks have those of all their frames.
        times_sec: Axis ``t``, float64; when each frame is shown, in seconds from the file's beginning.

    Raises:
        ValueError: When the shapes or the number types do not fit together.
    """

    pixels: Pixels
    times_sec: np.ndarray

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or not _fits(self.pixels.shape[3]):
            given = f"{self.pixels.dtype} {tuple(self.pixels.shape)}"
            raise ValueError(f"pixels must be uint8 with axes t h w c and c = 3 (flow: 2); these are {given}")
        if self.times_sec.dtype != np.float64 or self.times_sec.shape != self.pixels.shape[:1]:
            given = f"{self.times_sec.dtype} {tuple(self.times_sec.shape)}"
            raise ValueError(f"times_sec must be float64 with one time for each of {len(self)} frames; this is {given}")

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def __repr__(self) -> str:
        t, h, w, c = self.pixels.shape
        span = f"{self.times_sec.min():.3f}..{self.times_sec.max():.3f} s" if t else "no frames"
        return f"Frames(pixels=uint8 (t={t}, h={h}, w={w}, c={c}), times_sec={span})"


def _fits(num_channels: int) -> bool:
    """Whether frames can have so many channels: RGB, x and y of flow, or stacks of either."""
    return num_channels > 0 and (num_channels % 2 == 0 or num_channels % 3 == 0)
