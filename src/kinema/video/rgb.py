"""Converts decoded frames to RGB, scaled and set upright."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from kinema.specs.crop_boxes import Size
from kinema.video.orientation import Orientation

SCALER = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT
"""FFmpeg's bilinear filter widens when it shrinks, so nothing aliases; colour is interpolated for every pixel."""


class RgbConverter:
    """Converts the frames of one file; what FFmpeg prepares for a size and format is used again for the next frame."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def convert(self, frame: VideoFrame, size: Size, orientation: Orientation, *, exact_color: bool) -> np.ndarray:
        """Convert a frame.

        Args:
            frame: As it was decoded.
            size: Height and width of the result.
            orientation: How the frame lies.
            exact_color: See ``Scaling``.

        Returns:
            Axes ``h w c``, uint8, RGB; memory of FFmpeg's that stays as it is.
        """
        height, width = orientation.size(size)
        # One scaling thread: with more, starting them costs more than they save on pictures of this size.
        scaler = SCALER | Interpolation.ACCURATE_RND if exact_color else SCALER
        picture = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation=scaler, threads=1
        )
        plane = picture.planes[0]
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(
            -1, plane.line_size
        )  # longer than the picture is wide
        return orientation.upright(lines[:height, : 3 * width].reshape(height, width, 3))
