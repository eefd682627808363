"""The parts of a training step, each against an obvious computation: groups, freezing, loss, mixup, average."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from kinema import build_model
from kinema.errors import UserError
from kinema.specs.recipe import OptimSpec, Recipe
from kinema.training.assemble import with_synchronised_norms
from kinema.training.average import WeightAverage
from kinema.training.memory import automatic_batch, fits_in_memory, largest_fitting
from kinema.training.objective import Mixture, Objective, draw_blend
from kinema.training.parameters import build_optimizer, freeze, parameter_groups, set_rate, training_mode

BLANK = SimpleNamespace(blank_loss=lambda model, clips: model(clips).sum())
"""A task of which only the loss of blank clips is asked."""


def tiny_model() -> nn.Module:
    torch.manual_seed(0)
    return build_model("tsm-resnettiny", num_classes=4)


def recipe_with(**changes: object) -> Recipe:
    return Recipe(name="x").with_fields({name.replace("__", "."): value for name, value in changes.items()})


def test_groups_have_their_rates_and_decay() -> None:
    model = tiny_model()
    groups = parameter_groups(model, OptimSpec(lr=0.1, weight_decay=0.01, base_lr_scale=0.2, head_lr_scale=5))
    found = {id(p): (g["peak_lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(found) == len(list(model.parameters()))
    assert found[id(model.conv1.weight)] == (pytest.approx(0.02), 0.01)
    assert found[id(model.bn1.weight)] == (pytest.approx(0.02), 0.0)
    assert found[id(model.fc.weight)] == (pytest.approx(0.5), 0.01)
    assert found[id(model.fc.bias)] == (pytest.approx(0.5), 0.0)
    everything = parameter_groups(model, OptimSpec(decay_all=True, weight_decay=0.01))
    assert {group["weight_decay"] for group in everything} == {0.01}


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_optimizers_do_one_step_by_the_book(kind: str) -> None:
    """The first step from weight w with gradient g, worked out from the papers' formulas."""
    model = tiny_model()
    spec = OptimSpec(optimizer=kind, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=kind == "sgd")
    optimizer = build_optimizer(model, spec)
    set_rate(optimizer, 0.5)
    w, g = model.fc.weight.detach().clone(), torch.randn_like(model.fc.weight)
    model.fc.weight.grad = g.clone()
    optimizer.step()
    if kind == "sgd":
        expected = w - 0.05 * ((g + 0.01 * w) * (1 + 0.9))  # Nesterov: g + momentum * buffer, the buffer being g
    else:
        expected = w * (1 - 0.05 * 0.01) - 0.05 * g / (g.abs() + 1e-8)  # both moments, corrected for bias
    torch.testing.assert_close(model.fc.weight.detach(), expected)


def test_frozen_stages_keep_weights_and_statistics() -> None:
    model = tiny_model()
    recipe = recipe_with(optim__frozen_stages=2)
    freeze(model, recipe)
    training_mode(model, recipe)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = build_optimizer(model, recipe.optim)
    model(torch.randn(4, 3, 4, 32, 32)).square().sum().backward()
    optimizer.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    first, second = (model.stage(name) for name in model.stage_names()[:2])
    frozen = {id(p) for p in [*first.parameters(), *second.parameters(), *first.buffers(), *second.buffers()]}
    named = [*model.named_parameters(), *model.named_buffers()]
    assert {name for name, tensor in named if id(tensor) in frozen}.isdisjoint(changed)
    assert {name for name, tensor in named if id(tensor) not in frozen} == changed


def test_linear_probe_trains_the_head_alone() -> None:
    model = tiny_model()
    recipe = recipe_with(optim__linear_probe=True)
    freeze(model, recipe)
    training_mode(model, recipe)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"fc.weight", "fc.bias"}
    assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    assert model.fc.training  # dropout before the classifier stays on


def test_frozen_bn_trains_everything_else() -> None:
    model = tiny_model()
    recipe = recipe_with(train__frozen_bn=True)
    freeze(model, recipe)
    training_mode(model, recipe)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert not module.training
            assert not module.weight.requires_grad
    assert model.conv1.weight.requires_grad


def test_too_many_frozen_stages() -> None:
    with pytest.raises(UserError, match=r"optim.frozen_stages is 9, but tsm-resnettiny has \d stages: "):
        freeze(tiny_model(), recipe_with(optim__frozen_stages=9))


def test_loss_is_torch_cross_entropy() -> None:
    torch.manual_seed(1)
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    weights = torch.tensor([1.0, 2.0, 0.5, 0.5])
    plain = Mixture(torch.zeros(6, 1), labels, labels, 1.0)
    smoothed = (0.9 * functional.one_hot(labels, 4) + 0.1 / 4) * -logits.log_softmax(1)
    torch.testing.assert_close(Objective(label_smoothing=0.1)(logits, plain), smoothed.sum())
    weighted = -(logits.log_softmax(1)[torch.arange(6), labels] * weights[labels]).sum()
    torch.testing.assert_close(Objective(class_weights=weights)(logits, plain), weighted)


def test_mixup_blends_clips_and_loss_alike() -> None:
    """With a linear network, the loss of a blend is the blend of the cross-entropies of its two labels."""
    torch.manual_seed(2)
    clips, labels = torch.randn(5, 3, 2, 4, 4), torch.tensor([0, 1, 2, 3, 0])
    blend = draw_blend(5, alpha=0.5, rng=np.random.default_rng(3))
    assert blend is not None
    mixture = blend.mix(clips, labels, clips[blend.partners], labels[blend.partners])
    assert 0 < mixture.weight < 1
    partners = [next(j for j in range(5) if blend_of(clips, i, j, mixture.weight, mixture.clips[i])) for i in range(5)]
    assert sorted(partners) == list(range(5))
    assert mixture.partners.tolist() == labels[partners].tolist()
    logits = torch.randn(5, 4)
    target = mixture.weight * functional.one_hot(labels, 4) + (1 - mixture.weight) * functional.one_hot(
        mixture.partners, 4
    )
    torch.testing.assert_close(Objective()(logits, mixture), functional.cross_entropy(logits, target, reduction="sum"))


def blend_of(clips: torch.Tensor, i: int, j: int, share: float, blended: torch.Tensor) -> bool:
    return torch.allclose(share * clips[i] + (1 - share) * clips[j], blended, atol=1e-5)


def test_smoothing_class_weights_and_mixup_together() -> None:
    """Each of a blend's two labels is smoothed and weighed by itself, as torch defines it for a single label."""
    torch.manual_seed(4)
    logits, labels, weights = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([1.0, 2.0, 0.5, 0.5])
    blend = draw_blend(6, alpha=0.5, rng=np.random.default_rng(5))
    assert blend is not None
    mixture = blend.mix(torch.zeros(6, 1), labels, torch.zeros(6, 1), labels[blend.partners])
    targets = [0.9 * functional.one_hot(labels, 4) + 0.1 / 4 for labels in (mixture.labels, mixture.partners)]
    losses = [(target * weights * -logits.log_softmax(1)).sum() for target in targets]
    expected = mixture.weight * losses[0] + (1 - mixture.weight) * losses[1]
    torch.testing.assert_close(Objective(label_smoothing=0.1, class_weights=weights)(logits, mixture), expected)


def test_average_follows_the_formula() -> None:
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1))
    average = WeightAverage(model, decay=0.5)
    expected = model[0].weight.detach().clone()
    for step in range(12):
        with torch.no_grad():
            model[0].weight.fill_(float(step))
            model[1].running_mean.fill_(float(step))
        average.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    torch.testing.assert_close(average.weights["0.weight"], expected)
    assert average.weights["1.running_mean"].item() == 11
    with average.applied_to(model):
        torch.testing.assert_close(model[0].weight.detach(), expected)
    assert model[0].weight.detach().eq(11).all()


@pytest.mark.parametrize(("kind", "rate"), [("sgd", 0.4), ("adamw", 0.2)])
def test_automatic_batch_brings_its_rate(kind: str, rate: float) -> None:
    """A device that holds up to 40 clips gets the power of two below, 32 x 2 processes for a recipe of 16."""
    engine = SimpleNamespace(device=torch.device("cuda"), world=2, gather=lambda value: [value, value * 2])
    recipe = recipe_with(optim__optimizer=kind, optim__lr=0.1, train__accumulate=2)
    chosen = automatic_batch(engine, recipe, lambda num_clips: num_clips <= 40, epoch_clips=10_000)
    assert (chosen.train.batch_size, chosen.train.accumulate) == (64, 1)
    assert chosen.optim.lr == pytest.approx(rate)
    few = automatic_batch(engine, recipe, lambda num_clips: num_clips <= 40, epoch_clips=100)
    assert few.train.batch_size == 16  # 8 for each process: never more than a quarter of an epoch
    engine.device = torch.device("cpu")
    assert automatic_batch(engine, recipe, lambda num_clips: num_clips <= 40, epoch_clips=10_000) is recipe


def test_one_clip_that_does_not_fit() -> None:
    engine = SimpleNamespace(device=torch.device("cuda"), world=1, gather=lambda value: [value])
    with pytest.raises(UserError, match="not even one clip fits into memory"):
        automatic_batch(engine, Recipe(name="x"), lambda num_clips: False, epoch_clips=100)


def test_trying_a_batch_leaves_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither statistics nor modes nor gradients remember the blank clips, and those that fit are counted."""
    engine = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32)
    model = tiny_model()
    model.layer1.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    original = type(model).forward

    def small(self, clip):
        if len(clip) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, clip)

    monkeypatch.setattr(type(model), "forward", small)
    assert largest_fitting(partial(fits_in_memory, engine, BLANK, model, torch.Size([3, 2, 32, 32])), most=7) == 2
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())


def test_synchronised_norms_of_one_process_are_its_own() -> None:
    """A recipe with synchronised norms trains on one CPU; on several it cannot, and says what can be done."""
    model, recipe = tiny_model(), recipe_with(train__sync_bn=True)
    one, two = (SimpleNamespace(device=torch.device("cpu"), world=world) for world in (1, 2))
    assert with_synchronised_norms(model, recipe, one) is model
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    with pytest.raises(UserError, match=r"needs CUDA devices; .* cpu in 2 processes: .* --train\.sync_bn False"):
        with_synchronised_norms(model, recipe, two)


def test_synchronised_norms_keep_keys_and_answers() -> None:
    """What can be known without a GPU: conversion keeps state, answers, freezing, and that no norm is left alone."""
    model, clip = tiny_model(), torch.randn(2, 3, 4, 32, 32)
    recipe = recipe_with(train__sync_bn=True, optim__frozen_stages=1)
    keys, answer = list(model.state_dict()), model.eval()(clip)
    freeze(model, recipe)
    with_synchronised_norms(model, recipe, SimpleNamespace(device=torch.device("cuda"), world=2))
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert {type(norm) for norm in norms} == {nn.SyncBatchNorm}
    assert list(model.state_dict()) == keys
    torch.testing.assert_close(model.eval()(clip), answer)
    assert not model.bn1.weight.requires_grad
    training_mode(model, recipe)
    assert [norm.training for norm in norms] == [False] + [True] * (len(norms) - 1)
