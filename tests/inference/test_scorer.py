"""Views to batches to rows: videos as they come, rows of any shape, bad videos passed on, memory that runs out."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from trained_models import PREPROCESSING, WeighedFrames, write_videos

from kinema.compute.process import Process
from kinema.data.bad_video import BadVideo
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.inference.batching import ViewQueue, views_that_fit
from kinema.inference.scorer import Scorer
from kinema.inference.views import VideoViews, ViewDataset
from kinema.specs.loading import Loading
from kinema.specs.protocol import protocol

BAD = BadVideo("gone", "gone.mp4", "no such file")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def videos(manifest: Manifest) -> list[VideoViews]:
    return list(ViewDataset(manifest, protocol("uniform-2x3", PREPROCESSING)).videos())


def scorer_of(model: torch.nn.Module, batch_views: int | None, **changes) -> Scorer:
    return Scorer(model, PREPROCESSING, Process(), Loading(batch_views=batch_views), **changes)


def boxes(clip: torch.Tensor) -> torch.Tensor:
    """Two boxes for each frame, such as a detector gives, made of its average colours."""
    return clip.mean(dim=(3, 4)).permute(0, 2, 1)[:, :, None, :].repeat(1, 1, 2, 1)


@pytest.mark.parametrize("batch_views", [1, 4, 100])
def test_rows_may_have_any_shape(videos: list[VideoViews], batch_views: int) -> None:
    scorer = scorer_of(WeighedFrames(), batch_views, part=lambda _: boxes)
    found = list(scorer.run(videos))
    assert [result.video for result in found] == videos
    for result in found:
        assert result.rows.shape == (6, 4, 2, 3)
        assert result.rows.dtype == np.float32
        alone = next(scorer.run([result.video]))
        np.testing.assert_array_equal(alone.rows, result.rows)


def test_videos_are_taken_as_they_come(videos: list[VideoViews]) -> None:
    """A service has no end: each video's rows are there before the next video is asked for."""
    asked: list[int] = []

    def coming() -> Iterator[VideoViews]:
        for number, video in enumerate(videos):
            asked.append(number)
            yield video

    results = scorer_of(WeighedFrames(), 6).run(coming())
    for number, video in enumerate(videos):
        assert next(results).video is video
        assert asked == list(range(number + 1))
    assert list(results) == []


def test_a_bad_video_is_passed_on_at_once(videos: list[VideoViews]) -> None:
    found = list(scorer_of(WeighedFrames(), 100).run([videos[0], BAD, videos[1]]))
    assert found[0] == BAD
    assert [result.video for result in found[1:]] == videos[:2]


def test_views_of_two_shapes_are_in_no_batch_together(manifest: Manifest, videos: list[VideoViews]) -> None:
    longer = ViewDataset(manifest, protocol("all-frames-64", PREPROCESSING))[0]
    model = WeighedFrames()
    found = list(scorer_of(model, 100).run([*videos[:2], longer, videos[2]]))
    assert [result.video for result in found] == [*videos[:2], longer, videos[2]]
    assert model.batches == [12, 1, 6]
    queue = ViewQueue()
    queue.add(videos[0])
    with pytest.raises(AssertionError, match="two shapes"):
        queue.add(longer)


def test_a_smaller_batch_is_kept_for_the_next_videos(videos: list[VideoViews]) -> None:
    model = WeighedFrames(largest=2)
    scorer = scorer_of(model, 4)
    first, second = (list(scorer.run(videos[:2])) for _ in range(2))
    assert model.batches == [4, *[2] * 6, *[2] * 6]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)


def test_a_model_works_in_evaluation_mode_and_returns_to_its_own(videos: list[VideoViews]) -> None:
    model = WeighedFrames().train()
    results = scorer_of(model, 6).run(videos)
    next(results)
    assert not model.norm.training
    results.close()  # whoever has seen enough
    assert model.training
    assert model.norm.training


def test_logits_are_checked_where_a_number_of_classes_is_given(videos: list[VideoViews]) -> None:
    with pytest.raises(UserError, match=r"weighed-frames answers clips .* with \(6, 3\); wanted .* \(6, 5\)"):
        list(scorer_of(WeighedFrames(), 6, num_classes=5).run(videos))


def test_batches_fit_a_budget() -> None:
    cpu = torch.device("cpu")
    small, large = views_that_fit(4 * 32 * 32 * 3, cpu), views_that_fit(64 * 256 * 256 * 3, cpu)
    assert small > 80
    assert 1 <= large < 4
    assert views_that_fit(10**12, cpu) == 1
