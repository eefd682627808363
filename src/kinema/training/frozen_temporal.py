"""The temporal module's parts inside frozen stages: whether they learn, and what a run is told about them.

Freezing the first stages keeps features of images. A temporal part that starts as the identity (the taps of TAM, a
non-local block, a temporal convolution) has nothing to keep: frozen it would stay the identity for ever, and the stage
blind to time. The model's option ``train_temporal`` says whether such parts learn; a recipe without it freezes them, as
all runs did before the option was there. A new run that does not say gets it where parts start as the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from kinema.models.temporal.tsm import Shift
from kinema.weights.inflate import added_modules

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel
    from kinema.specs.recipe import Recipe

OPTION = "train_temporal"
_TRIAL_SIZE = 64
_TOLERANCE = 0.01
"""Of the largest value; a fresh batch norm behind an identity divides by the root of 1 + eps."""


def frozen_modules(model: ActionModel, recipe: Recipe) -> list[nn.Module]:
    """Every module inside the stages that ``optim.frozen_stages`` freezes."""
    stages = model.stage_names()[: recipe.optim.frozen_stages]
    return [module for stage in stages for module in model.stage(stage).modules()]


def learning_parts(model: ActionModel, recipe: Recipe) -> list[nn.Module]:
    """Temporal parts inside frozen stages that learn all the same."""
    if recipe.optim.linear_probe or not model.options.get(OPTION):
        return []
    return list(_frozen_parts(model, recipe).values())


def with_choice(
    model: ActionModel, recipe: Recipe, *, is_new: bool, note: Callable[[str], None] = lambda text: None
) -> Recipe:
    """Decide whether temporal parts of frozen stages learn, and write the decision into the model and the recipe.

    Args:
        model: With its initial weights.
        recipe: As the user gave it, or as an earlier run left it.
        is_new: Whether the run begins; one that goes on keeps what it was.
        note: Called with what a new run should say of temporal parts in frozen stages.
    """
    if recipe.optim.linear_probe or not recipe.optim.frozen_stages:
        return recipe
    parts = _frozen_parts(model, recipe)
    if is_new and OPTION not in model.options and parts and _start_as_identity(model, recipe, parts):
        model.options[OPTION] = True
    if OPTION in model.options:
        recipe = replace(recipe, options={**recipe.options, OPTION: model.options[OPTION]})
    for text in _notes(model, recipe, parts) if is_new else ():
        note(text)
    return recipe


def _frozen_parts(model: ActionModel, recipe: Recipe) -> dict[str, nn.Module]:
    inside = {id(module) for module in frozen_modules(model, recipe)}
    return {name: part for name, part in added_modules(model).items() if id(part) in inside}


def _start_as_identity(model: ActionModel, recipe: Recipe, parts: dict[str, nn.Module]) -> bool:
    """Whether one of the parts gives back what it is given, on a clip of noise."""
    found: list[bool] = []

    def compare(_: nn.Module, given: tuple[torch.Tensor, ...], answer: torch.Tensor) -> None:
        kept = kept_inputs.pop()
        same = answer.shape == kept.shape and (answer - kept).abs().max() <= _TOLERANCE * kept.abs().max()
        found.append(bool(same))

    def keep(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        kept_inputs.append(given[0].clone())

    kept_inputs: list[torch.Tensor] = []
    hooks = [part.register_forward_pre_hook(keep) for part in parts.values()]
    hooks += [part.register_forward_hook(compare) for part in parts.values()]
    noise, was_training = torch.Generator().manual_seed(0), model.training
    num_frames = model.num_frames or min(recipe.data.frames, 8)
    clip = torch.randn(1, model.in_channels, num_frames, _TRIAL_SIZE, _TRIAL_SIZE, generator=noise)
    try:
        with torch.inference_mode():
            model.eval()(clip)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return any(found)


def _notes(model: ActionModel, recipe: Recipe, parts: dict[str, nn.Module]) -> list[str]:
    stages = ", ".join(model.stage_names()[: recipe.optim.frozen_stages])
    notes = []
    if parts:
        count = sum(parameter.numel() for part in parts.values() for parameter in part.parameters())
        learns = bool(model.options.get(OPTION))
        how = "learn all the same, so gradients pass the frozen layers" if learns else "are frozen too"
        notes.append(
            f"frozen stages ({stages}): their {len(parts)} temporal parts, {count:,} parameters, {how}; "
            f"--options '{{\"{OPTION}\": {'false' if learns else 'true'}}}' {'freezes' if learns else 'trains'} them"
        )
    own = {id(module) for part in parts.values() for module in part.modules()}
    rest = [module for module in frozen_modules(model, recipe) if id(module) not in own]
    if any(isinstance(module, nn.Conv3d) and module.kernel_size[0] > 1 for module in rest):
        notes.append(f"frozen stages ({stages}): their kernels over time stay as they start")
    if any(isinstance(module, Shift) for module in rest):
        notes.append(f"frozen stages ({stages}): features are shifted in time there, and nothing in them adapts to it")
    return notes
