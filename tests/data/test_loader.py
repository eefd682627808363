"""Batches: the order of an epoch, workers that change nothing, errors from workers, and the step to floating point."""

import multiprocessing
import os
import signal
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from make_videos import numbered_frames, write_video
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader

from kinema.data.batch_memory import SLOTS_PER_WORKER
from kinema.data.dataset import ClipDataset, Sample
from kinema.data.loader import Batch, build_loader, collate, to_clip, to_device
from kinema.data.manifest import Manifest, Record
from kinema.data.order import EpochOrder, balance_weights
from kinema.data.transforms import make_augmentation
from kinema.errors import UserError, VideoError
from kinema.specs.data import DataSpec
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.sampling import Uniform


def order_of(num_samples: int = 23, *, epoch: int = 0, **changes) -> EpochOrder:
    return EpochOrder(num_samples, **{"batch_size": 6, "seed": 1, "epoch": epoch} | changes)


def indices_of(order: EpochOrder) -> list[list[int]]:
    return [[key.row for key in batch] for batch in order]


def test_an_epoch_visits_every_video_once_in_an_order_of_its_own() -> None:
    first, again, second = indices_of(order_of()), indices_of(order_of()), indices_of(order_of(epoch=1))
    assert [len(batch) for batch in first] == [6, 6, 6, 5]
    assert sorted(index for batch in first for index in batch) == list(range(23))
    assert first == again
    assert first != second
    assert first != indices_of(order_of(seed=2))
    assert all(key.epoch == 1 for batch in order_of(epoch=1) for key in batch)


@pytest.mark.parametrize("start", range(5))
def test_a_restart_goes_on_where_it_stopped(start: int) -> None:
    resumed = order_of(start_step=start)
    assert indices_of(resumed) == indices_of(order_of())[start:]
    assert len(resumed) == len(indices_of(resumed)) == 4 - start


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_batches_of_one_process(world: int) -> None:
    whole = indices_of(order_of())
    parts = [indices_of(order_of(rank=rank, world=world)) for rank in range(world)]
    for step, batch in enumerate(whole):
        shares = [part[step] for part in parts]
        assert sorted(index for share in shares for index in share) == sorted(batch)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert min(map(len, shares)) > 0


@pytest.mark.parametrize(("num_samples", "world"), [(13, 2), (14, 3), (12, 4)])
def test_a_last_batch_smaller_than_the_job_is_the_same_on_any_number_of_processes(num_samples: int, world: int) -> None:
    """The processes without a clip read the first one too, and leave it out of their sums and gradients."""
    whole = indices_of(order_of(num_samples))
    parts = [indices_of(order_of(num_samples, rank=rank, world=world)) for rank in range(world)]
    for step, batch in enumerate(whole):
        shares = [part[step] for part in parts]
        assert sorted(index for share in shares[: len(batch)] for index in share) == sorted(batch)
        assert shares[len(batch) :] == [batch[:1]] * (world - len(batch))


def test_an_epoch_that_cannot_be_dealt_out_is_refused() -> None:
    with pytest.raises(UserError, match="1 videos in batches of 6 cannot be dealt out to 2"):
        order_of(1, world=2)
    with pytest.raises(UserError, match="one weight"):
        order_of(5, weights=np.ones(4))


def test_balanced_weights_let_classes_count_equally() -> None:
    labels = np.array([0] * 8 + [1] * 2 + [3] * 4)
    weights = balance_weights(labels, 4)
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[2] == 0
    totals = weights * np.bincount(labels, minlength=4)
    assert totals[[0, 1, 3]] == pytest.approx(totals[0])


def test_balanced_drawing_shows_classes_equally_often() -> None:
    labels = np.array([0] * 90 + [1] * 9 + [2])
    weights = balance_weights(labels, 3)[labels]
    drawn = [
        i for epoch in range(40) for batch in indices_of(order_of(100, epoch=epoch, weights=weights)) for i in batch
    ]
    assert len(drawn) == 40 * 100
    np.testing.assert_allclose(np.bincount(labels[drawn]) / len(drawn), 1 / 3, atol=0.03)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> ClipDataset:
    """Nine videos of 24 numbered frames."""
    folder = tmp_path_factory.mktemp("videos")
    records = [Record(f"v{i}", f"v{i}.mp4", "ab"[i % 2]) for i in range(9)]
    for i, record in enumerate(records):
        write_video(folder / record.path, numbered_frames(24, first=i * 100))
    manifest = Manifest.from_records(records, classes=("a", "b"), root=folder)
    return dataset_over(manifest)


def dataset_over(manifest: Manifest) -> ClipDataset:
    augmentation = make_augmentation(DataSpec(crop_size=32, short_side=(36, 48), color_jitter=(15, 35, 25)))
    return ClipDataset(manifest, sampler=Uniform(4), augmentation=augmentation, seed=5)


def batches_of(dataset: ClipDataset, num_workers: int, **changes) -> list[Batch]:
    order = EpochOrder(len(dataset), **{"batch_size": 4, "seed": 5, "epoch": 2} | changes)
    return list(build_loader(dataset, order, num_workers=num_workers))


def test_workers_change_nothing(dataset: ClipDataset) -> None:
    alone, two, three = (batches_of(dataset, num_workers) for num_workers in (0, 2, 3))
    assert [len(batch.labels) for batch in alone] == [4, 4, 1]
    for other in (two, three):
        for ours, theirs in zip(alone, other, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    resumed = batches_of(dataset, 2, start_step=1)
    assert all(torch.equal(a.clips, b.clips) for a, b in zip(alone[1:], resumed, strict=True))


def test_a_video_drawn_twelve_times_gives_twelve_clips(dataset: ClipDataset) -> None:
    """Balanced drawing of a rare video, as the run reads it: by workers, resumed, shared by two processes."""
    weights = np.array([1.0] * 8 + [40.0])
    changes = {"weights": weights, "seed": 4, "batch_size": 3}
    whole = batches_of(dataset, 0, **changes)
    clips = torch.cat([batch.clips for batch in whole])
    rare = clips[torch.cat([batch.indices for batch in whole]) == 8]
    assert len(rare) > 5
    assert len({clip.numpy().tobytes() for clip in rare}) == len(rare)
    for ours, theirs in zip(whole[1:], batches_of(dataset, 2, start_step=1, **changes), strict=True):
        assert torch.equal(ours.clips, theirs.clips)
    for rank in range(2):
        for ours, theirs in zip(whole, batches_of(dataset, 0, rank=rank, world=2, **changes), strict=True):
            assert torch.equal(ours.clips[rank::2], theirs.clips)


def shared_file_of(tensor: torch.Tensor) -> str:
    """The name of the memory that a tensor lies in; every piece of shared memory has its own, unlike its address."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= tensor.data_ptr() < last:
            return line.split(maxsplit=5)[5]
    raise AssertionError("nowhere")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's memory accounting")
def test_batches_are_written_where_earlier_ones_were(dataset: ClipDataset) -> None:
    order = [[(0, row % 9)] for row in range(30)]
    places = Counter(shared_file_of(batch.clips) for batch in build_loader(dataset, order, num_workers=1))
    most_used = places.most_common(SLOTS_PER_WORKER)  # a worker ahead of a busy run may send a few on their own
    assert sum(count for _, count in most_used) > len(order) / 2


def test_batches_also_form_in_somebodys_own_loader(dataset: ClipDataset) -> None:
    keys = [(0, 0), (0, 1)]
    for num_workers in (0, 1):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
            (batch,) = DataLoader(dataset, batch_sampler=[keys], collate_fn=collate, num_workers=num_workers)
        assert torch.equal(batch.clips, torch.stack([dataset[key].clip for key in keys]))


def test_no_batch_changes_in_the_hands_of_the_run(dataset: ClipDataset) -> None:
    """Not when more are kept than there is room for, when only a part is kept, or when batches grow."""
    order = [[(epoch, row) for row in range(1 + epoch // 2)] for epoch in range(16)]
    kept = list(build_loader(dataset, order, num_workers=1))
    parts = [batch.clips[-1, :, 2] for batch in build_loader(dataset, order, num_workers=2)]
    for batch, part, keys in zip(kept, parts, order, strict=True):
        wanted = torch.stack([dataset[key].clip for key in keys])
        assert torch.equal(batch.clips, wanted)
        assert torch.equal(part, wanted[-1, :, 2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_frees_no_memory_of_its_parents_batches(dataset: ClipDataset) -> None:
    batches = iter(build_loader(dataset, [[(0, row % 9)] for row in range(20)], num_workers=1))
    held = [next(batches)]
    next(batches)  # now the loader itself has let go of the first
    before = held[0].clips.clone()
    child = multiprocessing.get_context("fork").Process(target=held.clear)
    child.start()
    child.join()
    assert child.exitcode == 0
    for _ in batches:
        assert torch.equal(held[0].clips, before)


def test_batches_are_uint8_and_channels_last(dataset: ClipDataset) -> None:
    for num_workers in (0, 1):
        batch = batches_of(dataset, num_workers)[0]
        assert batch.clips.dtype == torch.uint8
        assert batch.clips.shape == (4, 3, 4, 32, 32)
        assert batch.clips.is_contiguous(memory_format=torch.channels_last_3d)
        assert batch.labels.dtype == batch.indices.dtype == torch.int64
        assert batch.labels.tolist() == [index % 2 for index in batch.indices.tolist()]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_video_surfaces_as_itself(dataset: ClipDataset, tmp_path: Path, num_workers: int) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"text")
    records = [*dataset.manifest, Record("the bad one", str(tmp_path / "bad.mp4"), "a")]
    broken = dataset_over(Manifest.from_records(records, classes=("a", "b"), root=tmp_path))
    with pytest.raises(VideoError, match="the bad one") as caught:
        batches_of(broken, num_workers)
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not multiprocessing.active_children()  # at once, although the traceback is still held


def test_more_workers_than_cores_are_the_users_choice(dataset: ClipDataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(batches_of(dataset, 5)) == 3


def test_a_worker_stops_when_the_epoch_is_left(dataset: ClipDataset) -> None:
    batches = iter(build_loader(dataset, EpochOrder(9, batch_size=2, seed=0, epoch=0), num_workers=2))
    next(batches)
    batches.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_outlive_a_signal_to_the_whole_group(dataset: ClipDataset, number: signal.Signals) -> None:
    batches = iter(build_loader(dataset, EpochOrder(9, batch_size=1, seed=0, epoch=0), num_workers=2))
    seen = [int(next(batches).indices)]
    for worker in multiprocessing.active_children():
        assert worker.pid is not None
        os.kill(worker.pid, number)
    seen += [int(batch.indices) for batch in batches]
    assert sorted(seen) == list(range(9))
    assert not multiprocessing.active_children()


def test_clips_of_different_lengths_need_batches_of_one() -> None:
    samples = [Sample(torch.zeros(3, t, 2, 2, dtype=torch.uint8), 0, 0, np.arange(t)) for t in (3, 5)]
    failure = collate(samples)
    assert isinstance(failure, UserError)
    assert "3 to 5 frames" in str(failure)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_normalising_is_the_written_out_formula(dtype: torch.dtype) -> None:
    pixels = torch.randint(0, 256, (2, 4, 5, 6, 3), dtype=torch.uint8)
    wanted = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    clip = to_clip(pixels.permute(0, 4, 1, 2, 3), wanted, "cpu", dtype)
    slow = ((pixels.double() / 255 - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.2, 0.3, 0.4])).permute(
        0, 4, 1, 2, 3
    )
    assert clip.dtype == dtype
    assert clip.shape == (2, 3, 4, 5, 6)
    assert clip.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.allclose(clip.double(), slow, atol=1e-6, rtol=0.01 if dtype == torch.bfloat16 else 1e-5)


def test_blue_comes_first_where_the_network_wants_that() -> None:
    """Caffe networks: BGR of 0..255 less the mean of each channel, mean and std in the network's channel order."""
    pixels = torch.tensor([[250, 120, 10]], dtype=torch.uint8).view(1, 1, 1, 1, 3).permute(0, 4, 1, 2, 3)
    caffe = Preprocessing(mean=(104 / 255, 117 / 255, 123 / 255), std=(1 / 255,) * 3, channel_order="bgr")
    clip = to_clip(pixels, caffe, "cpu").flatten()
    assert torch.allclose(clip, torch.tensor([10 - 104.0, 120 - 117.0, 250 - 123.0]), atol=1e-4)


def test_a_contiguous_clip_stays_contiguous() -> None:
    clips = torch.randint(0, 256, (2, 3, 4, 5, 6), dtype=torch.uint8)
    channels_last = clips.contiguous(memory_format=torch.channels_last_3d)
    clip = to_clip(clips, Preprocessing(), "cpu")
    assert clip.is_contiguous()
    assert torch.equal(clip, to_clip(channels_last, Preprocessing(), "cpu"))


class RecordedCopies(TorchFunctionMode):
    """Notes how tensors are copied to a device, and leaves them where they are."""

    def __init__(self) -> None:
        super().__init__()
        self.without_waiting: list[bool] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not torch.Tensor.to or not isinstance(args[1], torch.device):
            return func(*args, **(kwargs or {}))
        self.without_waiting.append(bool((kwargs or {}).get("non_blocking")))
        return args[0]


@pytest.mark.parametrize(("device", "waits"), [("cuda", False), ("mps", True), ("cpu", True)])
def test_only_cuda_copies_without_waiting(device: str, waits: bool) -> None:
    """On mps the copy could read a batch after its memory was written anew."""
    with RecordedCopies() as copies:
        to_clip(torch.zeros(1, 3, 1, 2, 2, dtype=torch.uint8), Preprocessing(), torch.device(device))
        to_device(torch.zeros(1), torch.device(device))
    assert copies.without_waiting == [not waits] * 4


def resident_private_kib() -> int:
    rollup = Path("/proc/self/smaps_rollup")
    lines = dict(line.split(":", 1) for line in rollup.read_text().splitlines()[1:])
    return sum(int(lines[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))


class TouchingDataset(ClipDataset):
    """Reads every row of the manifest and says by how much the process grew."""

    def __getitem__(self, index: tuple[int, int]) -> Sample:
        before = resident_private_kib()
        for row in range(len(self.manifest)):
            self.manifest[row]
        grown = resident_private_kib() - before
        return Sample(torch.zeros(3, 1, 1, 1, dtype=torch.uint8), grown, 0, np.zeros(1))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's memory accounting")
def test_a_worker_that_touches_a_large_manifest_hardly_grows() -> None:
    """Rows kept as Python objects would be copied by counting references: 60,000 of them take more than 30 MB."""
    records = (Record(f"video-{i:07d}", f"folder/video-{i:07d}.mp4", "a") for i in range(60_000))
    manifest = Manifest.from_records(records, classes=("a",), root="/nowhere")
    dataset = TouchingDataset(manifest, sampler=Uniform(1), augmentation=make_augmentation(DataSpec()))
    batch = next(iter(build_loader(dataset, [[(0, 0)]], num_workers=1)))
    assert batch.labels.item() < 20 * 1024
