"""Batches of training clips: the worker processes that read them, and the step to floating point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from kinema.data.dataset import ClipDataset, Sample
from kinema.data.order import ClipKey
from kinema.data.process_loader import ProcessLoader, process_loader, stack_for_run
from kinema.errors import UserError
from kinema.shapes import Clip

if TYPE_CHECKING:
    from kinema.specs.preprocessing import Preprocessing


class Batch(NamedTuple):
    """Training clips on their way to the device.

    Attributes:
        clips: Axes ``b c t h w``, uint8 RGB, channels-last in memory.
        labels: Class indices, axis ``b``, int64.
        indices: Rows of the manifest, axis ``b``, int64.
    """

    clips: Clip
    labels: torch.Tensor
    indices: torch.Tensor


def build_loader(
    dataset: ClipDataset,
    order: Iterable[Sequence[tuple[int, int] | ClipKey]],
    *,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> ProcessLoader:
    """Build the loader of a training run; iterating gives ``Batch``es.

    Args:
        dataset: Where clips come from.
        order: Which clips meet in which batch, see ``kinema.data.order``.
        num_workers: Processes that decode; 0 decodes in this one.
        pin_memory: Page-locked memory, for copies to a GPU; ignored where there is none.

    Raises:
        VideoError: While iterating, when a video cannot be read; the message has its path and id.
    """
    return process_loader(
        dataset,
        order=order,
        batched=True,
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate=collate,
    )


def collate(samples: Sequence[Sample | UserError]) -> Batch | UserError:
    """Join samples into a batch; the first error among them takes its place, as does that of clips of two lengths."""
    good: list[Sample] = []
    for sample in samples:
        if isinstance(sample, UserError):
            return sample
        good.append(sample)
    lengths = sorted({sample.clip.shape[1] for sample in good})
    if len(lengths) > 1:
        error = (
            f"clips of {lengths[0]} to {lengths[-1]} frames do not form a batch; with sampling 'all' use batches of 1"
        )
        return UserError(error)
    pixels = [sample.clip.permute(1, 2, 3, 0) for sample in good]
    return Batch(
        clips=stack_for_run(pixels, (0, 4, 1, 2, 3)),
        labels=torch.tensor([sample.label for sample in good]),
        indices=torch.tensor([sample.index for sample in good]),
    )


def to_device(values: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Copy to a device, on CUDA without waiting for all the work that the GPU still has to do.

    Elsewhere that is not safe: on ``mps`` the copy may read after ``values`` has been freed and its memory written
    again (torch up to 2.13, https://github.com/pytorch/pytorch/issues/189690).
    """
    return values.to(device, non_blocking=torch.device(device).type == "cuda")


def to_clip(
    clips: Clip,
    preprocessing: Preprocessing,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
) -> Clip:
    """Bring uint8 clips to the device, and only there to floating point: scaled to 0..1 and normalised.

    Args:
        clips: Axes ``b c t h w``, uint8 RGB.
        preprocessing: Its ``mean`` and ``std`` are in the order of the network's input channels.
        device: Where the network is.
        dtype: Floating point type of the result.

    Returns:
        Axes ``b c t h w`` in the memory order of ``clips`` (channels-last stays so); BGR where the network wants that.
    """
    assert clips.dtype == torch.uint8, "clips are uint8 until they are on the device"
    clips = to_device(clips, device)
    exact = torch.promote_types(dtype, torch.float32)  # rounded to 16 bits, the factors would be off by up to 0.4 %
    std = torch.tensor(preprocessing.std, dtype=exact)
    mean = torch.tensor(preprocessing.mean, dtype=exact)
    offset, scale = -mean / std, 1 / (255 * std)
    if preprocessing.channel_order == "bgr":
        clips = clips.flip(1)
    pixels = clips.to(exact)
    memory = pixels.permute(0, 2, 3, 4, 1)
    if memory.is_contiguous():  # by lines of pixels: three channels at a time took a CPU five times as long
        memory = memory.flatten(-2)
        offset, scale = offset.repeat(clips.shape[4]), scale.repeat(clips.shape[4])
    offset, scale = (to_device(factor, device) for factor in (offset, scale))
    torch.addcmul(offset, memory, scale, out=memory)  # into the same memory, which again is four times as fast
    return pixels.to(dtype)
