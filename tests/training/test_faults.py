"""What goes wrong in the middle of a run: it ends with a message, what is saved is good, and the run can go on."""

import itertools
import math
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from inside_run import act_in_steps, act_in_validation, act_when_saving, change_input, look_like_an_accelerator
from test_resume import Whole, assert_same_state, record_steps, timeless

from kinema.data.manifest import Manifest
from kinema.errors import UserError, VideoError
from kinema.specs.recipe import Recipe
from kinema.training.batches import RunOrder
from kinema.training.position import Position
from kinema.training.run import train
from kinema.weights.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def whole(shapes: Manifest, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Two epochs of five steps without a fault."""
    result = train(data=shapes, recipe=tiny_recipe, out=tmp_path_factory.mktemp("whole") / "run", quiet=True)
    return Whole(result.path, timeless(result.history), [])


def steps_saved(folder: Path) -> int:
    return Checkpoint.read(folder / "last.ckpt").training.position["num_steps"]


def assert_resumes_to(whole: Whole, folder: Path) -> None:
    assert timeless(train(resume=folder, quiet=True).history) == whole.history
    assert_same_state(folder / "last.ckpt", whole.path / "last.ckpt")
    assert (folder / "metrics.csv").read_text().count("\n") == 3


@pytest.mark.parametrize("accelerator", [False, True])
def test_a_loss_that_is_no_number_is_traced_to_its_clips(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch, accelerator: bool
) -> None:
    """The second epoch's third step; an accelerator is looked at only later, and the step is known all the same."""
    steps = itertools.count()
    change_input(monkeypatch, lambda clips: clips * math.nan if next(steps) == 7 else clips)
    if accelerator:
        look_like_an_accelerator(monkeypatch)
    done = record_steps(monkeypatch)
    with pytest.raises(UserError, match=r"the loss is nan in epoch 2, step 3 \(\d\.\d+ in the step before\)") as caught:
        train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    assert len(done) == (10 if accelerator else 8)
    training = shapes.select("train")
    batch = list(RunOrder(training, tiny_recipe, Position(), rank=0, world=1))[7]
    videos = ", ".join(training[row].video_id for _, row, _ in batch)
    assert f"videos of that step: {videos}; {run_folder}/last.ckpt keeps" in str(caught.value)
    assert videos in (run_folder / "log.txt").read_text()
    assert steps_saved(run_folder) == 5
    weights = Checkpoint.read(run_folder / "last.ckpt").state_dict
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_weights_that_overflow_are_not_saved(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step of an epoch: its loss is fine, and no other step follows that would show it."""

    def overflowing(run, batch, sums):
        if run.position.num_steps == 4:
            next(run.model.parameters()).data[0] = math.inf

    act_in_steps(monkeypatch, after=overflowing)
    act_in_validation(monkeypatch, lambda validate: pytest.fail("validated a broken network"))
    with pytest.raises(UserError, match="weights are no longer finite after epoch 1, step 5"):
        train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    assert steps_saved(run_folder) == 0
    assert not (run_folder / "best.ckpt").exists()


def test_a_video_that_disappears(
    whole: Whole, shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done until then is saved; once the file is back the run goes on as if nothing had happened."""
    training = shapes.select("train")
    (_, row, _), *_ = list(RunOrder(training, tiny_recipe, Position(), rank=0, world=1))[7]
    video = Path(training.root) / training[row].path

    def loses_a_file(run, batch):
        if run.position.num_steps == 5:
            video.rename(video.with_suffix(".away"))

    expected = rf"{training[row].video_id}.*\(video {training[row].video_id}\); .*continue with: kinema train --resume"
    try:
        with monkeypatch.context() as patched:
            act_in_steps(patched, before=loses_a_file)
            with pytest.raises(VideoError, match=expected):
                train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
        with pytest.raises(VideoError, match=expected):
            train(resume=run_folder, quiet=True)
    finally:
        video.with_suffix(".away").rename(video)
    assert steps_saved(run_folder) == 7
    assert_resumes_to(whole, run_folder)


def test_a_validation_video_that_disappears(
    whole: Whole, shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second epoch: the steps are saved, and a resumed run comes straight back to the validation."""
    video = Path(shapes.select("val")[0].path)
    epochs = itertools.count()

    def without_it(validate):
        if next(epochs) == 0:
            return validate()
        video.rename(video.with_suffix(".away"))
        try:
            return validate()
        finally:
            video.with_suffix(".away").rename(video)

    with monkeypatch.context() as patched:
        act_in_validation(patched, without_it)
        with pytest.raises(UserError, match=rf"{video.name}.*\nonce it is repaired, continue with: kinema train --res"):
            train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    assert steps_saved(run_folder) == 10
    assert_resumes_to(whole, run_folder)


@contextmanager
def no_file_over(num_bytes: int) -> Iterator[None]:
    """Let writing fail as a full disk does, once a file has that size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize(
    ("part", "num_bytes", "steps", "message"),
    [
        ("last", 50_000, 0, r"last\.ckpt could not be written \(.*\); the earlier file is unchanged"),
        ("best", 50_000, 5, r"best\.ckpt could not be written"),
        ("numbers", 10, 5, "the numbers of epoch 1 could not be written .*; make room and continue with"),
    ],
)
def test_a_full_disk(
    whole: Whole,
    shapes: Manifest,
    tiny_recipe: Recipe,
    run_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    num_bytes: int,
    steps: int,
    message: str,
) -> None:
    def on_a_full_disk(position, write):
        with no_file_over(num_bytes) if position.num_steps else nullcontext():
            write()

    with monkeypatch.context() as patched:
        act_when_saving(patched, part, on_a_full_disk)
        with pytest.raises(UserError, match=message):
            train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    assert steps_saved(run_folder) == steps
    assert list(run_folder.glob(".*")) == []
    assert_resumes_to(whole, run_folder)
