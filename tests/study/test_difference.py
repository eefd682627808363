"""Paired tests of models: by hand, against other programs' figures, and on videos that come in groups."""

import itertools

import numpy as np
import pytest

from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable
from kinema.study.difference import differences, hits, holm, require_same_test

CLASSES = ("a", "b", "c")


def table(right: np.ndarray, **meta: object) -> ScoreTable:
    """Scores that are right where asked; videos are called v0, v1, …"""
    labels = np.arange(len(right)) % 3
    answers = np.where(right, labels, (labels + 1) % 3)
    ids = [f"v{number}" for number in range(len(right))]
    return ScoreTable(ids, np.eye(3)[answers], labels, "logits", CLASSES, meta=meta)


def right(num_both: int, num_first: int, num_second: int, num_none: int) -> tuple[np.ndarray, np.ndarray]:
    counts = (num_both, num_first, num_second, num_none)
    return tuple(np.repeat(np.array(flags, bool), counts) for flags in ([1, 1, 0, 0], [1, 0, 1, 0]))


def test_exact_mcnemar() -> None:
    first, second = right(num_both=30, num_first=12, num_second=3, num_none=5)
    (found,) = differences([hits("one", [table(first)]), hits("two", [table(second)])])
    tail = sum(__import__("math").comb(15, k) for k in range(4)) / 2**15
    assert found.p_value == pytest.approx(2 * tail)
    assert found.p_adjusted == found.p_value
    assert (found.test, found.num_videos, found.num_units) == ("exact McNemar", 50, 50)
    assert (found.only_first, found.only_second) == (12, 3)
    assert found.difference == pytest.approx(9 / 50)
    assert found.interval[0] < 9 / 50 < found.interval[1]


def test_equal_models_do_not_differ() -> None:
    first, _ = right(5, 5, 0, 2)
    for groups in (None, {"v0": "g", "v1": "g"}):
        (found,) = differences([hits("one", [table(first)]), hits("two", [table(first)])], groups=groups)
        assert (found.difference, found.p_value, found.interval) == (0.0, 1.0, (0.0, 0.0))


def test_sign_flips_by_hand() -> None:
    """Four groups with gains 2, 1, 1 and -1: eight of the 16 ways reach a sum of 3."""
    gains = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], bool)
    losses = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]], bool)
    groups = {f"v{3 * group + member}": f"g{group}" for group in range(4) for member in range(3)}
    values = [2, 1, 1, -1]
    reached = sum(abs(np.dot(signs, values)) >= 3 for signs in itertools.product((1, -1), repeat=4))
    models = [hits("one", [table(gains.ravel())]), hits("two", [table(losses.ravel())])]
    (found,) = differences(models, groups=groups)
    assert (found.test, found.num_units) == ("sign flips", 4)
    assert found.p_value == pytest.approx(reached / 16)


def test_groups_make_intervals_wider() -> None:
    """Twenty videos of each of ten groups fare alike, so there are ten facts and not two hundred."""
    rng = np.random.default_rng(3)
    first, second = (np.repeat(rng.random(10) < part, 20) for part in (0.9, 0.5))
    models = [hits("one", [table(first)]), hits("two", [table(second)])]
    groups = {f"v{number}": f"g{number // 20}" for number in range(200)}
    (alone,), (grouped,) = differences(models), differences(models, groups=groups)
    assert alone.difference == grouped.difference
    assert grouped.num_units == 10
    assert np.ptp(grouped.interval) > 3 * np.ptp(alone.interval)
    assert alone.p_value < 1e-6 < 0.01 < grouped.p_value


def test_tests_keep_their_promise() -> None:
    """Of comparisons between equal models about a twentieth is below 0.05, and intervals hold 0 about as often."""
    rng = np.random.default_rng(0)
    groups = {f"v{number}": f"g{number // 4}" for number in range(120)}
    alarms, inside, trials = 0, 0, 150
    for _ in range(trials):
        skill = np.repeat(rng.random(30), 4)  # groups are easy or hard
        pair = [hits(name, [table(rng.random(120) < skill)]) for name in ("one", "two")]
        (found,) = differences(pair, groups=groups, resamples=400)
        alarms += found.p_value < 0.05
        inside += found.interval[0] <= 0 <= found.interval[1]
    assert alarms / trials < 0.1
    assert inside / trials > 0.88


def test_seeds_are_averaged() -> None:
    first, second = right(30, 12, 3, 5)
    models = [hits("one", [table(first), table(second)]), hits("two", [table(second)])]
    assert models[0].accuracies == pytest.approx([42 / 50, 33 / 50])
    (found,) = differences(models)
    assert found.difference == pytest.approx(4.5 / 50)
    assert (found.only_first, found.only_second, found.test) == (6.0, 1.5, "sign flips")


def test_order_of_videos_does_not_matter() -> None:
    first, second = right(10, 6, 2, 4)
    shuffled = table(second).select(np.random.default_rng(0).permutation(22))
    plain = differences([hits("one", [table(first)]), hits("two", [table(second)])])
    assert differences([hits("one", [table(first)]), hits("two", [shuffled])]) == plain


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []


def test_pairs_are_corrected_for_their_number() -> None:
    rng = np.random.default_rng(1)
    models = [hits(name, [table(rng.random(80) < part)]) for name, part in (("x", 0.9), ("y", 0.6), ("z", 0.55))]
    found = differences(models)
    assert [(row.first, row.second) for row in found] == [("x", "y"), ("x", "z"), ("y", "z")]
    assert [row.p_adjusted for row in found] == pytest.approx(holm([row.p_value for row in found]))
    against = differences(models, against="y")
    assert [(row.first, row.second) for row in against] == [("x", "y"), ("z", "y")]
    assert against[1].difference == pytest.approx(-found[2].difference)


def test_what_is_refused() -> None:
    first, second = right(10, 6, 2, 4)
    one = hits("one", [table(first)])
    with pytest.raises(UserError, match="at least two models"):
        differences([one])
    with pytest.raises(UserError, match="a name of its own; given one, one"):
        differences([one, one])
    with pytest.raises(UserError, match=r"2 of one are missing in two \(v20, v21\)"):
        differences([one, hits("two", [table(second[:20])])])
    relabelled = ScoreTable(table(second).ids, np.eye(3)[[0] * 22], [0] * 22, "logits", CLASSES)
    with pytest.raises(UserError, match="14 videos have another class in two than in one, such as v1: a and b"):
        differences([one, hits("two", [relabelled])])
    with pytest.raises(UserError, match="confidence must be between 0 and 1; given 95"):
        differences([one, hits("two", [table(second)])], confidence=95)
    with pytest.raises(UserError, match="did you mean one"):
        differences([one, hits("two", [table(second)])], against="oen")
    unlabelled = ScoreTable(["v0"], np.eye(3)[[0]], [-1], "logits", CLASSES)
    with pytest.raises(UserError, match="no video has a label"):
        hits("two", [unlabelled])


def test_other_tests_are_not_compared() -> None:
    first, second = right(10, 6, 2, 4)
    models = {"one": [table(first, protocol="clip")], "two": [table(second, protocol="dense-10x1")]}
    with pytest.raises(UserError, match="one was tested with protocol 'clip', two with 'dense-10x1'"):
        require_same_test(models)
    require_same_test({"one": models["one"], "two": [table(second, protocol="clip")], "three": [table(second)]})
