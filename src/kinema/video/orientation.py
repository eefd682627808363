"""Sets decoded pictures upright: the display matrix of a file turns them, mirrors them, or both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

SMALL = 8
"""Sides of a small copy; interlaced pictures have no copy of one line."""


class Orientation(NamedTuple):
    """One of the eight ways in which a stored picture can lie.

    Attributes:
        transposed: Rows and columns change places first.
        mirrored: Then left and right change places,
        flipped: and top and bottom.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @property
    def is_mirror_image(self) -> bool:
        """Whether turning alone does not set the picture upright."""
        return self.transposed ^ self.mirrored ^ self.flipped

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width as displayed, from those as stored; and the other way round."""
        return (size[1], size[0]) if self.transposed else size

    def upright(self, picture: np.ndarray) -> np.ndarray:
        """Set a picture upright; axes ``h w c``, a view of the same memory."""
        picture = picture.swapaxes(0, 1) if self.transposed else picture
        return picture[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read how a decoded frame lies from its display matrix (ISO/IEC 14496-12, 8.3.2.3).

    The matrix (a b u, c d v, x y w) shows the stored pixel (p, q), q downwards, at (a p + c q + x, b p + d q + y).
    Angles between quarter turns count as the nearest one.
    """
    # PyAV ties a frame that was asked for side data to itself, so that its pixels stay in memory until Python looks for
    # cycles. A small copy has the same side data.
    small = frame.reformat(width=SMALL, height=SMALL, format="gray", interpolation=Interpolation.POINT, threads=1)
    matrix = small.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return UPRIGHT
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, mirrored=c < 0, flipped=b < 0)
    return Orientation(mirrored=a < 0, flipped=d < 0)


class Orientations:
    """Reads how the frames of one file lie; anew where their angle changes."""

    def __init__(self) -> None:
        self._angle: int | None = None
        self._orientation = UPRIGHT

    def of(self, frame: VideoFrame) -> Orientation:
        """How a frame lies; see ``orientation_of``."""
        if frame.rotation != self._angle:
            self._angle, self._orientation = frame.rotation, orientation_of(frame)
        return self._orientation
