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

PATCHES = np.array([(220, 200, 60), (40, 60, 170), (60, 160, 90), (190, 50, 60)], np.uint8)
"""Colours of the strip from left to right; their brightness differs too, for videos without colour."""

LUMA = np.array([0.299, 0.587, 0.114])
BLACK, STRANGE = 12, 20
"""Mean levels below which a picture is black, and by which the strip's brightness may differ."""


class Seen(NamedTuple):
    """What one picture shows.

    Attributes:
        number: Of the frame; -1 where the blocks cannot be read.
        lies: ``upright``, ``turned``, ``mirrored``, ``black`` or ``unclear``.
        color_error: The largest difference of a patch's colour from what it should be, in levels of 255.
        size: Height and width.
        digest: Checksum of the pixels.
    """

    number: int
    lies: str
    color_error: float
    size: tuple[int, int]
    digest: int


def marked_frames(numbers: Sequence[int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Frames uint8 ``t h w c`` with these numbers."""
    strip = PATCHES[np.arange(width) * len(PATCHES) // width]
    top = np.broadcast_to(strip, (len(numbers), height // STRIP, width, 3))
    blocks = [numbered_frames(1, height - height // STRIP, width, first=number)[0] for number in numbers]
    return np.concatenate([top, np.stack(blocks)], axis=1)


def read_marks(picture: np.ndarray, *, has_color: bool = True) -> Seen:
    """Read one picture ``h w c``, RGB."""
    size, digest = (int(picture.shape[0]), int(picture.shape[1])), zlib.crc32(np.ascontiguousarray(picture))
    if picture.mean() < BLACK:
        return Seen(-1, "black", 0.0, size, digest)
    for lies, upright in _ways_up(picture):
        patches = _patch_means(upright)
        if np.abs(patches @ LUMA - PATCHES @ LUMA).max() < STRANGE:
            error = float(np.abs(patches - PATCHES).max()) if has_color and lies == "upright" else 0.0
            return Seen(read_number(upright[upright.shape[0] // STRIP :]), lies, error, size, digest)
    # Other shades than expected: a wrong colour is no reason not to read the number.
    number = read_number(picture[picture.shape[0] // STRIP :])
    if number >= 0 and has_color:
        return Seen(number, "upright", float(np.abs(_patch_means(picture) - PATCHES).max()), size, digest)
    return Seen(-1, "unclear", 0.0, size, digest)


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
