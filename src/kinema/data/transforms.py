"""From decoded frames to the square pictures of a clip: augmentation for training, resizing and crops for testing.

Everything works on uint8 ``t h w c`` and gives all frames of a clip the same crop, mirror image and colours.
Interpolation is bilinear; where a picture shrinks to less than half, pixel areas are averaged instead, because bilinear
would skip pixels there. Frames of large videos have been scaled by the decoder before they arrive.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kinema.data.color import jitter_color
from kinema.data.flow_view import negate_x
from kinema.shapes import Pixels
from kinema.specs.crop_boxes import BOXES, Box, Size, named_crop, resized, useful_size
from kinema.specs.data import DataSpec


@dataclass(frozen=True)
class Augmentation:
    """Random crop, mirror image and colour of a training clip, as a recipe's data part describes them."""

    spec: DataSpec

    def __call__(
        self, pixels: Pixels, rng: np.random.Generator, *, flip: bool = True, holds_flow: bool = False
    ) -> Pixels:
        """Make the pictures of one clip.

        Args:
            pixels: Decoded frames, axes ``t h w c``, uint8 RGB.
            rng: Source of every draw.
            flip: Whether the label survives a mirror image; the recipe must allow it too.
            holds_flow: Frames are stored flow, whose horizontal part turns around in a mirror image.

        Returns:
            Axes ``t s s c`` with s the crop size, uint8 RGB, contiguous.
        """
        spec = self.spec
        if spec.augmentation == "center":
            pixels = resize_frames(pixels, spec.resize, spec.crop_size)
            box = named_crop("center", pixels.shape[1:3], spec.crop_size).box
        else:
            box = BOXES[spec.augmentation](pixels.shape[1:3], spec, rng)
        mirrored = rng.random() < 0.5 and spec.flip and flip
        out = crop_resized(pixels, box, (spec.crop_size, spec.crop_size), mirrored=mirrored)
        if mirrored and holds_flow:
            negate_x(out)
        return jitter_color(out, spec.color_jitter, rng)

    def decode_size(self, size: Size) -> Size:
        """Find the size at which the decoder should deliver frames of a video of ``size`` (height, width)."""
        return useful_size(size, self.spec)


def make_augmentation(spec: DataSpec) -> Augmentation:
    """Build the augmentation of a recipe's data part."""
    return Augmentation(spec)


def resize_frames(pixels: Pixels, resize: tuple[int, ...], crop_size: int) -> Pixels:
    """Bring frames to the size from which test crops are taken.

    Args:
        pixels: Axes ``t h w c``, uint8.
        resize: ``()`` makes the short side the crop size, ``(s,)`` the short side s, ``(h, w)`` is exact.
        crop_size: Side of the crops that follow.

    Returns:
        Axes ``t h w c``; the same array when it has that size already.
    """
    height, width = pixels.shape[1:3]
    target = resized((height, width), resize, crop_size)
    if target == (height, width):
        return pixels
    return crop_resized(pixels, Box(0, 0, height, width), target)


def crop_resized(pixels: Pixels, box: Box, size: Size, *, mirrored: bool = False) -> Pixels:
    """Cut a box out of every frame and scale it.

    Args:
        pixels: Axes ``t h w c``, uint8.
        box: The rectangle to keep.
        size: Height and width of the result.
        mirrored: Swap left and right.

    Returns:
        Axes ``t h w c``, contiguous.
    """
    height, width = size
    out = np.empty((len(pixels), height, width, pixels.shape[3]), np.uint8)
    shrinks = box.height > 2 * height or box.width > 2 * width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    exact = (box.height, box.width) == size
    for frame, target in zip(pixels, out, strict=True):
        cut = frame[box.top : box.top + box.height, box.left : box.left + box.width]
        if exact:
            target[...] = cut
        else:
            cv2.resize(cut, (width, height), dst=target, interpolation=interpolation)
        if mirrored:
            cv2.flip(target, 1, dst=target)
    return out
