"""Reads video files with PyAV (FFmpeg), which needs nothing else installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from kinema.errors import VideoError
from kinema.video.checked_run import retried
from kinema.video.decoder import Decoder
from kinema.video.frame_times import FrameTimes
from kinema.video.location import StoredVideo
from kinema.video.orientation import Orientations
from kinema.video.scaling import Scaling
from kinema.video.walk import Walk

SCALER = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT
"""FFmpeg's bilinear filter widens when it shrinks, so nothing aliases; colour is interpolated for every pixel."""


class PyAVDecoder(Decoder):
    """A video file read through PyAV; see ``Decoder``, ``open_video``, and ``Walk`` for how positions are found.

    Args:
        path: The video file.
        scaling: The size of the frames that are returned.
        num_frames: The number of frames that a full decode found earlier, if it is known.
        damaged: Whether damaged frames were found earlier.
        threads: Codec threads; 0 lets FFmpeg choose.

    Raises:
        VideoError: When the file is no video, or (unless ``num_frames`` is known) no frame can be decoded.
    """

    def __init__(
        self,
        path: Path | StoredVideo,
        *,
        scaling: Scaling,
        num_frames: int | None = None,
        damaged: bool = False,
        threads: int = 1,
    ) -> None:
        self.path = path
        self.scaling = scaling
        self._walk = Walk(path, num_frames=num_frames, damaged=damaged, threads=threads)
        self._times = FrameTimes(self._walk)
        self._orientations = Orientations()
        container, stream = self._walk.cursor.container, self._walk.cursor.stream
        self._header_sec = float(stream.duration * (stream.time_base or 1)) if stream.duration else 0.0
        if not self._header_sec and container.duration:
            self._header_sec = container.duration / 1_000_000  # FFmpeg counts a container's length in microseconds
        self._coded_size = (stream.codec_context.height, stream.codec_context.width)
        if num_frames is None:
            try:
                self._walk.head()
            except VideoError:
                self.close()
                raise

    @property
    def fps(self) -> float:
        """See ``Decoder``."""
        return self._times.fps

    @property
    def size(self) -> tuple[int, int]:
        """See ``Decoder``."""
        return self._orientations.of(self._walk.head()).size(self._coded_size)

    @property
    def duration_sec(self) -> float:
        """See ``Decoder``."""
        return self._header_sec or (len(self) / self.fps if self.fps else 0.0)

    def __len__(self) -> int:
        return self._walk.length()

    def count_frames(self) -> int:
        """See ``Decoder``."""
        return self._walk.count()

    @property
    def num_damaged(self) -> int:
        """See ``Decoder``."""
        return self._walk.num_damaged

    def frame_times(self) -> np.ndarray:
        """See ``Decoder``."""
        return self._times.of_all()

    def close(self) -> None:
        """See ``Decoder``."""
        self._walk.close()

    def _decode(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = positions.tolist()
        self._walk.want(wanted)
        return retried(lambda: self._collect(wanted)), self._times.at(positions)

    def _collect(self, positions: list[int]) -> np.ndarray:
        """Decode and convert the frames at ascending ``positions``."""
        pixels: np.ndarray | None = None
        for row, position in enumerate(positions):
            picture = self._to_rgb(self._walk.frame_at(position))
            if pixels is None:
                pixels = np.empty((len(positions), *picture.shape), np.uint8)
            pixels[row] = picture
        assert pixels is not None
        self._walk.settle()
        return pixels

    def _to_rgb(self, frame: VideoFrame) -> np.ndarray:
        """Convert, scale and set upright a decoded frame: ``h w c``, uint8, RGB."""
        orientation = self._orientations.of(frame)
        height, width = orientation.size(self.scaling.target(orientation.size(self._coded_size)))
        # One scaling thread: with more, starting them costs more than they save on pictures of this size.
        scaler = SCALER | Interpolation.ACCURATE_RND if self.scaling.exact_color else SCALER
        picture = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation=scaler, threads=1)
        return orientation.upright(picture)
