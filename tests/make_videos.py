"""Makes the videos that tests decode; every frame can carry its number in its pixels.

The number is written as ``NUM_BITS`` black or white blocks in a grid of 3 rows and 4 columns over the whole picture,
most significant bit first, so it survives lossy codecs, scaling and (through the ``turn`` of ``read_number``) rotation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

ROWS, COLUMNS = 3, 4
NUM_BITS = ROWS * COLUMNS


def numbered_frames(num_frames: int, height: int = 48, width: int = 64, first: int = 0) -> np.ndarray:
    """Frames uint8 ``t h w c`` that carry the numbers ``first``, ``first + 1``, … as black and white blocks."""
    assert first + num_frames <= 2**NUM_BITS
    numbers = np.arange(first, first + num_frames)
    bits = (numbers[:, None] >> np.arange(NUM_BITS)[::-1]) & 1
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    levels = np.where(bits.reshape(-1, ROWS, COLUMNS) == 1, 235, 20).astype(np.uint8)
    gray = levels[:, rows][:, :, columns]
    return np.repeat(gray[..., None], 3, axis=3)


def read_number(frame: np.ndarray) -> int:
    """The number that an upright frame ``h w c`` carries; -1 when a block is neither clearly black nor white."""
    height, width = frame.shape[:2]
    number = 0
    for row in range(ROWS):
        for column in range(COLUMNS):
            top, bottom = row * height / ROWS, (row + 1) * height / ROWS
            left, right = column * width / COLUMNS, (column + 1) * width / COLUMNS
            inner_rows = slice(int(top + (bottom - top) * 0.3), max(int(top + (bottom - top) * 0.7), int(top) + 1))
            inner_columns = slice(
                int(left + (right - left) * 0.3), max(int(left + (right - left) * 0.7), int(left) + 1)
            )
            level = float(frame[inner_rows, inner_columns].mean())
            if 90 < level < 165:
                return -1
            number = number * 2 + (level > 127)
    return number


def read_numbers(pixels: np.ndarray) -> list[int]:
    """The numbers that frames ``t h w c`` carry."""
    return [read_number(frame) for frame in pixels]


def write_video(
    path: str | Path,
    frames: np.ndarray | Iterable[np.ndarray],
    fps: float | Fraction = 25,
    codec: str = "libx264",
    *,
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    gop: int | None = None,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    audio: bool = False,
) -> Path:
    """Encode ``frames`` (uint8 ``t h w c``) and return the path.

    ``times`` gives the presentation time of each frame in units of ``time_base`` (variable frame rate); ``rotation``
    in degrees is written as a display matrix; ``audio`` adds a silent sound track; ``gop`` is the key frame interval.
    """
    path = Path(path)
    rate = Fraction(fps).limit_denominator(60000)
    with av.open(str(path), "w", format=container, options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate, options={"threads": "1", **(options or {})})
        assert isinstance(stream, VideoStream)
        stream.codec_context.thread_count = 1
        if gop is not None:
            stream.codec_context.gop_size = gop
        if time_base is not None:
            stream.codec_context.time_base = time_base
        stream.pix_fmt = pix_fmt
        if rotation:
            stream.set_display_rotation(rotation)
        sound = output.add_stream("aac", rate=16000) if audio else None
        count = 0
        for count, pixels in enumerate(frames):
            if count == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = int(times[count]) if times is not None else count
            frame.time_base = time_base or 1 / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, int(16000 * (count + 1) / rate)), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 16000
            output.mux(sound.encode(silence))
            output.mux(sound.encode(None))
    return path


def write_audio_only(path: str | Path, duration_sec: float = 1.0) -> Path:
    """Write a file that holds sound and no picture."""
    with av.open(str(path), "w") as output:
        sound = output.add_stream("aac", rate=16000)
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, int(16000 * duration_sec)), np.float32), format="fltp", layout="mono"
        )
        silence.sample_rate = 16000
        output.mux(sound.encode(silence))
        output.mux(sound.encode(None))
    return Path(path)
