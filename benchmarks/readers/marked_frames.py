"""Pictures that say which frame they are, which way up they lie and what colour they should have.

The lower three quarters carry the frame's number as black and white blocks (see ``tests/make_videos.py``); the strip
above them has four patches of known colour, in an order that no turn and no mirror image repeats.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from make_videos import numbered_frames, read_number

HEIGHT, WIDTH = 128, 160
STRIP = 4
"""The strip of colours takes one part in four of the height."""

PATCHES = np.array([(227, 201, 66), (45, 67, 171), (58, 162, 97), (198, 50, 50)], np.uint8)
"""Colours of the strip from left to right; their brightness differs too, for videos without colour. As YUV of 8 bits
(BT.601 and BT.709) they are rounded by less than a third of a level."""

ALWAYS = 1024
"""Added to every number: no frame's blocks are all black."""

LUMA = np.array([0.299, 0.587, 0.114])
BLANK, STRANGE = 3, 20
"""Standard deviation below which a picture is blank, and levels by which the strip's brightness may differ."""


class Seen(NamedTuple):
    """What one picture shows.

    Attributes:
        number: Of the frame; -1 where the blocks cannot be read.
        lies: ``upright``, ``turned``, ``mirrored``, ``blank`` or ``unclear``.
        color_error: The largest difference of a patch's colour from what it should be, in levels of 255.
        shift: How far a border of the strip lies from where it should be, as a part of the width.
        size: Height and width.
        digest: Checksum of the pixels.
    """

    number: int
    lies: str
    color_error: float
    shift: float
    size: tuple[int, int]
    digest: int


def marked_frames(numbers: Sequence[int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Frames uint8 ``t h w c`` with these numbers."""
    strip = PATCHES[np.arange(width) * len(PATCHES) // width]
    top = np.broadcast_to(strip, (len(numbers), height // STRIP, width, 3))
    blocks = [numbered_frames(1, height - height // STRIP, width, first=ALWAYS + number)[0] for number in numbers]
    return np.concatenate([top, np.stack(blocks)], axis=1)


def read_marks(picture: np.ndarray, *, has_color: bool = True) -> Seen:
    """Read one picture ``h w c``, RGB."""
    size, digest = (int(picture.shape[0]), int(picture.shape[1])), zlib.crc32(np.ascontiguousarray(picture))
    if picture.std(axis=(0, 1)).max() < BLANK:
        return Seen(-1, "blank", 0.0, 0.0, size, digest)
    for lies, upright in _ways_up(picture):
        patches = _patch_means(upright)
        if np.abs(patches @ LUMA - PATCHES @ LUMA).max() < STRANGE:
            error = float(np.abs(patches - PATCHES).max()) if has_color and lies == "upright" else 0.0
            return Seen(_number(upright), lies, error, _shift(upright), size, digest)
    # Other shades than expected: a wrong colour is no reason not to read the number.
    number = _number(picture)
    if number < 0 or not has_color:
        return Seen(-1, "unclear", 0.0, 0.0, size, digest)
    error = float(np.abs(_patch_means(picture) - PATCHES).max())
    return Seen(number, "upright", error, _shift(picture), size, digest)


def _number(upright: np.ndarray) -> int:
    """The number in the blocks; -1 when they do not say one."""
    return max(-1, read_number(upright[upright.shape[0] // STRIP :]) - ALWAYS)


def _shift(upright: np.ndarray) -> float:
    """How far the border in the middle of the strip lies from the middle, as a part of the width."""
    height, width = upright.shape[0] // STRIP, upright.shape[1]
    around = slice(width // 4 + width // 20, width * 3 // 4 - width // 20)
    line = upright[height // 4 : height * 3 // 4, around].mean(axis=(0,)) @ LUMA
    steps = np.abs(np.diff(line))
    return float(abs(around.start + int(steps.argmax()) + 1 - width / 2) / width)


def _ways_up(picture: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The picture in all eight orientations, as it is first."""
    mirrored = picture[:, ::-1]
    return [
        ("upright", picture),
        *[("turned", np.rot90(picture, turns)) for turns in (1, 2, 3)],
        *[("mirrored", np.rot90(mirrored, turns)) for turns in range(4)],
    ]


def _patch_means(picture: np.ndarray) -> np.ndarray:
    """Mean colour of the middle of each patch: axes patch, channel."""
    height, width = picture.shape[0] / STRIP, picture.shape[1] / len(PATCHES)
    rows = slice(int(height * 0.3), max(int(height * 0.7), int(height * 0.3) + 1))
    return np.stack(
        [picture[rows, int(width * (n + 0.3)) : int(width * (n + 0.7))].mean(axis=(0, 1)) for n in range(len(PATCHES))]
    )
