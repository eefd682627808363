"""Reads video files with PyAV (FFmpeg), which needs nothing else installed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from kinema.errors import VideoError
from kinema.video.decoder import Decoder
from kinema.video.place import StoredVideo
from kinema.video.scaling import Scaling
from kinema.video.walk import IndexMismatchError, Walk

SCALER = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT
"""FFmpeg's bilinear filter widens when it shrinks, so nothing aliases; colour is interpolated for every pixel."""

UNTIMED_FORMATS = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo", "mjpeg"})
"""Formats without presentation times: their frames are spaced evenly at the stream's rate."""


class PyAVDecoder(Decoder):
    """A video file read through PyAV; see ``Decoder``, ``open_video``, and ``Walk`` for how positions are found.

    Args:
        path: The video file.
        scaling: The size of the frames that are returned.
        num_frames: The number of frames that a full decode found earlier, if it is known.
        threads: Codec threads; 0 lets FFmpeg choose.

    Raises:
        VideoError: When the file is no video, or (unless ``num_frames`` is known) no frame can be decoded.
    """

    def __init__(
        self, path: Path | StoredVideo, *, scaling: Scaling, num_frames: int | None = None, threads: int = 1
    ) -> None:
        self.path = path
        self.scaling = scaling
        self._walk = Walk(path, num_frames=num_frames, threads=threads)
        container, stream = self._walk.cursor.container, self._walk.cursor.stream
        self._time_base = stream.time_base or Fraction(1)
        self._fps = float(stream.average_rate or stream.guessed_rate or 0)
        self._header_sec = float(stream.duration * self._time_base) if stream.duration else 0.0
        if not self._header_sec and container.duration:
            self._header_sec = container.duration / 1_000_000  # FFmpeg counts a container's length in microseconds
        self._coded_size = (stream.codec_context.height, stream.codec_context.width)
        self._untimed = bool(UNTIMED_FORMATS & set(container.format.name.split(",")))
        if num_frames is None:
            try:
                self._walk.head()
            except VideoError:
                self.close()
                raise

    @property
    def fps(self) -> float:
        """See ``Decoder``."""
        return self._fps

    @property
    def size(self) -> tuple[int, int]:
        """See ``Decoder``."""
        return _turned(self._coded_size, _quarter_turns(self._walk.head()))

    @property
    def duration_sec(self) -> float:
        """See ``Decoder``."""
        return self._header_sec or (len(self) / self.fps if self.fps else 0.0)

    def __len__(self) -> int:
        return self._walk.length()

    def count_frames(self) -> int:
        """See ``Decoder``."""
        return self._walk.count()

    def close(self) -> None:
        """See ``Decoder``."""
        self._walk.close()

    def _decode(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = positions.tolist()
        self._walk.want(wanted)
        try:
            return self._collect(wanted)
        except IndexMismatchError:
            return self._collect(wanted)

    def _collect(self, positions: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Decode and convert the frames at ascending ``positions``."""
        pixels: np.ndarray | None = None
        times_sec = np.empty(len(positions), np.float64)
        for place, position in enumerate(positions):
            frame = self._walk.frame_at(position)
            picture = self._to_rgb(frame)
            if pixels is None:
                pixels = np.empty((len(positions), *picture.shape), np.uint8)
            pixels[place] = picture
            times_sec[place] = self._time_of(frame.pts, position)
        assert pixels is not None
        return pixels, times_sec

    def _to_rgb(self, frame: VideoFrame) -> np.ndarray:
        """Convert, scale and turn a decoded frame: ``h w c``, uint8, RGB."""
        turns = _quarter_turns(frame)
        height, width = _turned(self.scaling.target(_turned(self._coded_size, turns)), turns)
        # One scaling thread: with more, starting them costs more than they save on pictures of this size.
        scaler = SCALER | Interpolation.ACCURATE_RND if self.scaling.exact_color else SCALER
        picture = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation=scaler, threads=1)
        return np.rot90(picture, turns)

    def _time_of(self, pts: int | None, position: int) -> float:
        """Seconds from the first frame of the video to the one at ``position``."""
        first_pts = self._walk.first_pts
        if self._untimed or pts is None or first_pts is None:
            return position / self.fps if self.fps else 0.0
        return float((pts - first_pts) * self._time_base)


def _quarter_turns(frame: VideoFrame) -> int:
    """Quarter turns to the left that set the picture upright, 0 to 3."""
    return round(frame.rotation / 90) % 4


def _turned(size: tuple[int, int], turns: int) -> tuple[int, int]:
    """Height and width after a number of quarter turns."""
    return (size[1], size[0]) if turns % 2 else size
