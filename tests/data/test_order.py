"""The endless order: pass after pass without a gap, in full batches, the same from wherever it is entered."""

from itertools import product

import numpy as np
import pytest

from kinema.data.order import ClipKey, EndlessOrder, EpochOrder, count_repeats, one_pass
from kinema.errors import UserError

SIZES = list(product(range(1, 8), range(1, 7)))
"""Every pair of a few videos and a small batch, larger batches than sets among them."""


def steps_of(num_samples: int, batch_size: int, **changes) -> list[list[ClipKey]]:
    return list(EndlessOrder(num_samples, batch_size=batch_size, **{"seed": 3, "num_steps": 12} | changes))


@pytest.mark.parametrize(("num_samples", "batch_size"), SIZES)
def test_every_pass_has_every_video_once(num_samples: int, batch_size: int) -> None:
    steps = steps_of(num_samples, batch_size)
    assert [len(step) for step in steps] == [batch_size] * 12
    clips = [clip for step in steps for clip in step]
    assert [key.epoch for key in clips] == [place // num_samples for place in range(len(clips))]
    for number in range(len(clips) // num_samples):
        of_pass = [key.row for key in clips[number * num_samples : (number + 1) * num_samples]]
        assert of_pass == one_pass(num_samples, seed=3, number=number).tolist()
        assert sorted(of_pass) == list(range(num_samples))


@pytest.mark.parametrize(("num_samples", "batch_size"), SIZES)
def test_it_goes_on_from_any_step(num_samples: int, batch_size: int) -> None:
    whole = steps_of(num_samples, batch_size)
    for start in range(13):
        rest = EndlessOrder(num_samples, batch_size=batch_size, seed=3, num_steps=12, start_step=start)
        assert list(rest) == whole[start:]
        assert len(rest) == 12 - start


@pytest.mark.parametrize(("num_samples", "batch_size"), SIZES)
def test_processes_share_each_batch(num_samples: int, batch_size: int) -> None:
    whole = steps_of(num_samples, batch_size)
    for world in range(1, batch_size + 1):
        parts = [steps_of(num_samples, batch_size, rank=rank, world=world) for rank in range(world)]
        for step, batch in enumerate(whole):
            shares = [part[step] for part in parts]
            assert sorted(clip for share in shares for clip in share) == sorted(batch)
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
            assert min(map(len, shares)) > 0


def test_passes_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(one_pass(9, seed=seed, number=number)) for seed in range(4) for number in range(4)}
    assert len(orders) == 16


def test_weights_draw_within_each_pass() -> None:
    weights = np.array([0.0, 3.0, 0.0, 1.0])
    drawn = [key.row for step in steps_of(4, 5, num_steps=400, weights=weights) for key in step]
    counts = np.bincount(drawn, minlength=4) / len(drawn)
    assert counts == pytest.approx([0, 0.75, 0, 0.25], abs=0.03)


def test_repeats_are_counted_in_the_order_of_the_pass() -> None:
    assert count_repeats(np.array([4, 2, 4, 4, 0, 2])).tolist() == [0, 0, 1, 2, 0, 1]
    assert count_repeats(np.arange(5)[::-1]).tolist() == [0] * 5


@pytest.mark.parametrize("order", [EpochOrder, EndlessOrder])
@pytest.mark.parametrize("batch_size", [3, 5])
def test_no_clip_comes_twice_even_where_videos_do(order: type[EpochOrder | EndlessOrder], batch_size: int) -> None:
    """Nine of ten clips are of one video; wherever the order is entered and on any process the keys are the same."""
    weights = np.array([1.0] * 9 + [81.0])
    own = {"epoch": 2} if order is EpochOrder else {"num_steps": 10 // batch_size + 3}

    def steps(**changes) -> list[list[ClipKey]]:
        return list(order(10, batch_size=batch_size, seed=1, weights=weights, **own, **changes))

    whole = steps()
    keys = [key for step in whole for key in step]
    assert len(set(keys)) == len(keys)
    assert max(key.repeat for key in keys) > 5
    assert steps(start_step=2) == whole[2:]
    for rank in range(2):
        assert steps(rank=rank, world=2) == [step[rank::2] or step[:1] for step in whole]


def test_what_cannot_be_dealt_out_is_refused() -> None:
    with pytest.raises(UserError, match="9 videos in batches of 2 cannot be dealt out to 3"):
        EndlessOrder(9, batch_size=2, seed=0, num_steps=1, world=3)
    with pytest.raises(UserError, match="one weight"):
        EndlessOrder(9, batch_size=2, seed=0, num_steps=1, weights=np.ones(4))
