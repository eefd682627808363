"""Auxiliary heads: their losses count in training, and nobody else notices them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from kinema import build_model, load
from kinema.data.manifest import Manifest
from kinema.models.action_model import TrainingScores
from kinema.specs.recipe import Recipe
from kinema.training.objective import Mixture, Objective
from kinema.training.run import train

WITH = {"aux": True}


def test_their_losses_count_three_tenths() -> None:
    torch.manual_seed(0)
    logits, first, second = torch.randn(3, 6, 4).unbind()
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    plain = Mixture(torch.zeros(6, 1), labels, labels, 1.0)
    head, *sides = [functional.cross_entropy(given, labels, reduction="sum") for given in (logits, first, second)]
    found = Objective()(TrainingScores(logits, (first, second)), plain)
    torch.testing.assert_close(found, head + 0.3 * sides[0] + 0.3 * sides[1])
    torch.testing.assert_close(Objective()(TrainingScores(logits), plain), head)


def test_one_step_moves_all_three_heads() -> None:
    """The step of the auxiliary heads is 0.3 of what their own losses would make; without the option there are none."""
    torch.manual_seed(0)
    model = build_model("tsn-googlenet", num_classes=4, dropout=0.0, options=WITH).train()
    for name in ("aux1", "aux2"):
        model.get_submodule(name).register_forward_pre_hook(lambda part, _: part.eval() and None)  # no dropout
    clips, labels = torch.randn(2, 3, 2, 64, 64), torch.tensor([1, 3])
    scores = model(clips)
    assert isinstance(scores, TrainingScores)
    assert [given.shape for given in (scores.logits, *scores.auxiliary)] == [(2, 4)] * 3
    Objective()(scores, Mixture(clips, labels, labels, 1.0)).backward()
    found = {key: parameter.grad.clone() for key, parameter in model.named_parameters()}
    assert all(gradient.abs().max() > 0 for gradient in found.values())

    model.zero_grad()
    functional.cross_entropy(model(clips).auxiliary[1], labels, reduction="sum").backward()
    torch.testing.assert_close(found["aux2.fc2.weight"], 0.3 * model.get_parameter("aux2.fc2.weight").grad)
    assert model.get_parameter("aux1.fc2.weight").grad is None
    plain = build_model("tsn-googlenet", num_classes=4).train()
    assert isinstance(plain(clips), torch.Tensor)
    assert not any(key.startswith("aux") for key in plain.state_dict())


@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_with_them_is_evaluated_without(
    devices: int, shapes: Manifest, tiny_recipe: Recipe, run_folder: Path
) -> None:
    few = shapes.select(indices=[row for row, record in enumerate(shapes) if record.split == "train"][:4])
    changes = {"model": "tsn-googlenet", "train.batch_size": 4, "train.validate_on": "none", "schedule.epochs": 1}
    recipe = tiny_recipe.with_fields({**changes, "data.frames": 2, "options": WITH})
    result = train(data=few, recipe=recipe, out=run_folder, device="cpu", devices=devices, quiet=True)
    expected = 1.6 * np.log(len(few.classes))  # three heads that know nothing yet
    assert result.history[0]["train_loss"] == pytest.approx(expected, rel=0.25)
    with_heads = load(run_folder).model
    without = build_model("tsn-googlenet", num_classes=len(few.classes), weights=run_folder / "best.ckpt").eval()
    assert "aux1.fc2.weight" in with_heads.state_dict()
    assert "aux1.fc2.weight" not in without.state_dict()
    clip = torch.randn(1, 3, 2, 32, 32)
    with torch.inference_mode():
        assert torch.equal(without(clip), with_heads(clip))
