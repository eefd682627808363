"""The flow of one video: decoded, computed and stored, a few frames at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.data.dataset import frame_range, has_own_rate, open_record, times_of
from kinema.errors import UserError, VideoError
from kinema.flow.quantise import quantise
from kinema.video.clock import ROUNDING_SEC
from kinema.video.flow_store import FlowDescription
from kinema.video.flow_writer import JPEG_QUALITY, writing_store
from kinema.video.scaling import Scaling

if TYPE_CHECKING:
    from kinema.data.manifest import Record
    from kinema.flow.methods import FlowMethod
    from kinema.video.decoder import Decoder

CPU_BATCH, GPU_BATCH = 8, 64
"""Pairs of frames computed at once. On the CPU a few fit into the cache, a GPU wants to be filled."""


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What is extracted from every video; see ``kinema.extract_flow``."""

    method: str
    backend: str
    bound: float
    kind: str
    step: int
    short_side: int

    def find_method(self) -> FlowMethod:
        """Build the method.

        Raises:
            UserError: Method or backend are unknown.
        """
        from kinema.flow.methods import find_method

        return find_method(self.method, self.backend)

    def describe(self, video_id: str) -> FlowDescription:
        """Describe the store of a video as far as it is known before decoding."""
        return FlowDescription(
            method=self.method,
            backend=self.backend,
            version=self.find_method().version,
            bound=self.bound,
            kind=self.kind,
            step=self.step,
            size=(0, 0),
            num_fields=0,
            fps=0.0,
            short_side=self.short_side,
            quality=JPEG_QUALITY if self.kind == "jpeg" else 0,
            source=video_id,
        )


def extract_video(
    record: Record,
    target: Path,
    extraction: Extraction,
    description: FlowDescription,
    *,
    device: str = "cpu",
    advance: Callable[[int], object] = lambda count: None,
) -> int:
    """Store the flow of one video, or of the segment that its row names.

    A video of one frame gets a single field without motion, so that it stays usable.

    Args:
        record: The row of the manifest.
        target: The store to write.
        extraction: What to extract.
        description: Of the store, as far as it is known.
        device: Where torch's methods compute.
        advance: Told the number of fields after each few.

    Returns:
        The number of fields.

    Raises:
        VideoError: The video cannot be read, or its frames are too small.
        UserError: It is stored flow itself.
        OSError: The store cannot be written.
    """
    with open_record(record) as decoder:
        positions = np.array(frame_range(record, decoder)[:: extraction.step], np.int64)
        size = decoder.size
        if 0 < extraction.short_side < min(size):
            decoder.scaling = Scaling(short_side=extraction.short_side)
            size = decoder.scaling.target(size)
        fps = (record.fps if has_own_rate(record) else decoder.fps) / extraction.step
        times_sec = _uneven(times_of(record, decoder)[positions], fps)
        description = replace(description, size=size, fps=fps, times_sec=times_sec)
        method = extraction.find_method()
        batch = CPU_BATCH if device == "cpu" else GPU_BATCH
        with writing_store(target, description) as writer:
            if len(positions) == 1:
                writer.add(_fields(torch.zeros(1, 2, *size), extraction.bound))
            for frames in _overlapping(decoder, positions, batch):
                try:
                    flow = method.compute(frames[:-1], frames[1:], device=device)
                except UserError as error:  # frames that no flow can be computed of
                    raise VideoError(record.path, str(error)) from error
                writer.add(_fields(flow, extraction.bound))
                advance(len(flow))
            return writer.num_fields


def _uneven(times_sec: np.ndarray, fps: float) -> tuple[float, ...]:
    """When the fields begin, in seconds from the first; nothing where the frame rate says as much."""
    times_sec = (times_sec - times_sec[0])[: max(1, len(times_sec) - 1)]
    spaced = np.arange(len(times_sec)) / fps if fps else times_sec
    if np.all(np.abs(times_sec - spaced) < ROUNDING_SEC):
        return ()
    return tuple(round(time, 6) for time in times_sec.tolist())


def _overlapping(decoder: Decoder, positions: np.ndarray, batch: int) -> Iterator[torch.Tensor]:
    """Frames in batches, axes ``n c h w``, each batch beginning with the last frame of the one before."""
    last = torch.from_numpy(decoder.frames_at(positions[:1]).pixels).permute(0, 3, 1, 2)
    for first in range(1, len(positions), batch):
        pixels = decoder.frames_at(positions[first : first + batch]).pixels
        frames = torch.cat([last, torch.from_numpy(pixels).permute(0, 3, 1, 2)])
        last = frames[-1:]
        yield frames


def _fields(flow: torch.Tensor, bound: float) -> np.ndarray:
    """From flow, axes ``n c h w``, to what is stored, axes ``n h w c``."""
    return quantise(flow, bound).permute(0, 2, 3, 1).contiguous().cpu().numpy()
