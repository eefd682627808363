"""Loaders whose workers share memory, ignore signals that stop the run, and report each bad video in one line."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info

from kinema.compute.allocation import keep_freed_memory
from kinema.compute.signals import SIGNALS, signals_held
from kinema.data import worker_watch
from kinema.data.batch_memory import BatchMemory
from kinema.data.worker_watch import WorkerWatch, workers_besides
from kinema.errors import UserError

_END = object()

_NO_SPACE = "unable to allocate shared memory"  # how torch puts it
_NO_SPACE_ADVICE = (
    "the shared memory in which workers hand over their batches is full: enlarge /dev/shm (docker's is 64 MB, "
    "see docker run --shm-size), or use fewer workers or smaller batches"
)


class DescribedVideos(Protocol):
    """A dataset of videos that can say which one an item is read from."""

    def __getitem__(self, index: Any, /) -> Any: ...

    def describe(self, index: Any, /) -> str:
        """Name the video of an item: path and id."""
        ...


class Guarded(Dataset[Any]):
    """Hands over the ``UserError`` of an item in its place: raised in a worker it would come out as a wall of text.

    Attributes:
        dataset: The videos.
        watch: Where a worker notes what it reads.
        memory: Where a worker may leave its batches.
    """

    def __init__(self, dataset: DescribedVideos) -> None:
        self.dataset = dataset
        self.watch = WorkerWatch(0)
        self.memory = BatchMemory(0)

    def __getitem__(self, index: Any) -> Any:
        worker = get_worker_info()
        noted = self.watch.reading(worker.id, self.dataset.describe(index)) if worker else nullcontext()
        try:
            with noted:
                return self.dataset[index]
        except UserError as error:
            return error


class ProcessLoader(DataLoader[Any]):
    """A ``DataLoader`` whose workers are forked and that raises the ``UserError`` a worker met.

    Forked workers share the memory of the manifest and start in milliseconds. That is safe here: nothing holds an open
    decoder between two items, and torch and OpenCV run single-threaded inside the workers.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        assert isinstance(self.dataset, Guarded), "process_loader guards every dataset"
        watch = self.dataset.watch = WorkerWatch(self.num_workers)
        memory = self.dataset.memory = BatchMemory(self.num_workers)
        before = multiprocessing.active_children()
        with _expected_warnings_off(), signals_held(), _child_signal_kept():
            batches = super().__iter__()
        watch.started(workers_besides(before) if self.num_workers else [])
        try:
            while (batch := _next_batch(batches, watch)) is not _END:
                if isinstance(batch, UserError):
                    raise batch
                yield batch
        finally:
            # Now, not when the garbage collector finds the traceback: by then the workers' queues would be closed,
            # the workers would miss the word to stop, and torch waits 5 seconds for each of them.
            del batches
            watch.end_survivors()
            del memory  # after the workers, which write its flags


def _next_batch(batches: Iterator[Any], watch: WorkerWatch) -> Any:
    """Wait for a batch; a worker that hangs, has died or lacks memory comes as its error, the end as ``_END``.

    It is given back rather than raised, for a traceback through this function would keep the iterator alive.
    """
    watch.expects_batch()
    while True:
        try:
            return next(batches, _END)
        except RuntimeError as error:
            reason = str(error)
            if _NO_SPACE in reason:
                return UserError(_NO_SPACE_ADVICE)
            if not reason.startswith(("DataLoader timed out", "DataLoader worker (pid")):
                raise
        fault = watch.hanging() if "timed out" in reason else watch.dead()
        if fault is not None:
            watch.end_survivors()
            return fault


def process_loader(
    dataset: DescribedVideos,
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
        collate: Makes a batch from a list of items (or passes one item on); some may be a ``UserError``.
    """
    fork = num_workers > 0 and "fork" in multiprocessing.get_all_start_methods()
    with _expected_warnings_off():
        return ProcessLoader(
            Guarded(dataset),
            batch_sampler=order if batched else None,
            sampler=None if batched else order,
            batch_size=1 if batched else None,  # 1 is torch's default; it means nothing beside a batch sampler
            num_workers=num_workers,
            timeout=worker_watch.POLL_SEC if num_workers else 0,
            pin_memory=pin_memory and torch.cuda.is_available(),
            collate_fn=collate,
            worker_init_fn=_set_up_worker,
            multiprocessing_context="fork" if fork else None,
        )


def stack_for_run(items: Sequence[torch.Tensor], axes: tuple[int, ...]) -> Any:
    """Join tensors into a batch, in a worker in memory that the run sees too, see ``BatchMemory.stack``.

    Args:
        items: Tensors of one shape and type.
        axes: The order in which the run sees the axes of the batch, of which 0 counts the items.
    """
    worker = get_worker_info()
    if worker is None or not isinstance(worker.dataset, Guarded):  # the run itself, or somebody's own DataLoader
        return default_collate(list(items)).permute(axes)
    return worker.dataset.memory.stack(worker.id, items, axes)


@contextmanager
def _expected_warnings_off() -> Generator[None, None, None]:
    """Silence what torch and Python say about choices made on purpose."""
    with warnings.catch_warnings():
        # The number of workers is the user's decision: waiting for a network disk can need more than there are cores.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        # Python >= 3.12 warns whenever a process with threads forks; torch's idle pool counts.
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
        yield


@contextmanager
def _child_signal_kept() -> Generator[None, None, None]:
    """Restore the SIGCHLD handler that torch's DataLoader replaces, which raises in whatever line is running.

    A loader that waits for a batch looks at its workers every few seconds, and can say what the dead one was reading.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "SIGCHLD"):
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if before is not None:  # None: set by something other than Python
            signal.signal(signal.SIGCHLD, before)


def _set_up_worker(worker: int) -> None:
    """Set a worker up: one thread, since the workers are the parallelism, and signals that stop the run are ignored.

    Ctrl-C, ``timeout`` and schedulers signal the whole process group. The main process saves and stops by itself; it
    could not if its workers were gone. They end when it tells them to, or when it has died.
    """
    cv2.setNumThreads(0)
    keep_freed_memory()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
