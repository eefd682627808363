"""Loaders whose worker processes share memory, outlive signals meant for the run, and report bad videos in a line."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from kinema.errors import UserError


class Failure(NamedTuple):
    """Stands for an item whose video could not be read, on its way out of a worker process."""

    error: UserError


class Guarded(Dataset[Any]):
    """Hands an item's ``UserError`` over as a ``Failure``: raised in a worker it would come out as a wall of text."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.dataset[index]
        except UserError as error:
            return Failure(error)


class ProcessLoader(DataLoader[Any]):
    """A ``DataLoader`` whose workers are forked and that raises the ``UserError`` a worker met.

    Forked workers share the memory of the manifest and start in milliseconds. That is safe here: nothing holds an open
    decoder between two items, and torch and OpenCV run single-threaded inside the workers.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        with _expected_warnings_off(), _signals_held():
            batches = super().__iter__()
        try:
            for batch in batches:
                if isinstance(batch, Failure):
                    raise batch.error
                yield batch
        finally:
            # Now, not when the garbage collector finds the traceback: by then the workers' queues would be closed,
            # the workers would miss the word to stop, and torch waits 5 seconds for each of them.
            del batches


def process_loader(
    dataset: Dataset[Any],
    *,
    order: Iterable[Any],
    batched: bool,
    num_workers: int,
    pin_memory: bool,
    collate: Callable[[Any], Any],
) -> ProcessLoader:
    """Build a loader over a dataset that may fail.

    Args:
        dataset: Its items may raise ``UserError``.
        order: Keys of the items, or lists of keys when ``batched``.
        batched: Whether ``order`` gives whole batches.
        num_workers: Processes; 0 reads in this one.
        pin_memory: Page-locked memory, for copies to a GPU; ignored where there is none.
        collate: Makes a batch from a list of items (or passes one item on); some may be a ``Failure``.
    """
    fork = num_workers > 0 and "fork" in multiprocessing.get_all_start_methods()
    with _expected_warnings_off():
        return ProcessLoader(
            Guarded(dataset),
            batch_sampler=order if batched else None,
            sampler=None if batched else order,
            batch_size=1 if batched else None,  # 1 is torch's default; it means nothing beside a batch sampler
            num_workers=num_workers,
            pin_memory=pin_memory and torch.cuda.is_available(),
            collate_fn=collate,
            worker_init_fn=_calm_worker,
            multiprocessing_context="fork" if fork else None,
        )


@contextmanager
def _expected_warnings_off() -> Generator[None, None, None]:
    """Silence what torch and Python say about choices made on purpose."""
    with warnings.catch_warnings():
        # The number of workers is the user's decision: waiting for a network disk can need more than there are cores.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        # Python >= 3.12 warns whenever a process with threads forks; torch's idle pool counts.
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
        yield


_RUN_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that are meant for the run; the main process saves and stops by itself."""


@contextmanager
def _signals_held() -> Generator[None, None, None]:
    """Hold the run's signals back while workers start: a worker would die of one before it has learnt to ignore it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, which has no process groups of that kind either
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _RUN_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _calm_worker(worker: int) -> None:
    """Keep a worker to one core, since the workers are the parallelism, and deaf to signals meant for the run.

    Ctrl-C, ``timeout`` and schedulers signal the whole process group. The main process saves and stops by itself; it
    could not if its workers were gone. They end when it tells them to, or when it has died.
    """
    cv2.setNumThreads(0)
    for number in _RUN_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
