"""Which parameters learn, at which rate, and the optimiser over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from kinema.compute.optimizers import SGD, AdamW
from kinema.errors import UserError
from kinema.specs.recipe import OptimSpec, Recipe
from kinema.training.frozen_temporal import learning_parts

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.GroupNorm, nn.LayerNorm)


def freeze(model: ActionModel, recipe: Recipe) -> None:
    """Take from training what the recipe freezes: the first stages, all but the head, or the normalisation.

    Temporal parts inside frozen stages learn where the model's option says so, see ``training.frozen_temporal``.

    Raises:
        UserError: When more stages are to be frozen than the model has.
    """
    for part in frozen_parts(model, recipe):
        part.requires_grad_(False)
    for part in learning_parts(model, recipe):
        for module in part.modules():
            module.requires_grad_(not (recipe.train.frozen_bn and isinstance(module, NORMS)))
    if recipe.optim.linear_probe:
        model.requires_grad_(False)
        for parameter in model.head_parameters():
            parameter.requires_grad_(True)


def training_mode(model: ActionModel, recipe: Recipe) -> None:
    """Put the model into training mode, except that frozen parts keep their running statistics."""
    model.train()
    for part in frozen_parts(model, recipe):
        part.eval()
    for part in learning_parts(model, recipe):
        for module in part.modules():
            module.training = not (recipe.train.frozen_bn and isinstance(module, NORMS))


def frozen_parts(model: ActionModel, recipe: Recipe) -> Iterator[nn.Module]:
    """Go through the modules that the recipe freezes; the parameters of a linear probe's head are never among them."""
    names = model.stage_names()
    count = len(names) if recipe.optim.linear_probe else recipe.optim.frozen_stages
    if count > len(names):
        raise UserError(f"optim.frozen_stages is {count}, but {model.name} has {len(names)} stages: {', '.join(names)}")
    yield from (model.stage(name) for name in names[:count])
    if recipe.train.frozen_bn or recipe.optim.linear_probe:
        yield from (module for module in model.modules() if isinstance(module, NORMS))


def parameter_groups(model: ActionModel, optim: OptimSpec) -> list[dict[str, Any]]:
    """Sort the trainable parameters by learning rate and weight decay.

    Returns:
        Up to four groups (base and head, decayed and spared), each with its ``peak_lr``. A tensor of one dimension is
        a bias or belongs to a normalisation; it is spared unless ``optim.decay_all``.
    """
    in_head = {id(parameter) for parameter in model.head_parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decayed = optim.decay_all or parameter.ndim > 1
            groups.setdefault((id(parameter) in in_head, decayed), []).append(parameter)
    if not groups:
        raise UserError("the recipe freezes every parameter; nothing is left to train")
    result = []
    for (head, decayed), parameters in sorted(groups.items(), key=lambda item: item[0]):
        rate = optim.lr * (optim.head_lr_scale if head else optim.base_lr_scale)
        decay = optim.weight_decay if decayed else 0.0
        result.append({"params": parameters, "lr": rate, "peak_lr": rate, "weight_decay": decay})
    return result


def build_optimizer(model: ActionModel, optim: OptimSpec) -> torch.optim.Optimizer:
    """Make the recipe's optimiser over ``parameter_groups``."""
    groups = parameter_groups(model, optim)
    if optim.optimizer == "adamw":
        return AdamW(groups, lr=optim.lr, betas=(optim.momentum, 0.999))
    return SGD(groups, lr=optim.lr, momentum=optim.momentum, nesterov=optim.nesterov)


def set_rate(optimizer: torch.optim.Optimizer, scale: float) -> None:
    """Set every group to ``scale`` times its peak rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * scale
