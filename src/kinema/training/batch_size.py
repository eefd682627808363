"""A recipe with another batch than its own, and the learning rate that goes with it."""

from __future__ import annotations

from kinema.errors import UserError
from kinema.specs.recipe import Recipe


def check_batch(batch: int | str | None) -> None:
    """Refuse what is neither a number of clips nor ``auto``; None and an empty text mean the recipe's own batch.

    Raises:
        UserError: It is something else.
    """
    if batch not in (None, "", "auto") and not str(batch).isdigit():
        raise UserError(f"batch is {batch!r}; give a number of clips or 'auto'")


def with_batch(recipe: Recipe, batch_size: int, *, keep_lr: bool = False) -> Recipe:
    """Return the recipe with another batch.

    The rate changes in proportion to the batch for SGD ("Accurate, Large Minibatch SGD", arXiv:1706.02677) and with its
    square root for AdamW, whose steps do not shrink with the noise of the gradient.

    Args:
        recipe: Names the batch that its rate is meant for.
        batch_size: Clips of one step over all devices.
        keep_lr: Leave the rate as it is.

    Raises:
        UserError: The batch is not at least 1.
    """
    changes: dict[str, object] = {"train.batch_size": batch_size}
    growth = batch_size / recipe.train.batch_size
    if growth > 0 and not keep_lr:
        changes["optim.lr"] = recipe.optim.lr * (growth if recipe.optim.optimizer == "sgd" else growth**0.5)
    return recipe.with_fields(changes)


def batch_note(before: Recipe, after: Recipe) -> str:
    """Say in one line what ``with_batch`` has changed; empty when the batch is the recipe's own."""
    if before.train.batch_size == after.train.batch_size:
        return ""
    note = f"batch {after.train.batch_size} (the recipe has {before.train.batch_size}), learning rate "
    if before.optim.lr == after.optim.lr:
        return f"{note}{after.optim.lr:.3g} as given"
    rule = "in proportion" if after.optim.optimizer == "sgd" else "with the root of the batch, for adamw"
    return f"{note}{after.optim.lr:.3g} (the recipe has {before.optim.lr:.3g}; scaled {rule}, --optim.lr sets another)"
