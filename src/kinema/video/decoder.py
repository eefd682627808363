"""Reading the frames of one video by position: what every decoder does, whatever it decodes.

A *frame index* is the position among the frames that a sequential PyAV decode yields, counted from 0: edit lists are
applied, packets that the decoder rejects and a tail that cannot be decoded are not counted. Every backend returns
exactly that frame, however it got there. In a damaged stream it is the frame that one thread gives, decoding from the
start.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from kinema.video.frames import Frames
from kinema.video.location import StoredVideo
from kinema.video.scaling import Scaling

FLOW_SUFFIXES = {"jpeg": ".flow.zip", "video": ".flow.mkv"}
"""How files with stored flow end, by their kind."""


class Decoder(ABC):
    """Reads frames of one video by position; made by ``open_video``.

    A decoder is a context manager. It belongs to one thread of one process: open it where it is used, such as in the
    data-loading worker.
    """

    path: Path | StoredVideo
    scaling: Scaling
    holds_flow: bool = False
    """Whether frames are stored flow, with channels x and y in turn, instead of RGB pictures."""
    _reads_on: bool = False
    """Whether the next request goes on where the last one ended."""

    @property
    @abstractmethod
    def fps(self) -> float:
        """Average number of frames per second: the container's where it fits the frames, else measured; 0.0 unknown."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of the video as displayed (upright), before any scaling."""

    @property
    def num_channels(self) -> int:
        """Channels of a frame."""
        return 2 if self.holds_flow else 3

    @property
    @abstractmethod
    def duration_sec(self) -> float:
        """How long the video plays, in seconds, as its header says, else frames divided by ``fps``."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of frames."""

    @abstractmethod
    def count_frames(self) -> int:
        """Decode the whole video and return the number of frames that came out; what a scan writes into a manifest.

        ``len`` is cheaper: it may rely on the container's list of packets, checked at both ends of the video, and so
        can miss damage in the middle that this method finds.

        Raises:
            VideoError: When no frame can be decoded.
        """

    @property
    def num_damaged(self) -> int:
        """Damaged frames that ``count_frames`` found: decoded in part only, lost, or with the time of another one."""
        return 0

    @abstractmethod
    def frame_times(self) -> np.ndarray:
        """When each frame is shown, in seconds from the file's beginning: float64, axis ``t``, one for each frame.

        The beginning is that of players, where the first stream of the file starts: a picture that starts a second
        after the sound has its first frame at 1.0. Times are read from the packets without decoding, where they tell;
        else, as in damaged and in joined files, the file is decoded. All zeros when the video does not know its times.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the file. Closing twice is allowed."""

    @abstractmethod
    def _decode(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels ``t h w c`` and times of ``positions``, which ascend strictly and start at 0 or later.

        Raises:
            VideoError: When the video ends before the last position.
        """

    def frames_at(self, indices: Sequence[int] | np.ndarray) -> Frames:
        """Read the frames at ``indices``: any order, repeats allowed; the answer has the same order.

        Args:
            indices: Frame indices (see the module's first lines), 0 up to ``len(self) - 1``.

        Raises:
            IndexError: When an index is negative.
            VideoError: When an index lies beyond the last frame, or the frame cannot be decoded.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        if wanted.size == 0:
            height, width = self.scaling.target(self.size)
            return Frames(np.empty((0, height, width, self.num_channels), np.uint8), np.empty(0, np.float64))
        positions, inverse = np.unique(wanted, return_inverse=True)
        if positions[0] < 0:
            raise IndexError(f"frame index {positions[0]} of {self.path} is negative; indices count from 0")
        pixels, times_sec = self._decode(positions)
        if len(positions) != len(wanted) or not np.array_equal(positions, wanted):
            pixels, times_sec = pixels[inverse], times_sec[inverse]
        return Frames(pixels, times_sec)

    def iter_frames(
        self, start: int = 0, stop: int | None = None, step: int = 1, *, chunk: int = 32
    ) -> Iterator[Frames]:
        """Read the frames ``range(start, stop, step)`` in chunks, so that a long video never fills the memory.

        Args:
            start: First frame index.
            stop: Index to stop before; None reads to the end.
            step: Distance between frames, at least 1.
            chunk: The largest number of frames in one answer.

        Raises:
            ValueError: When ``start`` is negative, or ``step`` or ``chunk`` is below 1.
            VideoError: When the video ends before ``stop``.
        """
        if start < 0 or step < 1 or chunk < 1:
            raise ValueError(f"start must be >= 0, step and chunk >= 1; given {start}, {step}, {chunk}")
        positions = range(start, len(self) if stop is None else stop, step)
        for first in range(0, len(positions), chunk):
            self._reads_on = len(positions) > chunk
            yield self.frames_at(positions[first : first + chunk])
            self._reads_on = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.size
        return f"{type(self).__name__}({str(self.path)!r}, size=({height}, {width}), fps={self.fps:.6g})"


def is_flow_store(path: str | Path) -> bool:
    """Whether a file's name says that it stores optical flow."""
    return str(path).endswith(tuple(FLOW_SUFFIXES.values()))
