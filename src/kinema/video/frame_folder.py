"""Reads a folder of images, one file per frame, as a video; and a single image as a video of one frame."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np

from kinema.errors import VideoError
from kinema.video.decoder import Decoder
from kinema.video.scaling import Scaling

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
"""Image files that count as frames."""

ASSUMED_FPS = 25.0
"""Frames per second where nothing says otherwise: images carry no times."""

_FLOW_NAME = re.compile(r"(flow_)?[xy]_?\d+", re.IGNORECASE)


class FrameFolderDecoder(Decoder):
    """A folder of images read as a video; see ``Decoder``.

    Files are ordered by name with numbers compared as numbers (``img_9`` before ``img_10``). Optical flow stored beside
    the pictures (``x_00001.jpg``, ``flow_y_00001.jpg``) is left out unless ``pattern`` asks for it. All frames get the
    size of the first one. Orientation stored in the image (EXIF) is applied.

    Args:
        path: The folder.
        scaling: The size of the frames that are returned.
        pattern: A shell pattern such as ``"img_*.jpg"`` that names must match.
        fps: Frames per second; images do not say.

    Raises:
        VideoError: When the folder is none, or holds no image.
    """

    def __init__(self, path: Path, *, scaling: Scaling, pattern: str | None = None, fps: float = ASSUMED_FPS) -> None:
        self.path = path
        self.scaling = scaling
        self._fps = fps
        self._size: tuple[int, int] | None = None
        if not path.is_dir():
            raise VideoError(path, "is not a folder; backend 'frames' reads a folder of images")
        self._files = sorted((file for file in path.iterdir() if _is_frame(file, pattern)), key=_natural_order)
        if not self._files:
            asked = f" that match {pattern!r}" if pattern else ""
            raise VideoError(path, f"holds no images{asked}; frames are {', '.join(sorted(SUFFIXES))} files")

    @property
    def fps(self) -> float:
        """See ``Decoder``."""
        return self._fps

    @property
    def size(self) -> tuple[int, int]:
        """See ``Decoder``."""
        if self._size is None:
            self._size = self._read(self._files[0]).shape[:2]
        return self._size

    @property
    def duration_sec(self) -> float:
        """See ``Decoder``."""
        return len(self) / self._fps if self._fps else 0.0

    def __len__(self) -> int:
        return len(self._files)

    def count_frames(self) -> int:
        """See ``Decoder``; a damaged image is an error that names it."""
        for file in self._files:
            _read_rgb(file)
        return len(self._files)

    def frame_times(self) -> np.ndarray:
        """See ``Decoder``; evenly spaced."""
        return self._times_of(np.arange(len(self)))

    def close(self) -> None:
        """See ``Decoder``; no file stays open."""

    def _read(self, file: Path) -> np.ndarray:
        return _read_rgb(file)

    def _decode(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if positions[-1] >= len(self):
            reason = f"has {len(self)} frames (0 to {len(self) - 1}), but frame {positions[-1]} was asked for"
            raise VideoError(self.path, reason)
        height, width = self.scaling.target(self.size)
        pixels = np.empty((len(positions), height, width, 3), np.uint8)
        for index, position in enumerate(positions.tolist()):
            picture = self._read(self._files[position])
            if picture.shape[:2] != (height, width):
                shrinks = picture.shape[0] * picture.shape[1] > height * width
                how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
                picture = cv2.resize(picture, (width, height), interpolation=how)
            pixels[index] = picture
        return pixels, self._times_of(positions)

    def _times_of(self, positions: np.ndarray) -> np.ndarray:
        return positions / self._fps if self._fps else np.zeros(len(positions))


class ImageDecoder(FrameFolderDecoder):
    """An image read as a video of one frame; see ``Decoder``.

    FFmpeg probes every file before it reads it: with it 288 training images of 500 x 375 pixels were ready in a second
    of processor time, without 380.

    Args:
        path: The image.
        scaling: The size of the frame that is returned.
    """

    def __init__(self, path: Path, *, scaling: Scaling) -> None:
        self.path = path
        self.scaling = scaling
        self._fps = ASSUMED_FPS
        self._files = [path]
        self._picture: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """See ``Decoder``."""
        return self._read(self._files[0]).shape[:2]

    def _read(self, file: Path) -> np.ndarray:
        """Decode the image once, since its size is asked for before its pixels."""
        if self._picture is None:
            self._picture = super()._read(file)
        return self._picture


def _is_frame(file: Path, pattern: str | None) -> bool:
    if file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
        return False
    return fnmatch(file.name, pattern) if pattern else _FLOW_NAME.fullmatch(file.stem) is None


def _natural_order(file: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key that compares runs of digits as numbers; the name itself decides between ``1`` and ``01``."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], file.name


def _read_rgb(file: Path) -> np.ndarray:
    """Decode one image: ``h w c``, uint8, RGB."""
    # Bytes are read here, because OpenCV itself fails silently on some paths.
    data = np.frombuffer(file.read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        raise VideoError(file, "is not an image that can be decoded; copy or extract it again")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
