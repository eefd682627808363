"""Reads video files with torchcodec (extra ``torchcodec``), held to the same frame positions as PyAV."""

from __future__ import annotations

import logging
from importlib import import_module
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from kinema.errors import missing_extra
from kinema.video.place import StoredVideo
from kinema.video.pyav import PyAVDecoder
from kinema.video.scaling import Scaling

if TYPE_CHECKING:
    from torchcodec.decoders import VideoDecoder

TIME_TOLERANCE_SEC = 1e-4
"""How far two readings of one frame's time may differ: below the finest frame spacing, above rounding."""

_log = logging.getLogger("kinema")


class TorchCodecDecoder(PyAVDecoder):
    """A video file whose pixels torchcodec decodes; see ``Decoder``.

    torchcodec counts packets, so on damaged files, and in AVI, its frame numbers are others than a sequential decode
    gives. Positions therefore come from ``PyAVDecoder``: where both count the same frames torchcodec delivers them, and
    the time of every frame is compared; elsewhere PyAV reads the file.

    Raises:
        MissingExtraError: When torchcodec is not installed or finds no FFmpeg libraries.
        VideoError: As ``PyAVDecoder``.
    """

    def __init__(
        self, path: Path | StoredVideo, *, scaling: Scaling, num_frames: int | None = None, threads: int = 1
    ) -> None:
        try:
            import_module("torchcodec.decoders")
        except (ImportError, OSError, RuntimeError) as error:
            raise missing_extra("torchcodec", "torchcodec", "backend 'torchcodec'") from error
        super().__init__(path, scaling=scaling, num_frames=num_frames, threads=threads)
        self._threads = threads
        self._reader: VideoDecoder | None = None
        self._agrees: bool | None = None

    def close(self) -> None:
        """See ``Decoder``."""
        self._reader = None
        super().close()

    def _decode(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pixels = self._read(positions) if positions[-1] < len(self) else None
        if pixels is None:
            return super()._decode(positions)
        index = self._walk.packet_index()
        return pixels, (index.pts[positions] - index.pts[0]) * float(self._time_base)

    def _read(self, positions: np.ndarray) -> np.ndarray | None:
        """Pixels by torchcodec; None where it cannot be held to the sequential positions."""
        if self._agrees is None:
            self._agrees = self._open_reader()
        if not self._agrees or self._reader is None:
            return None
        try:
            batch = self._reader.get_frames_at(positions.tolist())
        except (RuntimeError, IndexError, ValueError) as error:
            _log.debug("%s: torchcodec fails (%s); PyAV reads it", self.path, error)
            self._agrees = False
            return None
        expected = self._walk.packet_index().pts[positions] * float(self._time_base)
        if not np.allclose(batch.pts_seconds.numpy(), expected, rtol=0, atol=TIME_TOLERANCE_SEC):
            self._agrees = False
            return None
        return batch.data.numpy()

    def _open_reader(self) -> bool:
        """Open torchcodec on the same stream; False when its frames are not those of a sequential decode."""
        from torchcodec.decoders import VideoDecoder
        from torchcodec.transforms import Resize

        if self._walk.seek_index() is None:
            return False
        target = self.scaling.target(self.size)
        try:
            self._reader = VideoDecoder(
                cast(RawIOBase, self.path.open()) if isinstance(self.path, StoredVideo) else str(self.path),
                stream_index=self._walk.cursor.stream.index,
                dimension_order="NHWC",
                num_ffmpeg_threads=self._threads,
                device="cpu",
                transforms=None if target == self.size else [Resize(target)],
            )
        except (RuntimeError, ValueError) as error:
            _log.debug("%s: torchcodec does not open it (%s); PyAV reads it", self.path, error)
            return False
        return len(self._reader) == len(self)
