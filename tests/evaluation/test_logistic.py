"""Logistic regression: the minimum that scikit-learn finds, and groups that cross-validation leaves whole."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from kinema.errors import UserError
from kinema.evaluation.logistic import (
    STRENGTHS,
    LogisticPath,
    best_trial,
    cross_validate,
    whole_group_folds,
)


def clusters(
    num_videos: int, num_features: int, num_classes: int, *, apart: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Features of unequal scale and far from zero, around a centre for each class; every class has videos."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num_videos) % num_classes
    centres = rng.normal(size=(num_classes, num_features)) * apart
    values = centres[labels] + rng.normal(size=(num_videos, num_features))
    return (values * 10.0 ** rng.uniform(-2, 2, num_features) + 50).astype(np.float32), labels


@pytest.mark.parametrize(
    ("num_videos", "num_features", "num_classes", "apart"),
    [(300, 12, 5, 0.3), (40, 100, 3, 0.5), (60, 20, 2, 2.0)],
    ids=["many videos", "many features", "separable"],
)
def test_minimum_is_that_of_scikit_learn(num_videos: int, num_features: int, num_classes: int, apart: float) -> None:
    features, labels = clusters(num_videos, num_features, num_classes, apart=apart)
    features = np.concatenate([features, np.full((num_videos, 1), 3.5, np.float32)], 1)  # one that never varies
    standardised = features[:, :-1].astype(np.float64)
    standardised = (standardised - standardised.mean(0)) / standardised.std(0)
    path = LogisticPath(features, labels, num_classes)
    for strength in (10.0, 0.3, 0.01):
        ours = path.fit(strength).scores(features)
        # two classes: scikit-learn has one row of weights, equal to the difference of ours, and half its penalty
        penalty = strength / 2 if num_classes == 2 else strength
        theirs = LogisticRegression(C=1 / (penalty * num_videos), tol=1e-9, max_iter=10_000).fit(standardised, labels)
        wanted = theirs.decision_function(standardised)
        if num_classes == 2:
            np.testing.assert_allclose(ours[:, 1] - ours[:, 0], wanted, rtol=1e-3, atol=1e-3)
        else:
            centred = ours - ours.mean(1, keepdims=True)
            np.testing.assert_allclose(centred, wanted - wanted.mean(1, keepdims=True), rtol=1e-3, atol=1e-3)


def test_order_of_strengths_does_not_matter() -> None:
    """A fit starts from the one before, and ends at the same place whatever that was."""
    features, labels = clusters(80, 30, 4, apart=0.4)
    down, alone = LogisticPath(features, labels, 4), LogisticPath(features, labels, 4)
    for strength in (100.0, 1.0, 0.1):
        last = down.fit(strength)
    np.testing.assert_allclose(last.scores(features), alone.fit(0.1).scores(features), atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_folds_keep_groups_whole_and_classes_spread(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 200)
    groups = [f"g{number}" for number in rng.integers(0, 40, 200)]  # which span classes
    folds = whole_group_folds(labels, groups, 5)
    assert set(folds.tolist()) == set(range(5))
    for group in set(groups):
        assert len({fold for fold, other in zip(folds.tolist(), groups, strict=True) if other == group}) == 1
    counts = np.array([np.bincount(labels[folds == fold], minlength=4) for fold in range(5)])
    assert counts.min() >= 4  # of some 10 each
    assert np.bincount(folds).max() <= 50


def test_every_video_without_group_is_a_group() -> None:
    labels = np.repeat([0, 1, 2], 10)
    folds = whole_group_folds(labels, [""] * 30, 5)
    for fold in range(5):
        assert np.bincount(labels[folds == fold], minlength=3).tolist() == [2, 2, 2]


def test_fewer_groups_than_folds() -> None:
    assert set(whole_group_folds(np.array([0, 1, 0, 1]), ["a", "a", "b", "b"], 5).tolist()) == {0, 1}


def test_copies_of_a_recording_do_not_judge_each_other() -> None:
    """Features tell recordings apart and nothing else: right on the copies, at chance on other recordings."""
    rng = np.random.default_rng(0)
    recordings = rng.normal(size=(30, 50))
    labels = np.repeat(rng.permutation(np.arange(30) % 3), 6)
    features = np.repeat(recordings, 6, axis=0) + 0.01 * rng.normal(size=(180, 50))
    groups = [f"g{number}" for number in np.repeat(np.arange(30), 6)]
    torn = best_trial(cross_validate(features, labels, [""] * 180))
    whole = best_trial(cross_validate(features, labels, groups))
    assert torn.top1 == 1.0
    assert whole.top1 < 0.6
    assert whole.strength > 100 * torn.strength


def test_strength_follows_the_data() -> None:
    """Noise wants a strong penalty, classes far apart a weak one; far weaker ones are not tried."""
    noise, labels = clusters(90, 40, 3, apart=0.0)
    clear, _ = clusters(90, 40, 3, apart=3.0)
    trials = cross_validate(noise, labels, [""] * 90)
    assert best_trial(trials).strength >= 3
    assert best_trial(trials).loss < 1.3  # the loss of knowing nothing is 1.1
    assert best_trial(cross_validate(clear, labels, [""] * 90)).strength < 0.1
    assert len(trials) < len(STRENGTHS)


def test_class_of_one_group_is_not_tried() -> None:
    features, labels = clusters(60, 10, 3, apart=3.0)
    groups = ["only" if label == 2 else "" for label in labels]
    trial = best_trial(cross_validate(features, labels, groups))
    assert trial.top1 == 1.0  # of the two other classes


def test_nothing_to_hold_out() -> None:
    features, labels = clusters(2, 10, 2, apart=3.0)
    with pytest.raises(UserError, match=r"no class has a second video or group .* or the strength, such as 0\.3"):
        cross_validate(features, labels, ["", ""])
