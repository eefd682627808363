"""Another batch than the recipe's brings its learning rate along, and says so."""

import pytest

from kinema.errors import UserError
from kinema.specs.recipe import OptimSpec, Recipe, TrainSpec
from kinema.training.batch_size import batch_note, check_batch, with_batch


def recipe_of(optimizer: str) -> Recipe:
    return Recipe(name="x", optim=OptimSpec(optimizer=optimizer, lr=0.1), train=TrainSpec(batch_size=16))


@pytest.mark.parametrize(
    ("optimizer", "batch", "rate"), [("sgd", 64, 0.4), ("sgd", 4, 0.025), ("adamw", 64, 0.2), ("sgd", 16, 0.1)]
)
def test_the_rate_follows_the_batch(optimizer: str, batch: int, rate: float) -> None:
    changed = with_batch(recipe_of(optimizer), batch)
    assert changed.train.batch_size == batch
    assert changed.optim.lr == pytest.approx(rate)
    assert changed == recipe_of(optimizer).with_fields({"train.batch_size": batch, "optim.lr": changed.optim.lr})


def test_a_given_rate_is_kept() -> None:
    before = recipe_of("sgd")
    changed = with_batch(before, 64, keep_lr=True)
    assert changed.optim.lr == 0.1
    assert batch_note(before, changed) == "batch 64 (the recipe has 16), learning rate 0.1 as given"


def test_the_note_says_what_was_done() -> None:
    before = recipe_of("sgd")
    note = batch_note(before, with_batch(before, 64))
    assert note.startswith("batch 64 (the recipe has 16), learning rate 0.4 (the recipe has 0.1; scaled in proportion")
    assert "\n" not in note
    assert batch_note(before, with_batch(before, 16)) == ""
    assert "root of the batch" in batch_note(recipe_of("adamw"), with_batch(recipe_of("adamw"), 64))


def test_impossible_batches() -> None:
    with pytest.raises(UserError, match=r"train\.batch_size is 0"):
        with_batch(recipe_of("sgd"), 0)
    for batch in ("many", "-3", "1.5"):
        with pytest.raises(UserError, match="give a number of clips or 'auto'"):
            check_batch(batch)
    for allowed in (None, "", "auto", "8", 8):
        check_batch(allowed)
