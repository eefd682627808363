"""The views of a video under a protocol: every frame decoded and resized once, every view cut out when it is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from kinema.data.dataset import frame_range, named, open_record
from kinema.data.flow_view import negate_x
from kinema.data.manifest import Manifest
from kinema.data.process_loader import Failure, ProcessLoader, process_loader
from kinema.errors import UserError, VideoError
from kinema.shapes import Clip, FrameIndices
from kinema.specs.crop_boxes import CropView, named_crop, resized
from kinema.specs.protocol import EvalProtocol
from kinema.video.decoder import Decoder
from kinema.video.open import announce_backend
from kinema.video.scaling import Scaling

MAX_BYTES = 2 << 30
"""Decoded frames that one video may hold in memory: 2 GiB, about 7 minutes of 256x256 pixels at 25 per second."""


@dataclass(frozen=True, eq=False)
class VideoViews:
    """All views of one video: its distinct frames, and which of them and which crops make each view.

    Views are numbered clip by clip: view k is crop ``k % num_crops`` of clip ``k // num_crops``. Thirty views of 32
    frames share the frames they have in common, and no view exists as pixels before ``clips`` is called.

    Attributes:
        video_id: Of the manifest.
        index: Row of the manifest.
        label: Class index, -1 when unlabelled.
        pixels: The distinct frames, resized and cut to what the crops cover, axes ``t h w c``, uint8 RGB.
        places: For every clip the places of its frames in ``pixels``, axes ``v t``, int64.
        frames: For every clip the positions of its frames in the video, axes ``v t``, int64.
        crops: The crops of every clip, in pixels of ``pixels``.
        holds_flow: Frames are stored flow, whose horizontal part turns around in a mirror image.
    """

    video_id: str
    index: int
    label: int
    pixels: torch.Tensor
    places: torch.Tensor
    frames: FrameIndices
    crops: tuple[CropView, ...]
    holds_flow: bool = False

    @property
    def num_clips(self) -> int:
        """Clips of the video."""
        return len(self.places)

    @property
    def num_crops(self) -> int:
        """Crops of every clip."""
        return len(self.crops)

    def __len__(self) -> int:
        """Views: clips x crops."""
        return self.num_clips * self.num_crops

    @property
    def view_bytes(self) -> int:
        """Bytes of one view as uint8; four times that on the device as float32."""
        box = self.crops[0].box
        return self.places.shape[1] * box.height * box.width * self.pixels.shape[3]

    def clips(self, start: int = 0, stop: int | None = None) -> Clip:
        """Cut out the views ``start`` to ``stop`` (not included; None means all that follow).

        Returns:
            Axes ``v c t h w``, uint8, channels-last in memory.
        """
        wanted = range(len(self))[start:stop]
        box, channels = self.crops[0].box, self.pixels.shape[3]
        out = torch.empty((len(wanted), self.places.shape[1], box.height, box.width, channels), dtype=torch.uint8)
        for target, view in zip(out, wanted, strict=True):
            (top, left, height, width), flip = self.crops[view % self.num_crops]
            cut = self.pixels[:, top : top + height, left : left + width][self.places[view // self.num_crops]]
            target.copy_(cut.flip(2) if flip else cut)
            if flip and self.holds_flow:
                negate_x(target.numpy())
        return out.permute(0, 4, 1, 2, 3)

    def __repr__(self) -> str:
        shape = ", ".join(f"{axis}={size}" for axis, size in zip("thwc", self.pixels.shape, strict=True))
        return f"VideoViews({self.video_id!r}, {self.num_clips} clips x {self.num_crops} crops, pixels=uint8 ({shape}))"


class ViewDataset(Dataset[VideoViews]):
    """The views of every video of a manifest; ``dataset[index]`` decodes one video, once.

    Args:
        manifest: The videos.
        protocol: Clips, size and crops.
        backend: Decoder, see ``kinema.open_video``.
        reverse: Play every clip backwards.
        max_bytes: Most memory for the frames of one video.
    """

    def __init__(
        self,
        manifest: Manifest,
        protocol: EvalProtocol,
        *,
        backend: str = "auto",
        reverse: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.manifest = manifest
        self.protocol = protocol
        self.backend = backend
        self.reverse = reverse
        self.max_bytes = max_bytes
        if reverse and protocol.flow is not None:
            raise UserError("flow cannot be played backwards: the flow of a reversed video is not its reversed flow")
        if len(manifest):
            announce_backend(manifest[0].path, backend)

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> VideoViews:
        """Decode the frames of video ``index`` that any of its views has.

        Raises:
            VideoError: The video cannot be read, or its frames need more than ``max_bytes``; the message has its id.
        """
        record = self.manifest[index]
        with open_record(record, backend=self.backend, flow=self.protocol.flow) as decoder:
            span = frame_range(record, decoder)
            views = read_views(decoder, span, self.protocol, reverse=self.reverse, max_bytes=self.max_bytes)
        return replace(views, video_id=record.video_id, index=index, label=record.label_index)

    def describe(self, index: int) -> str:
        """Name the video of an item: path and id."""
        return named(self.manifest[index])


def read_views(
    decoder: Decoder, span: range, protocol: EvalProtocol, *, reverse: bool = False, max_bytes: int = MAX_BYTES
) -> VideoViews:
    """Decode the frames that any view of a stretch of a video has; the result names no row of a manifest yet.

    Args:
        decoder: The open video; it is left set to the size that the protocol asks for.
        span: The frames that make the stretch.
        protocol: Clips, size and crops.
        reverse: Play every clip backwards.
        max_bytes: Most memory for the frames.

    Raises:
        VideoError: The frames cannot be decoded, or need more than ``max_bytes``.
    """
    frames = span.start + protocol.sampler.sample(len(span))
    if reverse:
        frames = frames[:, ::-1]
    distinct, places = np.unique(frames, return_inverse=True)
    size = resized(decoder.size, protocol.resize, protocol.crop_size)
    num_bytes = len(distinct) * size[0] * size[1] * decoder.num_channels
    if num_bytes > max_bytes:
        raise VideoError(
            decoder.path,
            f"{len(distinct)} frames under protocol {protocol.name} need {num_bytes / 2**30:.1f} GiB of "
            f"{max_bytes / 2**30:.1f} GiB; use a protocol with fewer frames, or set start and end",
        )
    crops = tuple(named_crop(name, size, protocol.crop_size) for name in protocol.crops)
    decoder.scaling = Scaling(size=size)
    pixels, crops = _covered(torch.from_numpy(decoder.frames_at(distinct).pixels), crops)
    return VideoViews(
        video_id="",
        index=-1,
        label=-1,
        pixels=pixels,
        places=torch.from_numpy(places.reshape(frames.shape)),
        frames=frames,
        crops=crops,
        holds_flow=decoder.holds_flow,
    )


def build_view_loader(
    dataset: ViewDataset, indices: Sequence[int] | None = None, *, num_workers: int = 0
) -> ProcessLoader:
    """Build a loader that gives one video after another, in the order of ``indices``.

    Iterating gives ``VideoViews``; for a video that cannot be read it gives its ``VideoError`` instead of raising it,
    so that the other videos can be finished first.

    Args:
        dataset: The videos and the protocol.
        indices: Rows of the manifest; None for all.
        num_workers: Processes that decode; 0 decodes in this one.
    """
    return process_loader(
        dataset,
        order=range(len(dataset)) if indices is None else list(indices),
        batched=False,
        num_workers=num_workers,
        pin_memory=False,
        collate=_views_or_error,
    )


def _views_or_error(item: VideoViews | Failure) -> Any:
    if isinstance(item, Failure):
        return item.error
    if get_worker_info() is not None:
        # On its way out a lack of shared memory would only be printed, and the run would wait for the video in vain.
        item.pixels.share_memory_()
        item.places.share_memory_()
    return item


def _covered(pixels: torch.Tensor, crops: tuple[CropView, ...]) -> tuple[torch.Tensor, tuple[CropView, ...]]:
    """Drop the border that no crop sees, so that less memory is held and sent from process to process."""
    top = min(crop.box.top for crop in crops)
    left = min(crop.box.left for crop in crops)
    bottom = max(crop.box.top + crop.box.height for crop in crops)
    right = max(crop.box.left + crop.box.width for crop in crops)
    moved = tuple(
        CropView(crop.box._replace(top=crop.box.top - top, left=crop.box.left - left), crop.flip) for crop in crops
    )
    return pixels[:, top:bottom, left:right].contiguous(), moved
