"""Reads video files with PyAV (FFmpeg), which needs nothing else installed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from kinema.errors import VideoError
from kinema.video.checked_run import IndexMismatchError, retried
from kinema.video.decoder import Decoder
from kinema.video.file_facts import FileFacts
from kinema.video.frame_times import FrameTimes
from kinema.video.known_file import KnownFile
from kinema.video.location import StoredVideo
from kinema.video.orientation import Orientation, Orientations
from kinema.video.rgb import RgbConverter
from kinema.video.scaling import Scaling
from kinema.video.walk import Walk

_log = logging.getLogger("kinema")


class PyAVDecoder(Decoder):
    """A video file read through PyAV; see ``Decoder``, ``open_video``, and ``Walk`` for how positions are found.

    What a first reading finds out about a file is kept, see ``KnownFile``. A file that is known is opened as a video
    only where its frames cannot be decoded from its bytes alone.

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
        self._num_frames, self._damaged, self._threads = num_frames, damaged, threads
        self._orientations, self._converter = Orientations(), RgbConverter()
        self._opened: Walk | None = None
        self._known = KnownFile(path, num_frames) if isinstance(path, Path) and not damaged else None
        if self._facts is None:
            walk = self._walk
            if num_frames is None:
                try:
                    walk.head()
                except VideoError:
                    self.close()
                    raise

    @property
    def _facts(self) -> FileFacts | None:
        return self._known.facts if self._known is not None else None

    @property
    def _walk(self) -> Walk:
        """The open file; opened when it is first needed."""
        if self._opened is None:
            num_frames, index = self._num_frames, None
            if self._facts is not None:
                index = self._facts.index
                num_frames = len(index)
            self._opened = Walk(
                self.path, num_frames=num_frames, damaged=self._damaged, threads=self._threads, index=index
            )
        return self._opened

    @property
    def _times(self) -> FrameTimes:
        return FrameTimes(self._walk)

    @property
    def fps(self) -> float:
        """See ``Decoder``."""
        return self._facts.fps if self._facts is not None else self._times.fps

    @property
    def size(self) -> tuple[int, int]:
        """See ``Decoder``."""
        if self._facts is not None:
            return self._facts.size
        return self._orientations.of(self._walk.head()).size(self._walk.codec.size)

    @property
    def duration_sec(self) -> float:
        """See ``Decoder``."""
        header_sec = self._facts.duration_sec if self._facts is not None else self._walk.cursor.header_sec
        return header_sec or (len(self) / self.fps if self.fps else 0.0)

    def __len__(self) -> int:
        return len(self._facts.index) if self._facts is not None else self._walk.length()

    def count_frames(self) -> int:
        """See ``Decoder``."""
        return self._walk.count()

    @property
    def num_damaged(self) -> int:
        """See ``Decoder``."""
        return self._opened.num_damaged if self._opened is not None else 0

    def frame_times(self) -> np.ndarray:
        """See ``Decoder``."""
        if self._facts is not None:
            return self._facts.times_sec(np.arange(len(self)))
        return self._times.of_all()

    def close(self) -> None:
        """See ``Decoder``."""
        if self._opened is not None:
            self._learn(self._opened)
            self._opened.close()
        if self._known is not None:
            self._known.close()

    def _decode(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = positions.tolist()
        if self._threads == 1 and (pixels := self._read_packets(positions)) is not None:
            assert self._facts is not None
            return pixels, self._facts.times_sec(positions)
        self._walk.want(wanted)
        return retried(lambda: self._collect(wanted)), self._times.at(positions)

    def _read_packets(self, positions: np.ndarray) -> np.ndarray | None:
        """Decode frames from the bytes of their packets; None where that is not possible, or gains nothing."""
        if self._known is None or self._reads_on or (self._opened is not None and self._opened.is_near(positions[0])):
            return None
        if self._facts is None and (self._num_frames is not None or self._walk.index is not None):
            self._walk.seek_index()
            self._learn(self._walk)
        if self._facts is None or (reader := self._known.reader()) is None or not reader.suits(positions):
            return None
        orientation, size, is_exact = (
            self._facts.orientation,
            self.scaling.target(self._facts.size),
            self.scaling.exact_color,
        )
        pixels = np.empty((len(positions), *size, 3), np.uint8)

        def take(row: int, frame: VideoFrame) -> None:
            pixels[row] = self._converter.convert(frame, size, orientation, exact_color=is_exact)

        try:
            reader.read(positions, take)
        except (IndexMismatchError, OSError) as error:
            _log.debug("%s: its packets cannot be decoded alone (%r); FFmpeg reads it", self.path, error)
            self._known.distrust()
            return None
        return pixels

    def _learn(self, walk: Walk) -> None:
        """Keep what was found out about the file."""
        if self._known is not None:
            self._known.learn(walk, self._orientations)

    def _collect(self, positions: list[int]) -> np.ndarray:
        """Decode and convert the frames at ascending ``positions``."""
        pixels: np.ndarray | None = None
        for row, position in enumerate(positions):
            frame = self._walk.frame_at(position)
            picture = self._to_rgb(frame, self._orientations.of(frame))
            if pixels is None:
                pixels = np.empty((len(positions), *picture.shape), np.uint8)
            pixels[row] = picture
        assert pixels is not None
        self._walk.settle()
        return pixels

    def _to_rgb(self, frame: VideoFrame, orientation: Orientation) -> np.ndarray:
        """Convert, scale and set upright a decoded frame: ``h w c``, uint8, RGB."""
        size = self.scaling.target(orientation.size(self._walk.codec.size))
        return self._converter.convert(frame, size, orientation, exact_color=self.scaling.exact_color)
