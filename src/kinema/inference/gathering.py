"""The videos of a data set dealt out to processes, scored, and gathered again: each exactly once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kinema.compute.progress import progress_bar
from kinema.data.bad_video import BadVideo
from kinema.errors import UserError
from kinema.inference.batching import ViewRows
from kinema.inference.scorer import Scorer
from kinema.inference.views import ViewDataset
from kinema.wording import counted

Reduce = Callable[[ViewRows], tuple[np.ndarray, ...]]
"""From a video's rows to the arrays that are kept of it, one row of each result."""

_NUM_LISTED = 20

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


def gather_videos(scorer: Scorer, dataset: ViewDataset, reduce: Reduce, *, title: str = "") -> Gathered:
    """Score and reduce this process's part of the videos, and give every process all of them.

    Args:
        scorer: Its process says which part that is, its loading how the videos are read.
        dataset: Videos and protocol.
        reduce: What is kept of a video.
        title: Of a progress bar on standard error, when that is a terminal; empty for none.

    Raises:
        UserError: Videos cannot be read; all others are tried first, and the message lists every bad one.
    """
    process, loading = scorer.process, scorer.loading
    own = range(process.rank, len(dataset), process.world)  # and no padding, so that no video counts twice
    indices: list[int] = []
    kept: list[tuple[np.ndarray, ...]] = []
    bad: list[BadVideo] = []
    with progress_bar(len(own), title, shown=bool(title) and process.rank == 0) as advance:
        num_views = len(own) * dataset.protocol.num_views
        for result in scorer.run(dataset.videos(own, num_workers=loading.num_workers), num_views=num_views):
            if isinstance(result, BadVideo):
                bad.append(result)
            else:
                indices.append(result.video.index)
                kept.append(reduce(result))
            advance()
    unread = sorted(set(own) - set(indices))  # in the order of the bad ones, which are passed on as they come
    columns = tuple(np.stack(column) for column in zip(*kept, strict=True))
    parts = process.gather((np.array(indices, dtype=np.int64), columns, list(zip(unread, bad, strict=True))))
    failures = sorted(failure for _, _, failures in parts for failure in failures)
    left_out = [video for _, video in failures]
    _report(dataset, left_out, skip_bad=loading.skip_bad, log_left_out=process.rank == 0)
    order = np.concatenate([found for found, _, _ in parts])
    _check_exactly_once(order, [row for row, _ in failures], len(dataset))
    ascending = order.argsort()
    joined = tuple(np.concatenate(all_of)[ascending] for all_of in zip(*(c for _, c, _ in parts if c), strict=True))
    return Gathered(order[ascending], joined, [video.video_id for video in left_out])


def _report(dataset: ViewDataset, bad: Sequence[BadVideo], *, skip_bad: bool, log_left_out: bool) -> None:
    """Raise, or say, that videos could not be read."""
    if not bad:
        return
    lines = "".join(f"\n  {video.error()}" for video in bad[:_NUM_LISTED])
    more = f"\n  and {len(bad) - _NUM_LISTED} more" if len(bad) > _NUM_LISTED else ""
    counts = f"{len(bad)} of {counted(len(dataset), 'video')} of {dataset.manifest.name} cannot be read"
    if len(bad) == len(dataset):
        raise UserError(f"{counts}:{lines}{more}")
    if not skip_bad:
        raise UserError(f"{counts}; repair or remove them, or leave them out with --skip-bad:{lines}{more}")
    if log_left_out:
        log.warning("%s and were left out:%s%s", counts, lines, more)


def _check_exactly_once(order: np.ndarray, bad_rows: Sequence[int], num_videos: int) -> None:
    seen = np.bincount(np.concatenate([order, bad_rows]).astype(np.int64))
    assert len(seen) == num_videos, f"{num_videos} videos, but the last one with a result is {len(seen)}"
    assert (seen == 1).all(), f"videos {np.flatnonzero(seen != 1)[:10].tolist()} do not have exactly one result"
