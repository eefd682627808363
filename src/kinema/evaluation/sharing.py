"""The videos of a data set dealt out to processes, computed, and gathered again: each exactly once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from kinema.compute.process import Process
from kinema.data.network_input import network_input
from kinema.errors import StorageError, UserError, VideoError
from kinema.inference.batching import BadVideo, Compute, ComputedViews, compute_views
from kinema.inference.views import VideoViews, ViewDataset, build_view_loader
from kinema.shapes import Clip
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.specs.preprocessing import Preprocessing

NUM_WORKERS = 2
"""Processes that decode, by default."""

Reduce = Callable[[ComputedViews], tuple[np.ndarray, ...]]
"""From a video's computed views to the arrays that are kept of it, one row of each result."""

log = logging.getLogger("kinema")


class Gathered(NamedTuple):
    """What all processes together made of a data set.

    Attributes:
        indices: Rows of the manifest that gave a result, ascending, int64.
        columns: One array for each array that the reduction gives, axes ``videos ...``.
        left_out: Ids of the videos that could not be read.
    """

    indices: np.ndarray
    columns: tuple[np.ndarray, ...]
    left_out: list[str]


def compute_on(
    process: Process, network: Callable[[Clip], torch.Tensor], model: nn.Module, preprocessing: Preprocessing
) -> Compute:
    """Build the step from uint8 views to rows on the CPU: normalise on the device and run ``network`` of ``model``."""
    dtype = next((values.dtype for values in model.parameters() if values.is_floating_point()), torch.float32)

    def compute(views: Clip) -> torch.Tensor:
        with torch.inference_mode(), process.autocast():
            return network(network_input(views, preprocessing, process.device, dtype)).float().cpu()

    return compute


def reduce_videos(
    dataset: ViewDataset,
    compute: Compute,
    reduce: Reduce,
    process: Process,
    *,
    batch_views: int | None = None,
    num_workers: int = NUM_WORKERS,
    skip_bad: bool = False,
    advance: Callable[[], object] | None = None,
) -> Gathered:
    """Compute and reduce this process's share of the videos, and give everybody all of them.

    Args:
        dataset: Videos and protocol.
        compute: From views to rows, see :func:`compute_on`.
        reduce: What is kept of a video.
        process: This process.
        batch_views: Views of a batch; None fits it to the memory.
        num_workers: Processes that decode for this one.
        skip_bad: Go on without the videos that cannot be read.
        advance: Called after each video of this process.

    Raises:
        UserError: Videos cannot be read; all others are tried first, and the message lists every bad one.
    """
    # Every world-th video and no padding, so that no video counts twice.
    share = range(process.rank, len(dataset), process.world)
    loader = build_view_loader(dataset, share, num_workers=min(num_workers, len(share)))
    indices: list[int] = []
    kept: list[tuple[np.ndarray, ...]] = []
    bad: list[BadVideo] = []
    for result in compute_views(numbered(loader, share), compute, batch_views=batch_views, device=process.device):
        if isinstance(result, BadVideo):
            bad.append(result)
        else:
            indices.append(result.video.index)
            kept.append(reduce(result))
        if advance is not None:
            advance()
    columns = tuple(np.stack(column) for column in zip(*kept, strict=True))
    shares = process.gather((np.array(indices, dtype=np.int64), columns, bad))
    failures = sorted((failure for _, _, others in shares for failure in others), key=lambda failure: failure.index)
    _report(dataset, failures, skip_bad=skip_bad, aloud=process.rank == 0)
    order = np.concatenate([found for found, _, _ in shares])
    _check_exactly_once(order, failures, len(dataset))
    place = order.argsort()
    joined = tuple(np.concatenate(parts)[place] for parts in zip(*(c for _, c, _ in shares if c), strict=True))
    return Gathered(order[place], joined, [dataset.manifest[failure.index].video_id for failure in failures])


def numbered(loader: Iterable[Any], indices: Sequence[int]) -> Iterator[VideoViews | BadVideo]:
    """Pass on what a loader of views gives; a video that cannot be read becomes a ``BadVideo`` with its row.

    Raises:
        UserError: Something that is no fault of one video: a worker has died, remote storage does not answer.
    """
    for index, item in zip(indices, loader, strict=True):
        if isinstance(item, VideoError) and not isinstance(item, StorageError):
            yield BadVideo(index, item)
        elif isinstance(item, Exception):
            raise item
        else:
            yield item


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode inside the block, every part of it back into its own mode afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _report(dataset: ViewDataset, failures: Sequence[BadVideo], *, skip_bad: bool, aloud: bool) -> None:
    """Raise, or say, that videos could not be read."""
    if not failures:
        return
    lines = "".join(f"\n  {failure.error}" for failure in failures[:20])
    more = f"\n  and {len(failures) - 20} more" if len(failures) > 20 else ""
    counts = f"{len(failures)} of {counted(len(dataset), 'video')} of {dataset.manifest.name} cannot be read"
    if len(failures) == len(dataset):
        raise UserError(f"{counts}:{lines}{more}")
    if not skip_bad:
        raise UserError(f"{counts}; repair or remove them, or leave them out with --skip-bad:{lines}{more}")
    if aloud:
        log.warning("%s and were left out:%s%s", counts, lines, more)


def _check_exactly_once(order: np.ndarray, failures: Sequence[BadVideo], num_videos: int) -> None:
    seen = np.bincount(np.concatenate([order, [failure.index for failure in failures]]).astype(np.int64))
    assert len(seen) == num_videos, f"{num_videos} videos, but the last one with a result is {len(seen)}"
    assert (seen == 1).all(), f"videos {np.flatnonzero(seen != 1)[:10].tolist()} do not have exactly one result"
