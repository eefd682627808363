"""Evaluation against a slow twin: right averages, every video once, on one process and on several."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from trained_models import CLASSES, PREPROCESSING, WeighedFrames, transparent, write_checkpoint, write_videos

from kinema.compute.devices import find_device
from kinema.compute.launch import launch
from kinema.compute.process import Process
from kinema.data.loader import to_clip
from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError
from kinema.evaluation.run import evaluate
from kinema.evaluation.scores import ScoreTable
from kinema.evaluation.scoring import score_dataset
from kinema.evaluation.summary import summary
from kinema.inference.scorer import Scorer
from kinema.inference.views import ViewDataset
from kinema.specs.compute import Compute
from kinema.specs.loading import Loading
from kinema.specs.protocol import protocol


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_videos(tmp_path_factory.mktemp("videos"))


def scorer_of(model: torch.nn.Module, process: Process | None = None, *, batch_views: int | None = None) -> Scorer:
    loading = Loading(num_workers=0, batch_views=batch_views)
    return Scorer(model, PREPROCESSING, process or Process(), loading, num_classes=len(CLASSES))


def view_by_view(manifest: Manifest, name: str, *, reverse: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the videos and their clip top-1, one view at a time and written out."""
    resolved, model = protocol(name, PREPROCESSING), WeighedFrames().eval()
    scores, hits = [], []
    for index, record in enumerate(manifest):
        views = ViewDataset(manifest, resolved)[index]
        clips = []
        for clip in range(views.num_clips):
            crops = []
            for crop in range(views.num_crops):
                view = clip * views.num_crops + crop
                pixels = views.clips(view, view + 1)
                pixels = pixels.flip(2) if reverse else pixels
                with torch.no_grad():
                    logits = model(to_clip(pixels, PREPROCESSING, "cpu"))[0]
                crops.append(logits.softmax(0) if resolved.averages == "probabilities" else logits)
            clips.append(sum(crops) / len(crops))
        scores.append((sum(clips) / len(clips)).numpy())
        hits.append(np.mean([CLASSES[int(clip.argmax())] == record.label for clip in clips]))
    return np.array(scores), np.array(hits)


@pytest.mark.parametrize("name", ["clip", "uniform-3x3", "dense-4x5", "all-frames", "r2plus1d-10"])
@pytest.mark.parametrize("batch_views", [None, 1, 7])
def test_against_one_view_at_a_time(manifest: Manifest, name: str, batch_views: int | None) -> None:
    table = evaluate(transparent(), manifest, protocol=name, split="all", batch_views=batch_views, num_workers=0)
    scores, hits = view_by_view(manifest, name)
    np.testing.assert_allclose(table.scores, scores, atol=1e-5)
    assert table.clip_hits is not None
    np.testing.assert_allclose(table.clip_hits[:, 0], hits, atol=1e-6)
    assert table.ids.tolist() == manifest.video_ids
    assert [CLASSES[label] for label in table.labels] == [record.label for record in manifest]
    assert table.kind == ("probabilities" if name == "r2plus1d-10" else "logits")
    assert table.meta["protocol"] == name
    assert table.meta["manifest_sha256"] == manifest.digest()


def test_reversed_frames(manifest: Manifest) -> None:
    forward = evaluate(transparent(), manifest, protocol="uniform-3x3", split="all", num_workers=0)
    backward = evaluate(transparent(), manifest, protocol="uniform-3x3", split="all", reverse=True, num_workers=0)
    np.testing.assert_allclose(backward.scores, view_by_view(manifest, "uniform-3x3", reverse=True)[0], atol=1e-5)
    assert np.abs(backward.scores - forward.scores).max() > 1e-2
    assert (forward.meta["reverse"], backward.meta["reverse"]) == (False, True)


class CountedDataset(ViewDataset):
    """Notes which videos are read."""

    def __getitem__(self, index):
        self.read = [*getattr(self, "read", []), index]
        return super().__getitem__(index)


def test_a_video_is_decoded_once_for_all_its_views(manifest: Manifest) -> None:
    trained = transparent()
    dataset = CountedDataset(manifest, protocol("dense-10x3", PREPROCESSING))
    score_dataset(scorer_of(trained.model, batch_views=8), dataset, classes=CLASSES)
    assert dataset.read == list(range(len(manifest)))
    assert sum(trained.model.batches) == 30 * len(manifest)
    assert trained.model.batches[:-1] == [8] * (len(trained.model.batches) - 1)


class SharesKept(Exception):  # noqa: N818  (not an error: it ends the simulated process)
    pass


class SimulatedProcess(Process):
    """One of several processes that run one after the other: the first time its share is kept, the second time
    the shares of all are there to be gathered."""

    def __init__(self, rank: int, world: int, shares: list, *, complete: bool) -> None:
        super().__init__(rank=rank, world=world)
        object.__setattr__(self, "shares", shares)
        object.__setattr__(self, "complete", complete)

    def gather(self, value):
        if self.complete:
            return self.shares
        self.shares.append(value)
        raise SharesKept


@pytest.mark.parametrize("world", [2, 3, 9])
def test_processes_share_videos_without_counting_any_twice(manifest: Manifest, world: int) -> None:
    """Nine processes are more than there are videos."""

    def score(process: Process | None) -> ScoreTable:
        dataset = ViewDataset(manifest, protocol("uniform-3x1", PREPROCESSING))
        return score_dataset(scorer_of(WeighedFrames(), process), dataset, classes=CLASSES)

    shares: list = []
    for rank in range(world):
        with pytest.raises(SharesKept):
            score(SimulatedProcess(rank, world, shares, complete=False))
    assert [len(indices) for indices, *_ in shares] == [len(range(rank, 7, world)) for rank in range(world)]
    alone, last = score(None), score(SimulatedProcess(world - 1, world, shares, complete=True))
    np.testing.assert_allclose(last.scores, alone.scores, atol=1e-6)
    assert last.ids.tolist() == alone.ids.tolist() == manifest.video_ids
    assert last.clip_accuracy == alone.clip_accuracy
    with pytest.raises(AssertionError, match=r"exactly one result|last one with a result"):
        score(SimulatedProcess(0, world, [shares[0], shares[0], *shares[2:]], complete=True))


def test_two_processes_give_the_table_of_one(manifest: Manifest, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "model.ckpt")
    alone = evaluate(checkpoint, manifest, protocol="uniform-3x1", split="all", num_workers=0)
    both = evaluate(checkpoint, manifest, protocol="uniform-3x1", split="all", num_workers=0, devices=2, device="cpu")
    np.testing.assert_allclose(both.scores, alone.scores, atol=1e-5)
    assert summary(both) == pytest.approx(summary(alone))
    assert both.ids.tolist() == alone.ids.tolist()
    assert {**both.meta, "seconds": 0} == {**alone.meta, "seconds": 0}


def _die_or_wait(process: Process, how: str) -> None:
    if process.rank == 1:
        if how == "mistake":
            raise UserError("the second process disagrees")
        os.kill(os.getpid(), signal.SIGKILL)
    process.gather(process.rank)


@pytest.mark.parametrize(("how", "message"), [("mistake", "second process disagrees"), ("kill", "killed by SIGKILL")])
def test_a_process_that_fails_ends_the_others(how: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        launch(Process, Compute(device="cpu", devices=2), _die_or_wait, how)


def test_batches_shrink_when_memory_runs_out(manifest: Manifest) -> None:
    trained = transparent(model=WeighedFrames(largest=3).eval())
    table = evaluate(trained, manifest, protocol="uniform-3x3", split="all", batch_views=16, num_workers=0)
    np.testing.assert_allclose(table.scores, view_by_view(manifest, "uniform-3x3")[0], atol=1e-5)
    assert trained.model.batches[:3] == [16, 8, 4]
    assert max(trained.model.batches[3:]) == 2
    with pytest.raises(UserError, match="a single view of 4 frames of 32x32 does not fit into the memory of cpu"):
        evaluate(transparent(model=WeighedFrames(largest=0).eval()), manifest, split="all", num_workers=0)


def test_the_model_keeps_its_mode_and_statistics(manifest: Manifest) -> None:
    model = WeighedFrames().train()
    model.norm.eval()
    dataset = ViewDataset(manifest, protocol("clip", PREPROCESSING))
    score_dataset(scorer_of(model), dataset, classes=CLASSES)
    assert (model.training, model.norm.training) == (True, False)
    assert int(model.norm.num_batches_tracked) == 0


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unreadable_videos_are_all_listed_after_the_others(
    manifest: Manifest, tmp_path: Path, num_workers: int
) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    good = [record._replace(path=str(manifest.root / record.path)) for record in manifest]
    bad = [Record("words", str(tmp_path / "text.mp4"), "run"), Record("nothing", str(tmp_path / "empty.mp4"), "sit")]
    mixed = Manifest.from_records([bad[0], *good, bad[1]], classes=manifest.classes, root=tmp_path, source="mixed")
    trained = transparent()
    with pytest.raises(UserError, match=r"(?s)2 of 9 videos of mixed cannot.*text\.mp4.*words.*empty\.mp4.*nothing"):
        evaluate(trained, mixed, split="all", num_workers=num_workers)
    assert sum(trained.model.batches) == 7
    table = evaluate(trained, mixed, split="all", num_workers=num_workers, skip_bad=True)
    assert table.meta["left_out"] == ["words", "nothing"]
    np.testing.assert_allclose(table.scores, view_by_view(manifest, "clip")[0], atol=1e-5)
    hopeless = Manifest.from_records(bad, classes=manifest.classes, root=tmp_path)
    with pytest.raises(UserError, match="2 of 2 videos"):
        evaluate(trained, hopeless, split="all", num_workers=0, skip_bad=True)


def test_splits(manifest: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    test, val = evaluate(transparent(), [manifest, manifest.select(split="val")], num_workers=0)
    assert test.ids.tolist() == ["video 1", "video 3", "video 5"]
    assert val.ids.tolist() == ["video 0", "video 2", "video 4", "video 6"]
    assert (test.meta["split"], val.meta["split"]) == ("test", "val")
    assert "numbered has no test videos; its validation videos are evaluated" in caplog.text
    with pytest.raises(UserError, match="no videos in the split 'train'"):
        evaluate(transparent(), manifest, split="train")
    with pytest.raises(UserError, match="unknown split 'tests'"):
        evaluate(transparent(), manifest, split="tests")
    with pytest.raises(UserError, match="no data"):
        evaluate(transparent(), [])


def test_unlabelled_videos_are_scored(manifest: Manifest) -> None:
    records = [record._replace(label="", path=str(manifest.root / record.path)) for record in manifest]
    table = evaluate(transparent(), Manifest.from_records(records, classes=(), root="."), split="all", num_workers=0)
    np.testing.assert_allclose(table.scores, view_by_view(manifest, "clip")[0], atol=1e-5)
    assert table.num_labelled == 0
    assert table.clip_accuracy is None
    assert summary(table) == {"num_videos": 7, "num_labelled": 0}


def test_classes_that_the_model_does_not_know(manifest: Manifest) -> None:
    with pytest.raises(UserError, match=r"numbered has classes.*: sit\. The model knows jump, run, stand"):
        evaluate(transparent(classes=("jump", "run", "stand")), manifest, split="all")


def test_devices_and_precision() -> None:
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="unknown device 'gpu'"):
        find_device("gpu")
    if not torch.cuda.is_available():
        assert find_device("auto") == torch.device("cpu")
        with pytest.raises(UserError, match="torch sees 0 CUDA devices"):
            find_device("cuda")
    with pytest.raises(UserError, match="unknown precision 'fp8'"):
        Process(precision="fp8")
    with Process(precision="bf16").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_a_saved_table_comes_back(manifest: Manifest, tmp_path: Path) -> None:
    table = evaluate(transparent(), manifest, split="all", num_workers=0)
    loaded = ScoreTable.load(table.save(tmp_path / "scores.npz"))
    assert summary(loaded) == summary(table)
    assert loaded.meta == table.meta


@pytest.mark.slow
def test_processes_of_torchrun_share_the_videos(manifest: Manifest, tmp_path: Path) -> None:
    manifest.write(manifest.root / "all.csv")
    checkpoint = write_checkpoint(tmp_path / "model.ckpt")
    words = ["evaluate", str(checkpoint), "--data", str(manifest.root / "all.csv"), "--split", "all", "--device", "cpu"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, "-m", "kinema", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("all.csv (all)") == 1
    saved = ScoreTable.load(tmp_path / "model-all-all-clip.npz")
    alone = evaluate(checkpoint, manifest, split="all", num_workers=0)
    np.testing.assert_allclose(saved.scores, alone.scores, atol=1e-5)
