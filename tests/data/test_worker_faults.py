"""Worker processes that hang or die: the run ends with their name and their video, and leaves no process behind."""

import multiprocessing
import os
import re
import signal
import time
from contextlib import ExitStack

import pytest
from torch.utils.data import Dataset

from kinema.data import worker_watch
from kinema.data.process_loader import ProcessLoader, process_loader
from kinema.errors import UserError


class Troubled(Dataset[int]):
    """Ten items; one of them does something to the worker that reads it."""

    def __init__(self, trouble, at: int = 4) -> None:
        self.trouble, self.at = trouble, at

    def __getitem__(self, index: int) -> int:
        if index == self.at:
            self.trouble()
        return index

    def describe(self, index: int) -> str:
        return f"video{index}.mp4"


def loader_over(trouble, num_workers: int = 2) -> ProcessLoader:
    return process_loader(
        Troubled(trouble), order=range(10), batched=False, num_workers=num_workers, pin_memory=False, collate=int
    )


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_until_error(loader: ProcessLoader) -> tuple[list[int], str]:
    items: list[int] = []
    with pytest.raises(UserError) as caught:
        items.extend(iter(loader))
    assert not multiprocessing.active_children()
    return items, str(caught.value)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_watch, "POLL_SEC", 0.1)
    monkeypatch.setattr(worker_watch, "HANGING_SEC", 2.0)


@pytest.mark.usefixtures("_impatient")
def test_a_hanging_worker_is_named_with_its_video_and_ended() -> None:
    start = time.monotonic()
    _, message = run_until_error(loader_over(lambda: time.sleep(60)))
    assert "worker 1 (process " in message
    assert "of 2 was reading video4.mp4 for 2 s" in message
    assert time.monotonic() - start < 30


@pytest.mark.usefixtures("_impatient")
def test_only_a_worker_that_does_nothing_new_hangs() -> None:
    """A slow one that goes on from video to video is waited for, however long a batch takes in all."""
    watch = worker_watch.WorkerWatch(2)
    watch.expects_batch()
    looks = []
    with watch.reading(0, "still.mp4"):
        for _ in range(50):
            with watch.reading(1, "slow.mp4"):
                looks.append(watch.hanging())
    assert [look is None for look in looks[:20]] == [True] * 20  # the first look has nothing to compare with
    assert str(looks[20]).startswith("worker 1 (process ")
    assert "still.mp4" in str(looks[20])
    assert "slow.mp4" not in str(looks[20])
    watch.expects_batch()
    for _ in range(50):
        with watch.reading(0, "a.mp4"), watch.reading(1, "b.mp4"):
            assert watch.hanging() is None


@pytest.mark.usefixtures("_impatient")
def test_many_hanging_workers_make_no_wall_of_text() -> None:
    """As when storage stops to answer; the first look has nothing to compare with."""
    watch = worker_watch.WorkerWatch(5)
    with ExitStack() as reading:
        for row in range(5):
            reading.enter_context(watch.reading(row, f"{row}.mp4"))
        message = str(next(error for error in iter(watch.hanging, watch) if error is not None))
    assert re.match(r"workers 1 \(process \d+\) and 2 \(process \d+\) and 3 \(process \d+\) and 2 more of 5 ", message)
    assert "were reading 0.mp4 and 1.mp4 and 2.mp4 and 2 more for 2 s; look" in message


@pytest.mark.usefixtures("_impatient")
def test_a_killed_worker_is_named_with_its_video() -> None:
    handler = signal.getsignal(signal.SIGCHLD)
    _, message = run_until_error(loader_over(die))
    assert "worker 1 (process " in message
    assert "was reading video4.mp4 when it was killed by SIGKILL; that is how a machine" in message
    assert signal.getsignal(signal.SIGCHLD) is handler


@pytest.mark.usefixtures("_impatient")
def test_a_worker_that_ends_by_itself_is_named() -> None:
    _, message = run_until_error(loader_over(lambda: os._exit(3)))
    assert "was reading video4.mp4 when it ended with exit code 3" in message


def test_full_shared_memory_is_named() -> None:
    def fill() -> None:
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device (28)"
        )

    _, message = run_until_error(loader_over(fill))
    assert message.startswith("the shared memory in which workers hand over their batches is full: enlarge /dev/shm")


def test_a_loader_that_is_left_ends_its_hanging_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are deaf to SIGTERM; without a harder word this process could never end."""
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    loader = loader_over(lambda: time.sleep(60))
    items = iter(loader)
    assert next(items) == 0
    del items
    assert not multiprocessing.active_children()
