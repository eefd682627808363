"""Open a video: a file, through PyAV or torchcodec, a folder of images, an image, or a store of optical flow."""

from __future__ import annotations

import logging
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

from kinema.errors import UserError, VideoError, one_of
from kinema.specs.data import BACKENDS
from kinema.video.decoder import Decoder, is_flow_store
from kinema.video.location import StoredVideo
from kinema.video.scaling import Scaling
from kinema.video.storage import find_video

IMAGE_STARTS = {".jpg": b"\xff\xd8\xff", ".jpeg": b"\xff\xd8\xff", ".png": b"\x89PNG", ".webp": b"RIFF"}
"""First bytes of image files, by how they are called."""

_log = logging.getLogger("kinema")


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
            ``kinema.video.location``.
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
    found, scaling, known = find_video(path), Scaling(short_side=short_side, size=size), num_frames or None
    if isinstance(found, StoredVideo):
        return _open_stored(found, backend, scaling=scaling, num_frames=known, damaged=damaged, threads=threads)
    path = found
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
