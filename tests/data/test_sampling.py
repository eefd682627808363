"""Samplers against slow formulas written out here, worked numbers, and the properties that every sampler has."""

import math
from fractions import Fraction

import numpy as np
import pytest

from kinema.errors import UserError
from kinema.specs.data import DataSpec
from kinema.specs.sampling import All, Dense, RandomStarts, Steps, Uniform, make_sampler

COUNTS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 25, 31, 64, 100, 250, 299]
SAMPLERS = [
    Uniform(8),
    Uniform(8, per_segment=True),
    Uniform(7, views=10),
    Dense(8, stride=3),
    Dense(16, stride=2, views=10, strides=(1, 2, 2, 3)),
    RandomStarts(16, stride=2, views=5),
    Steps(),
    Steps(views=25, of_flow=True),
    All(),
    All(minimum=64),
]


def slow_uniform(n: int, f: int, views: int) -> list[list[int]]:
    """Facts, protocol uniform-MxC, in exact fractions: the offset is held inside half a segment."""
    if n < f:
        return [[int((x + Fraction(1, 2)) * Fraction(n, f)) for x in range(f)]] * views
    rows = []
    for o in range(-views // 2 + 1, views // 2 + 1):
        half = Fraction(n, f) / 2
        offset = max(-half, min(Fraction(o), half - Fraction(1, 10**6)))
        rows.append([math.floor(half + offset + x * Fraction(n, f)) for x in range(f)])
    return rows


@pytest.mark.parametrize("views", [1, 2, 3, 10])
@pytest.mark.parametrize("f", [1, 4, 7, 8, 25, 32])
def test_uniform_positions_are_the_written_out_formula(f: int, views: int) -> None:
    for n in [*COUNTS, f]:
        assert Uniform(f, views=views).sample(n).tolist() == slow_uniform(n, f, views)


@pytest.mark.parametrize(
    ("sampler", "n", "expected"),
    [
        (Uniform(4), 10, [[1, 3, 6, 8]]),
        (Uniform(4, views=2), 40, [[5, 15, 25, 35], [6, 16, 26, 36]]),
        (Uniform(4, views=3), 40, [[4, 14, 24, 34], [5, 15, 25, 35], [6, 16, 26, 36]]),
        (Uniform(4, views=5), 8, [[0, 2, 4, 6], [0, 2, 4, 6], [1, 3, 5, 7], [1, 3, 5, 7], [1, 3, 5, 7]]),
        (Uniform(4), 4, [[0, 1, 2, 3]]),
        (Uniform(4), 2, [[0, 0, 1, 1]]),
        (Uniform(3), 1, [[0, 0, 0]]),
        (Uniform(1), 9, [[4]]),
        (Dense(4, stride=2), 20, [[0, 2, 4, 6]]),
        (Dense(4, stride=2, views=3), 20, [[0, 2, 4, 6], [6, 8, 10, 12], [12, 14, 16, 18]]),
        (Dense(4, stride=2, views=2), 5, [[0, 2, 4, 1], [0, 2, 4, 1]]),
        (Dense(3, stride=1, views=4), 9, [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 8]]),
        (Steps(views=5), 100, [[0], [24], [48], [72], [96]]),
        (Steps(views=5, of_flow=True), 91, [[0], [18], [36], [54], [72]]),
        (Steps(views=4), 2, [[0], [0], [1], [1]]),
        (All(), 3, [[0, 1, 2]]),
        (All(minimum=7), 3, [[0, 1, 2, 0, 1, 2, 0]]),
    ],
)
def test_worked_numbers(sampler, n: int, expected: list[list[int]]) -> None:
    assert sampler.sample(n).tolist() == expected


@pytest.mark.parametrize("n", [60, 128, 300, 301])
def test_dense_views_are_evenly_spaced_starts_cut_to_whole_frames(n: int) -> None:
    span, views = max(0, n - 16 * 4), 10
    expected = [[(int(i * span / (views - 1)) + 4 * x) % n for x in range(16)] for i in range(views)]
    assert Dense(16, stride=4, views=views).sample(n).tolist() == expected


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
@pytest.mark.parametrize("drawn", [False, True])
def test_every_sampler_stays_inside_the_video(sampler, drawn: bool) -> None:
    rng = np.random.default_rng(0) if drawn else None
    for n in COUNTS:
        frames = sampler.sample(n, 25.0, rng)
        assert frames.dtype == np.int64
        assert frames.ndim == 2
        assert frames.min() >= 0
        assert frames.max() < n
    fixed = sampler.sample(100)
    np.testing.assert_array_equal(fixed, sampler.sample(100))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_a_video_without_frames_is_refused(sampler) -> None:
    with pytest.raises(UserError, match="0 frames"):
        sampler.sample(0)


def test_training_uniform_draws_one_offset_or_one_per_segment() -> None:
    n, f = 100, 8
    rng = np.random.default_rng(0)
    starts = np.array([x * n // f for x in range(f)])
    shared = np.array([Uniform(f).sample(n, rng=rng)[0] - starts for _ in range(300)])
    assert (shared == shared[:, :1]).all()
    assert set(shared[:, 0]) == set(range(n // f))
    own = np.array([Uniform(f, per_segment=True).sample(n, rng=rng)[0] - starts for _ in range(300)])
    assert not (own == own[:, :1]).all()
    assert set(own.ravel()) == set(range(n // f))


def test_training_uniform_reaches_the_end_of_videos_that_segments_do_not_divide() -> None:
    rng = np.random.default_rng(0)
    seen = {int(i) for _ in range(50) for i in Uniform(8).sample(15, rng=rng)[0]}
    assert max(seen) >= 13


def test_training_uniform_repeats_short_videos_like_testing() -> None:
    np.testing.assert_array_equal(Uniform(8).sample(3, rng=np.random.default_rng(0)), Uniform(8).sample(3))


def test_training_dense_starts_cover_the_video_and_no_more() -> None:
    rng = np.random.default_rng(0)
    clips = np.array([Dense(4, stride=3).sample(20, rng=rng)[0] for _ in range(300)])
    assert (np.diff(clips) == 3).all()
    assert set(clips[:, 0]) == set(range(20 - 12 + 1))


def test_training_dense_draws_strides_with_their_weights() -> None:
    rng = np.random.default_rng(0)
    strides = [int(np.diff(Dense(4, strides=(1, 2, 2, 3)).sample(99, rng=rng)[0])[0]) for _ in range(800)]
    shares = np.bincount(strides, minlength=4) / len(strides)
    np.testing.assert_allclose(shares, [0, 0.25, 0.5, 0.25], atol=0.06)


def test_random_starts_repeat_without_a_generator_and_depend_on_the_seed() -> None:
    first, again = RandomStarts(8, stride=2, views=10).sample(200), RandomStarts(8, stride=2, views=10).sample(200)
    np.testing.assert_array_equal(first, again)
    assert (first != RandomStarts(8, stride=2, views=10, seed=1).sample(200)).any()
    assert len(set(first[:, 0])) > 5
    assert first.max() <= 200 - 2


def test_make_sampler_reads_a_recipe() -> None:
    assert make_sampler(DataSpec(frames=4, per_segment=True)) == Uniform(4, per_segment=True)
    assert make_sampler(DataSpec(frames=4), views=3) == Uniform(4, views=3)
    spec = DataSpec(sampling="dense", frames=16, stride=2, strides=(1, 2, 2, 3))
    assert make_sampler(spec) == Dense(16, stride=2, strides=(1, 2, 2, 3))
    assert make_sampler(DataSpec(sampling="all", frames=64)) == All(minimum=64)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampling": "unifrom"}, "did you mean uniform"),
        ({"augmentation": "multiscale"}, "multi-scale"),
        ({"frames": 0}, "data.frames is 0"),
        ({"positions": 4}, "5 or 13"),
        ({"short_side": (320, 256)}, "smaller number first"),
        ({"short_side": (128, 160), "crop_size": 224}, "the crop would leave the frame"),
        ({"augmentation": "fixed", "resize": (128, 171)}, "smaller than data.crop_size"),
        ({"scales": (1.5,)}, "data.scales"),
        ({"color_jitter": (-1, 0, 0)}, "color_jitter"),
    ],
)
def test_impossible_data_parts_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataSpec(**fields)
