"""Reads video files with torchcodec (extra ``torchcodec``), held to the same frame positions as PyAV."""

from __future__ import annotations

import logging
from importlib import import_module
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from kinema.errors import missing_extra
from kinema.video.location import StoredVideo
from kinema.video.pyav import PyAVDecoder
from kinema.video.scaling import Scaling

if TYPE_CHECKING:
    from torchcodec.decoders import VideoDecoder

TIME_TOLERANCE_SEC = 1e-4
"""How far two readings of one frame's time may differ: below the finest frame spacing, above rounding."""

MEAN_DIFFERENCE = 1.5
"""Levels by which pixels of one picture may differ on average: two ways of rounding colours differ by at most one."""

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
        self,
        path: Path | StoredVideo,
        *,
        scaling: Scaling,
        num_frames: int | None = None,
        damaged: bool = False,
        threads: int = 1,
    ) -> None:
        try:
            import_module("torchcodec.decoders")
        except (ImportError, OSError, RuntimeError) as error:
            raise missing_extra("torchcodec", "torchcodec", "backend 'torchcodec'") from error
        super().__init__(path, scaling=scaling, num_frames=num_frames, damaged=damaged, threads=threads)
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
        return pixels, self._times.at(positions)

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
        expected = self._walk.packet_index().pts[positions] * float(self._walk.cursor.stream.time_base or 1)
        if not np.allclose(batch.pts_seconds.numpy(), expected, rtol=0, atol=TIME_TOLERANCE_SEC):
            self._agrees = False
            return None
        return batch.data.numpy()

    def _open_reader(self) -> bool:
        """Open torchcodec on the same stream; False when its frames are not those of a sequential decode."""
        index = self._walk.seek_index()
        if index is None or index.has_settings or not self._shows_the_same():
            return False
        target = self.scaling.target(self.size)
        self._reader = self._new_reader(None if target == self.size else target)
        return self._reader is not None and len(self._reader) == len(self)

    def _shows_the_same(self) -> bool:
        """Whether torchcodec's first picture is PyAV's: as large, lying alike, of the same colours.

        torchcodec leaves a cropped left border in place, mirrors no picture, and converts 10-bit pictures otherwise.
        """
        head = self._walk.head()
        depth = max(component.bits for component in head.format.components)
        orientation = self._orientations.of(head)
        reader = None if depth > 8 or orientation.is_mirror_image else self._new_reader(None)
        if reader is None:
            return False
        scaling, self.scaling = self.scaling, Scaling()
        ours = self._to_rgb(head, orientation).astype(np.int16)
        self.scaling = scaling
        try:
            theirs = reader.get_frame_at(0).data.numpy()
        except (RuntimeError, IndexError, ValueError) as error:
            _log.debug("%s: torchcodec fails (%s); PyAV reads it", self.path, error)
            return False
        return ours.shape == theirs.shape and float(np.abs(ours - theirs).mean()) <= MEAN_DIFFERENCE

    def _new_reader(self, size: tuple[int, int] | None) -> VideoDecoder | None:
        """Open torchcodec on the same stream, scaling to ``size``; None where it does not open."""
        from torchcodec.decoders import VideoDecoder
        from torchcodec.transforms import Resize

        try:
            return VideoDecoder(
                cast(RawIOBase, self.path.open()) if isinstance(self.path, StoredVideo) else str(self.path.absolute()),
                stream_index=self._walk.cursor.stream.index,
                dimension_order="NHWC",
                num_ffmpeg_threads=self._threads,
                device="cpu",
                transforms=None if size is None else [Resize(size)],
            )
        except (RuntimeError, ValueError) as error:
            _log.debug("%s: torchcodec does not open it (%s); PyAV reads it", self.path, error)
            return None
