"""Networks that the user built are evaluated and asked as a checkpoint is; what does not fit says so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from trained_models import CLASSES, PREPROCESSING, WeighedFrames, transparent, write_videos

import kinema
from kinema import build_model
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.given import as_trained

HOW = {"protocol": "uniform-2x3", "split": "all", "num_workers": 0}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_videos(tmp_path_factory.mktemp("videos"))


def test_any_network_scores_as_its_checkpoint(videos: Manifest) -> None:
    expected = kinema.evaluate(transparent(), videos, **HOW)
    model = WeighedFrames()
    found = kinema.evaluate(model, videos, classes=CLASSES, preprocessing=PREPROCESSING, **HOW)
    assert np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.labels, expected.labels)
    assert found.classes == CLASSES
    assert model.training  # as it was given
    assert found.meta["model"] == "weighed-frames"


def test_classes_are_those_of_the_data_unless_given(videos: Manifest) -> None:
    found = kinema.evaluate(WeighedFrames(), videos, preprocessing=PREPROCESSING, **HOW)
    assert found.classes == videos.classes != CLASSES
    assert np.array_equal(found.labels, videos.labels)


def test_predictions_and_timelines(videos: Manifest) -> None:
    path = videos.root / videos[0].path
    given = {"classes": CLASSES, "preprocessing": PREPROCESSING}
    (expected,) = kinema.predict(transparent(), path)
    (found,) = kinema.predict(WeighedFrames(), path, **given)
    assert found.top == expected.top
    line = kinema.timeline(WeighedFrames(), path, window_sec=0.5, **given)
    assert np.array_equal(line.probabilities, kinema.timeline(transparent(), path, window_sec=0.5).probabilities)
    for ask in (
        lambda: kinema.predict(WeighedFrames(), path),
        lambda: kinema.timeline(WeighedFrames(), path, window_sec=1),
    ):
        with pytest.raises(UserError, match=r"classes=\[\.\.\.\] has to name the classes of weighed-frames"):
            ask()


def test_features(videos: Manifest) -> None:
    expected = kinema.features(transparent(), videos, num_workers=0)
    found = kinema.features(WeighedFrames(), videos, preprocessing=PREPROCESSING, num_workers=0)
    assert np.array_equal(found.features, expected.features)


def test_a_composed_model_in_two_processes(videos: Manifest) -> None:
    torch.manual_seed(0)
    model = build_model("tsm-resnettiny", num_classes=3)
    how = {**HOW, "preprocessing": PREPROCESSING, "device": "cpu"}
    one, two = (kinema.evaluate(model, videos, devices=n, **how) for n in (1, 2))
    np.testing.assert_allclose(one.scores, two.scores, rtol=1e-4, atol=1e-5)


class Scores(torch.nn.Module):
    """Answers what it is told to."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(clip), *self.shape)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda v: kinema.evaluate(Scores(5), v), r"Scores answers clips .* with \(\d, 5\); wanted .* \(\d, 3\)"),
        (lambda v: kinema.evaluate(Scores(3, 1), v), r"Scores answers clips .* with \(\d, 3, 1\)"),
        (lambda v: kinema.features(Scores(3), v), "networks with a method features.*; Scores has none"),
        (lambda v: kinema.evaluate(transparent(), v, classes=CLASSES), "a checkpoint brings its own"),
        (lambda v: kinema.evaluate("run", v, preprocessing=PREPROCESSING), "a checkpoint brings its own"),
        (lambda v: kinema.evaluate(build_model("tsm-resnettiny", num_classes=4), v, classes=CLASSES), "gives 4 logits"),
        (lambda v: kinema.evaluate(Scores(3), v, classes=("a", "a", "b")), "class names must differ"),
        (lambda v: kinema.evaluate(build_model("tsn-resnettiny", in_channels=2), v), "takes 2 channels: say by prepr"),
    ],
)
def test_refused(ask: object, message: str, videos: Manifest) -> None:
    with pytest.raises(UserError, match=message):
        ask(videos)


def test_features_of_another_shape(videos: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WeighedFrames, "features", lambda self, clip: clip.mean(dim=(3, 4)))
    with pytest.raises(UserError, match=r"weighed-frames.features answers \(\d, 3, 8\); wanted is features\(clip\)"):
        kinema.features(WeighedFrames(), videos, num_workers=0)


def test_a_network_that_began_with_image_weights_is_evaluated(videos: Manifest) -> None:
    """Its user may have trained it since."""
    model = build_model("tsn-efficientnetlite0", num_classes=3, weights="imagenet")
    few = videos.select(indices=[0, 1])
    table = kinema.evaluate(model, few, preprocessing=PREPROCESSING, split="all", num_workers=0)
    assert table.scores.shape == (2, 3)


def test_what_a_model_shows_by_default(tmp_path: Path) -> None:
    assert as_trained(build_model("tsm-resnettiny")).preprocessing == Preprocessing()
    assert as_trained(build_model("r2d-resnettiny", options={"frames": 4})).preprocessing.frames == 4
    image = as_trained(build_model("tsn-efficientnetlite0", weights="imagenet"))
    assert image.preprocessing == kinema.load("tsn-efficientnetlite0.imagenet").preprocessing
