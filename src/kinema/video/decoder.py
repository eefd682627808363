"""Open a video and read frames by position: a file, through PyAV or torchcodec, or a folder of images.

A *frame index* is the position among the frames that a sequential PyAV decode yields, counted from 0: edit lists are
applied, packets that the decoder rejects and a tail that cannot be decoded are not counted. Every backend returns
exactly that frame, however it got there. In a damaged stream it is the frame that one thread gives, decoding from the
start.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cache
from multiprocessing import parent_process
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from kinema.errors import UserError, VideoError, one_of
from kinema.video.frames import Frames
from kinema.video.place import StoredVideo, find_place
from kinema.video.scaling import Scaling

BACKENDS = ("auto", "pyav", "torchcodec", "frames")
"""What ``open_video`` accepts as ``backend``."""

IMAGE_STARTS = {".jpg": b"\xff\xd8\xff", ".jpeg": b"\xff\xd8\xff", ".png": b"\x89PNG", ".webp": b"RIFF"}
"""First bytes of image files, by how they are called."""

FLOW_SUFFIXES = {"jpeg": ".flow.zip", "video": ".flow.mkv"}
"""How files with stored flow end, by their kind."""

_log = logging.getLogger("kinema")


class Decoder(ABC):
    """Reads frames of one video by position; made by ``open_video``.

    A decoder is a context manager. It belongs to one thread of one process: open it where it is used, such as in the
    data-loading worker.
    """

    path: Path | StoredVideo
    scaling: Scaling
    holds_flow: bool = False
    """Whether frames are stored flow, with channels x and y in turn, instead of RGB pictures."""

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
        positions, places = np.unique(wanted, return_inverse=True)
        if positions[0] < 0:
            raise IndexError(f"frame index {positions[0]} of {self.path} is negative; indices count from 0")
        pixels, times_sec = self._decode(positions)
        if len(positions) != len(wanted) or not np.array_equal(positions, wanted):
            pixels, times_sec = pixels[places], times_sec[places]
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
            yield self.frames_at(positions[first : first + chunk])

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


def open_video(
    path: str | Path,
    *,
    backend: str = "auto",
    short_side: int | None = None,
    size: tuple[int, int] | None = None,
    num_frames: int | None = None,
    damaged: bool = False,
    threads: int = 1,
) -> Decoder:
    """Open a video file, an image, a folder of images or a store of optical flow for reading frames by position.

    Rotation and mirroring stored in the file are applied; a pixel aspect ratio other than 1 is not, and interlaced
    fields stay as they are. Of several video streams the one that FFmpeg thinks best is read.

    Args:
        path: A file that FFmpeg plays, a jpg, png or webp image (a video of one frame), a folder of these, or a store
            of flow (``.flow.zip`` or ``.flow.mkv``), which has its own reader whatever the backend. A file may lie in a
            tar archive (``shards/000003.tar/a.mp4``) or on remote storage (``s3://bucket/a.mp4``); see
            ``kinema.video.place``.
        backend: ``"auto"`` takes the image reader for images and folders and PyAV for files; ``"pyav"``,
            ``"torchcodec"`` (extra ``torchcodec``) and ``"frames"`` force one.
        short_side: Scale while decoding so that the shorter side has exactly this many pixels, up or down; the longer
            side keeps the aspect ratio, rounded to the nearest pixel.
        size: Scale to exactly this height and width instead.
        num_frames: The number of frames that ``count_frames`` found earlier, such as the manifest's; saves counting
            and makes seeking safe even in damaged files. 0 counts as unknown.
        damaged: Whether damaged frames were found earlier; such a file is read from its start, for behind damage a seek
            may give other pixels.
        threads: Codec threads; 1 suits data-loading workers, 0 lets FFmpeg choose.

    Raises:
        VideoError: When the path is missing, is no video, holds no picture, or no frame of it can be decoded.
        MissingExtraError: When ``backend`` needs a package that does not load.
        UserError: When ``backend`` is unknown, the sizes make no sense, or PyAV itself does not load.
    """
    one_of("video backend", backend, BACKENDS)
    place, scaling, known = find_place(path), Scaling(short_side=short_side, size=size), num_frames or None
    if isinstance(place, StoredVideo):
        return _open_stored(place, backend, scaling=scaling, num_frames=known, damaged=damaged, threads=threads)
    path = place
    if is_flow_store(path):
        from kinema.video.flow_store import open_flow_store

        return open_flow_store(path, scaling=scaling)
    if backend == "auto":
        backend = "frames" if path.is_dir() or _is_image(path) else _file_backend()
    if backend == "frames":
        from kinema.video.frame_folder import FrameFolderDecoder, ImageDecoder

        return ImageDecoder(path, scaling=scaling) if _is_image(path) else FrameFolderDecoder(path, scaling=scaling)
    if path.is_dir():
        raise VideoError(path, "is a folder; give a video file, or use backend 'frames' for a folder of images")
    if path.stat().st_size == 0:
        raise VideoError(path, "is an empty file (0 bytes); copy or download it again")
    return _open_file(path, backend, scaling=scaling, num_frames=known, damaged=damaged, threads=threads)


def _is_image(path: Path) -> bool:
    """Whether a file is called and begins like an image; some videos are only called so."""
    if path.suffix.lower() not in IMAGE_STARTS or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4).startswith(IMAGE_STARTS[path.suffix.lower()])


def _open_stored(
    video: StoredVideo, backend: str, *, scaling: Scaling, num_frames: int | None, damaged: bool, threads: int
) -> Decoder:
    """Open a video that is no file of its own."""
    if backend == "frames":
        raise VideoError(video, "is one file; backend 'frames' reads a folder of images")
    if is_flow_store(str(video)):
        raise VideoError(video, "is a store of flow; those are read from local files only, copy it")
    backend = _file_backend() if backend == "auto" else backend
    return _open_file(video, backend, scaling=scaling, num_frames=num_frames, damaged=damaged, threads=threads)


def _open_file(
    path: Path | StoredVideo, backend: str, *, scaling: Scaling, num_frames: int | None, damaged: bool, threads: int
) -> Decoder:
    if backend == "torchcodec":
        from kinema.video.torchcodec import TorchCodecDecoder

        return TorchCodecDecoder(path, scaling=scaling, num_frames=num_frames, damaged=damaged, threads=threads)
    from kinema.video.pyav import PyAVDecoder

    return PyAVDecoder(path, scaling=scaling, num_frames=num_frames, damaged=damaged, threads=threads)


def announce_backend(path: str | Path, backend: str = "auto") -> None:
    """Say which backend reads files like this one, if that is still unsaid.

    Call it before starting threads, processes or a progress bar: then the note appears once, and above the bar.

    Args:
        path: One of the videos.
        backend: As for ``open_video``.

    Raises:
        UserError: When PyAV does not load.
    """
    if backend == "auto" and not Path(path).is_dir() and not is_flow_store(path) and not _is_image(Path(path)):
        _file_backend()


@cache
def _file_backend() -> str:
    """The backend for files where none is asked for; says once which one it is.

    PyAV also tells torchcodec which frame is which, so without it no file can be read.
    """
    try:
        import av
    except (ImportError, OSError) as error:
        raise UserError(
            f"PyAV, which reads video files, does not load ({error}); "
            "install it again with: pip install --force-reinstall av"
        ) from error
    if parent_process() is None:  # a worker would repeat what its parent has said
        _log.info("video files are read with PyAV %s", av.__version__)
    return "pyav"
