"""The views of a video under a protocol: every frame decoded and resized once, every view cut out when it is wanted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import Dataset

from kinema.data.bad_video import BadVideo
from kinema.data.dataset import frame_range, named, open_record
from kinema.data.flow_view import negate_x
from kinema.data.manifest import Manifest
from kinema.data.process_loader import process_loader
from kinema.errors import StorageError, UserError, VideoError
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
        pixel_indices: For every clip the indices of its frames in ``pixels``, axes ``v t``, int64.
        frames: For every clip the indices of its frames in the video, axes ``v t``, int64.
        crops: The crops of every clip, in pixels of ``pixels``.
        holds_flow: Frames are stored flow, whose horizontal part turns around in a mirror image.
    """

    video_id: str
    index: int
    label: int
    pixels: torch.Tensor
    pixel_indices: torch.Tensor
    frames: FrameIndices
    crops: tuple[CropView, ...]
    holds_flow: bool = False

    @property
    def num_clips(self) -> int:
        """Clips of the video."""
        return len(self.pixel_indices)

    @property
    def num_crops(self) -> int:
        """Crops of every clip."""
        return len(self.crops)

    def __len__(self) -> int:
        """Views: clips x crops."""
        return self.num_clips * self.num_crops

    @property
    def view_shape(self) -> tuple[int, int, int]:
        """Frames, height and width of a view; views of one shape can be in one batch."""
        box = self.crops[0].box
        return self.pixel_indices.shape[1], box.height, box.width

    @property
    def view_bytes(self) -> int:
        """Bytes of one view as uint8; four times that on the device as float32."""
        return math.prod(self.view_shape) * self.pixels.shape[3]

    def clips(self, start: int = 0, stop: int | None = None) -> Clip:
        """Cut out the views ``start`` to ``stop`` (not included; None means all that follow).

        Returns:
            Axes ``v c t h w``, uint8, channels-last in memory.
        """
        wanted = range(len(self))[start:stop]
        out = torch.empty((len(wanted), *self.view_shape, self.pixels.shape[3]), dtype=torch.uint8)
        for target, view in zip(out, wanted, strict=True):
            (top, left, height, width), flip = self.crops[view % self.num_crops]
            cut = self.pixels[:, top : top + height, left : left + width][self.pixel_indices[view // self.num_crops]]
            target.copy_(cut.flip(2) if flip else cut)
            if flip and self.holds_flow:
                negate_x(target.numpy())
        return out.permute(0, 4, 1, 2, 3)

    def __repr__(self) -> str:
        shape = ", ".join(f"{axis}={size}" for axis, size in zip("thwc", self.pixels.shape, strict=True))
        return f"VideoViews({self.video_id!r}, {self.num_clips} clips x {self.num_crops} crops, pixels=uint8 ({shape}))"


class ViewDataset(Dataset["VideoViews | BadVideo"]):
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

    def __getitem__(self, index: int) -> VideoViews | BadVideo:
        """Decode the frames of video ``index`` that any of its views has.

        Returns:
            The views; a ``BadVideo`` when the video cannot be read or its frames need more than ``max_bytes``.

        Raises:
            UserError: What no other video would mend: storage does not answer, or this is not the flow that is wanted.
        """
        record = self.manifest[index]
        try:
            with open_record(record, backend=self.backend, flow=self.protocol.flow) as decoder:
                span = frame_range(record, decoder)
                views = read_views(decoder, span, self.protocol, reverse=self.reverse, max_bytes=self.max_bytes)
        except StorageError:
            raise
        except VideoError as error:
            return BadVideo.from_error(record.video_id, error)
        return replace(views, video_id=record.video_id, index=index, label=record.label_index)

    def describe(self, index: int) -> str:
        """Name the video of an item: path and id."""
        return named(self.manifest[index])

    def videos(self, indices: Sequence[int] | None = None, *, num_workers: int = 0) -> Iterable[VideoViews | BadVideo]:
        """Read one video after another, each when it is asked for or, by workers, a little before.

        Args:
            indices: Rows of the manifest, in the order wanted; None for all.
            num_workers: Processes that decode, at most one for each video; 0 decodes in this one.
        """
        order = range(len(self)) if indices is None else indices
        num_workers = min(num_workers, len(order))
        if num_workers == 0:
            return map(self.__getitem__, order)
        return process_loader(
            self, order=order, batched=False, num_workers=num_workers, pin_memory=False, collate=_in_shared_memory
        )


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
    distinct, pixel_indices = np.unique(frames, return_inverse=True)
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
        pixel_indices=torch.from_numpy(pixel_indices.reshape(frames.shape)),
        frames=frames,
        crops=crops,
        holds_flow=decoder.holds_flow,
    )


def _in_shared_memory(item: VideoViews | BadVideo | UserError) -> VideoViews | BadVideo | UserError:
    """What a worker sends: frames go where the run sees them too."""
    if isinstance(item, VideoViews):
        # On its way out a lack of shared memory would only be printed, and the run would wait for the video in vain.
        item.pixels.share_memory_()
        item.pixel_indices.share_memory_()
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
