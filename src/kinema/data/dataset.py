"""Training clips: one video, one clip, drawn again in every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from kinema.data.flow_view import seen_as
from kinema.data.manifest import Manifest, Record
from kinema.data.order import ClipKey
from kinema.data.transforms import Augmentation
from kinema.errors import VideoError
from kinema.shapes import Clip, FrameIndices
from kinema.specs.crop_boxes import Size
from kinema.specs.flow_input import FlowInput
from kinema.specs.sampling import Sampler
from kinema.video.clock import frames_between
from kinema.video.decoder import Decoder
from kinema.video.open import announce_backend, open_video
from kinema.video.scaling import Scaling


@dataclass(frozen=True, kw_only=True)
class FittedScaling(Scaling):
    """Lets a function decide the size once the decoder knows the video's own.

    Asking the decoder for that size first would decode a frame more, about a tenth of the time of a short clip.

    Attributes:
        fit: From the displayed (height, width) of the video to the size of the decoded frames.
    """

    fit: Callable[[Size], Size]

    def target(self, size: Size) -> Size:
        """See ``Scaling``."""
        return self.fit(size)


class Sample(NamedTuple):
    """One training clip.

    Attributes:
        clip: Axes ``c t h w``, uint8 RGB; in memory the order is ``t h w c``, so that a batch is channels-last.
        label: Class index, -1 when unlabelled.
        index: Row of the manifest.
        frames: The positions of the clip's frames in the video, axis ``t``, int64.
    """

    clip: Clip
    label: int
    index: int
    frames: FrameIndices


class ClipDataset(Dataset[Sample]):
    """Reads clips for training; ``dataset[epoch, row]`` is the same clip whenever and wherever it is asked for.

    Every draw comes from a generator seeded by (seed, epoch, row), so neither the number of workers nor a restart
    changes a sample. ``dataset[epoch, row, repeat]`` is another clip of the same video for every ``repeat``, for epochs
    that draw rare videos several times. No file is open between two calls.

    Args:
        manifest: The videos.
        sampler: Chooses the frames; its first view is used.
        augmentation: Crop, mirror image and colour; classes in ``manifest.no_flip`` are never mirrored.
        seed: Of all draws.
        backend: Decoder, see ``kinema.open_video``.
        flow: What a flow network sees; None for RGB.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        sampler: Sampler,
        augmentation: Augmentation,
        seed: int = 0,
        backend: str = "auto",
        flow: FlowInput | None = None,
    ) -> None:
        self.manifest = manifest
        self.sampler = sampler
        self.augmentation = augmentation
        self.seed = seed
        self.backend = backend
        self.flow = flow
        if len(manifest):
            announce_backend(manifest[0].path, backend)

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: tuple[int, int] | ClipKey) -> Sample:
        """Read a clip.

        Args:
            index: Epoch, row of the manifest, and how often the epoch has drawn that row before (0 when left out).

        Raises:
            VideoError: The video cannot be read; the message has its path and id.
        """
        epoch, row, repeat = ClipKey(*index)
        record = self.manifest[row]
        rng = np.random.default_rng([self.seed, epoch, row, *([repeat] if repeat else [])])
        with open_record(record, backend=self.backend, flow=self.flow) as decoder:
            span = frame_range(record, decoder)
            frames = span.start + self.sampler.sample(len(span), record.fps, rng)[0]
            decoder.scaling = FittedScaling(fit=self.augmentation.decode_size)
            pixels = decoder.frames_at(frames).pixels
            may_flip, holds_flow = record.label not in self.manifest.no_flip, decoder.holds_flow
        clip = self.augmentation(pixels, rng, flip=may_flip, holds_flow=holds_flow)
        return Sample(torch.from_numpy(clip).permute(3, 0, 1, 2), record.label_index, row, frames)

    def describe(self, index: tuple[int, int] | ClipKey) -> str:
        """Name the video of an item: path and id."""
        return named(self.manifest[index[1]])


def named(record: Record) -> str:
    """Name a video for a message: path and id."""
    return f"{record.path} (video {record.video_id})"


@contextmanager
def open_record(
    record: Record, *, backend: str = "auto", flow: FlowInput | None = None
) -> Generator[Decoder, None, None]:
    """Open the video of a manifest row; a failure inside the block names the row's id.

    Args:
        record: The row.
        backend: Decoder, see ``kinema.open_video``.
        flow: What a flow network sees, see ``kinema.data.flow_view.seen_as``; None for RGB.

    Raises:
        VideoError: The video cannot be read; of the kind that reading it raised.
        UserError: It is stored flow where RGB is wanted, the other way round, or other flow than is wanted.
    """
    try:
        with open_video(
            record.path, backend=backend, num_frames=record.num_frames, damaged=record.damaged > 0
        ) as decoder:
            yield seen_as(decoder, flow)
    except VideoError as error:
        raise type(error)(error.path, f"{error.reason} (video {record.video_id})") from error


def frame_range(record: Record, decoder: Decoder) -> range:
    """Find the frames of a manifest row: the whole video, or those shown in ``[start, end)`` seconds.

    Seconds count from the file's beginning, as a player shows them, and a frame belongs to the segment when its own
    time lies in it; see ``times_of``.

    Args:
        record: The row.
        decoder: Its video.

    Raises:
        VideoError: No frame lies in the segment, or the video does not know its times.
    """
    if math.isnan(record.start) and math.isnan(record.end):
        return range(len(decoder))
    times_sec = times_of(record, decoder)
    if len(times_sec) > 1 and times_sec[-1] <= 0:
        raise VideoError(record.path, "start and end need the times of the frames, and the video does not say them")
    span = frames_between(times_sec, record.start, record.end)
    if not span:
        raise VideoError(
            record.path,
            f"no frame lies between {record.start:g} and {record.end:g} s; the video has {len(times_sec)} frames, "
            f"shown from {times_sec[0]:.2f} to {times_sec[-1]:.2f} s",
        )
    return span


def times_of(record: Record, decoder: Decoder) -> np.ndarray:
    """When each frame of a video is shown, in seconds, axis ``t``: ``Decoder.frame_times``.

    A folder of images has the manifest's frame rate.
    """
    if has_own_rate(record):
        return np.arange(len(decoder)) / record.fps
    return decoder.frame_times()


def has_own_rate(record: Record) -> bool:
    """Whether the manifest says the frame rate because the video, a folder of images, does not."""
    return record.fps > 0 and Path(record.path).is_dir()
