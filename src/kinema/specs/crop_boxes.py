"""Where crops lie: random ones for training, named ones for testing. Numbers only; no pixel is touched here.

Training boxes are found in the frame as it was decoded and resized afterwards. That shows the network what resizing
first and cropping then would, to half a decoded pixel, and touches only the pixels of the crop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kinema.errors import UserError, unknown_name
from kinema.specs.data import DataSpec

Size = tuple[int, int]
"""Height and width in pixels."""

SNAP = 3
"""A multi-scale side less than this many pixels from the crop size becomes the crop size, so nothing is resized."""

CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")

CROP_SETS: dict[int, tuple[str, ...]] = {
    1: ("center",),
    3: ("left", "right", "center"),
    5: (*CORNERS, "center"),
    10: (*CORNERS, "center", *(f"{name}-flip" for name in (*CORNERS, "center"))),
}
"""The crops of a multi-crop test by their number, in order."""


class Box(NamedTuple):
    """A rectangle of a frame, in pixels from the top left corner."""

    top: int
    left: int
    height: int
    width: int


class CropView(NamedTuple):
    """One crop of a test: its box, and whether it is mirrored."""

    box: Box
    flip: bool


def resized(size: Size, resize: tuple[int, ...], crop_size: int) -> Size:
    """Work out the size of a frame before it is cropped.

    Args:
        size: Height and width of the frame.
        resize: ``()`` makes the short side the crop size, ``(s,)`` the short side s, ``(h, w)`` is exact.
        crop_size: Side of the crop.

    Returns:
        Height and width; the long side is rounded to the nearest pixel, halves up, as the decoder does.
    """
    if len(resize) == 2:
        return resize[0], resize[1]
    side = resize[0] if resize else crop_size
    height, width = size
    short, long = min(size), max(size)
    scaled = (2 * long * side + short) // (2 * short)
    return (side, scaled) if height <= width else (scaled, side)


def shrunk(size: Size, scale: float) -> Size:
    """Scale a size by a factor, rounding up; a factor of 1 or more leaves it as it is."""
    if scale >= 1:
        return size
    return math.ceil(size[0] * scale), math.ceil(size[1] * scale)


def named_crop(name: str, size: Size, crop_size: int) -> CropView:
    """Place a named crop in a frame, for testing.

    ``left`` and ``right`` are the two ends of the longer side, so the upper and lower end of an upright frame. Crops
    touch the border exactly; some public code stops up to 3 pixels short of the right and lower one.

    Args:
        name: One of the names in ``CROP_SETS``; ``-flip`` mirrors.
        size: Height and width of the frame.
        crop_size: Side of the crop.

    Raises:
        UserError: The name is unknown, or the frame is smaller than the crop.
    """
    down, right = size[0] - crop_size, size[1] - crop_size
    if min(down, right) < 0:
        raise UserError(f"a crop of {crop_size} pixels does not fit in frames of {size[0]}x{size[1]}; resize larger")
    wide = size[1] >= size[0]
    corners = {
        "center": (down // 2, right // 2),
        "left": (down // 2, 0) if wide else (0, right // 2),
        "right": (down // 2, right) if wide else (down, right // 2),
        "top-left": (0, 0),
        "top-right": (0, right),
        "bottom-left": (down, 0),
        "bottom-right": (down, right),
    }
    position = name.removesuffix("-flip")
    if position not in corners:
        raise unknown_name("crop", name, [*corners, *(f"{known}-flip" for known in corners)])
    return CropView(Box(*corners[position], crop_size, crop_size), flip=position != name)


def short_side_box(size: Size, spec: DataSpec, rng: np.random.Generator) -> Box:
    """Short side drawn from ``spec.short_side``, aspect ratio kept, random crop.

    Source: "Very Deep Convolutional Networks" (arXiv 1409.1556) section 3.1, 256 to 320 as in "Non-local Neural
    Networks" (arXiv 1711.07971).
    """
    side = int(rng.integers(spec.short_side[0], spec.short_side[1] + 1))
    scale = side / min(size)
    return _random_box(size, spec.crop_size / scale, spec.crop_size / scale, rng)


def fixed_box(size: Size, spec: DataSpec, rng: np.random.Generator) -> Box:
    """One size for all frames, ``spec.resize``, random crop. Source: R(2+1)D (arXiv 1711.11248), 128x171 to 112."""
    height, width = resized(size, spec.resize, spec.crop_size)
    return _random_box(size, spec.crop_size * size[0] / height, spec.crop_size * size[1] / width, rng)


def multi_fiber_box(size: Size, spec: DataSpec, rng: np.random.Generator) -> Box:
    """Short side drawn, aspect (of an exact ``spec.resize``, else the frame's) multiplied by a draw, random crop.

    Source: "Multi-Fiber Networks" (arXiv 1807.11195) and its code, which begins with squares.
    """
    shape = spec.resize if len(spec.resize) == 2 else size
    stretch = math.sqrt(rng.uniform(*spec.aspect))
    height, width = shape[0] / stretch, shape[1] * stretch
    side = spec.crop_size * min(height, width) / int(rng.integers(spec.short_side[0], spec.short_side[1] + 1))
    return _random_box(size, side * size[0] / height, side * size[1] / width, rng)


def multi_scale_box(size: Size, spec: DataSpec, rng: np.random.Generator) -> Box:
    """Height and width drawn independently from fractions of the short side, at one of 5 or 13 fixed positions.

    The short side is that of ``spec.resize`` (256x340 in the two-stream paper, whose scales 1, .875, .75, .66 give 256,
    224, 192, 168), or the frame's own. Height and width lie at most ``max_distort`` steps apart in the list. Offsets
    are multiples of a quarter of the margin, rounded down, so the far side may be missed by up to 3 pixels.

    Source: "Towards Good Practices for Very Deep Two-Stream ConvNets" (arXiv 1507.02159) and its code; 13 positions:
    the code of "Temporal Segment Networks" (arXiv 1608.00859).
    """
    height, width = resized(size, spec.resize, spec.crop_size) if spec.resize else size
    sides = [int(min(height, width) * scale) for scale in spec.scales]
    sides = [spec.crop_size if abs(side - spec.crop_size) < SNAP else side for side in sides]
    count = len(sides)
    pairs = [(i, j) for i in range(count) for j in range(count) if abs(i - j) <= spec.max_distort]
    tall, wide = pairs[rng.integers(len(pairs))]
    box_height, box_width = min(sides[tall], height), min(sides[wide], width)
    quarters = _quarters(spec.positions)
    down, right = quarters[rng.integers(len(quarters))]
    top, left = down * ((height - box_height) // 4), right * ((width - box_width) // 4)
    if (height, width) == size:
        return Box(top, left, box_height, box_width)
    rows, columns = size[0] / height, size[1] / width
    mapped_height, mapped_width = _side(box_height * rows, size[0]), _side(box_width * columns, size[1])
    top, left = round(top * rows), round(left * columns)
    return Box(min(top, size[0] - mapped_height), min(left, size[1] - mapped_width), mapped_height, mapped_width)


BOXES: dict[str, Callable[[Size, DataSpec, np.random.Generator], Box]] = {
    "short-side": short_side_box,
    "fixed": fixed_box,
    "multi-scale": multi_scale_box,
    "multi-fiber": multi_fiber_box,
}
"""The random box of every augmentation that has one."""


def useful_size(size: Size, spec: DataSpec) -> Size:
    """Find the smallest size at which frames can be decoded without the crop losing detail; never larger than they are.

    Args:
        size: Height and width of the video.
        spec: The augmentation that follows.
    """
    if spec.augmentation == "center":
        return resized(size, spec.resize, spec.crop_size)
    if spec.augmentation == "short-side":
        return shrunk(size, spec.short_side[1] / min(size))
    if spec.augmentation == "multi-fiber":
        return shrunk(size, spec.short_side[1] * max(spec.aspect[1], 1 / spec.aspect[0]) / min(size))
    if spec.augmentation == "multi-scale" and not spec.resize:
        return shrunk(size, spec.crop_size / min(spec.scales) / min(size))
    height, width = resized(size, spec.resize, spec.crop_size)
    return shrunk(size, max(height / size[0], width / size[1]))


def _random_box(size: Size, height: float, width: float, rng: np.random.Generator) -> Box:
    """Place a box of about this height and width anywhere in the frame."""
    rows, columns = _side(height, size[0]), _side(width, size[1])
    return Box(int(rng.integers(0, size[0] - rows + 1)), int(rng.integers(0, size[1] - columns + 1)), rows, columns)


def _side(length: float, limit: int) -> int:
    return max(1, min(limit, round(length)))


def _quarters(positions: int) -> list[tuple[int, int]]:
    """Offsets (down, right) in quarters of the margin."""
    five = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    edges = [(2, 0), (2, 4), (4, 2), (0, 2)]
    inner = [(1, 1), (1, 3), (3, 1), (3, 3)]
    return five if positions == 5 else five + edges + inner
