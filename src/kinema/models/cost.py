"""What a network costs: parameters and multiply-adds, counted as the deep analysis counts them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.models.build import build_network
from kinema.models.cost_table import Cost
from kinema.models.names import ModelName


def cost(
    model: str | ModelName | ActionModel, *, frames: int = 8, size: int = 224, num_classes: int | None = None
) -> Cost:
    """Count parameters and multiply-adds of one clip, without computing anything.

    Counted as in "Deep Analysis of CNN-based Spatio-temporal Representations for Action Recognition"
    (arXiv 2010.11757), whose papers' "FLOPs" these are: convolutions, TAM's taps (three per element), attention
    products and the layers of squeeze-and-excitation; not the classifier (with fc6 and fc7 where a network has them),
    biases, norms, pools and sums.

    Args:
        model: A name, or a model.
        frames: Frames of the clip.
        size: Height and width of the clip, in pixels.
        num_classes: Classes of the classifier; only where ``model`` is a name, 400 by default.

    Raises:
        UserError: The name is unknown, or a number is out of range.
    """
    if frames < 1 or size < 1:
        raise UserError(f"frames and size must be 1 or more, got {frames} and {size}")
    if isinstance(model, ActionModel):
        if num_classes is not None:
            raise UserError("num_classes goes with a name; a model has its own")
        counted = copy.deepcopy(model).to("meta")
    else:
        name = model if isinstance(model, ModelName) else ModelName.parse(model)
        options = name.needed_options(frames=frames)
        with torch.device("meta"):
            counted = build_network(name, num_classes=400 if num_classes is None else num_classes, options=options)
    return Cost(
        name=counted.name,
        parameters=sum(parameter.numel() for parameter in counted.parameters()),
        macs=_count_macs(counted, torch.empty(1, counted.in_channels, frames, size, size, device="meta")),
        temporal_stride=counted.temporal_stride,
        order_blind=counted.order_blind,
        frames=frames,
        size=size,
    )


def _count_macs(model: ActionModel, clip: Tensor) -> int:
    total = 0

    def conv_hook(conv: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        assert isinstance(conv, nn.Conv2d | nn.Conv3d)
        per_element = conv.weight.numel() // conv.out_channels
        total += out.numel() * per_element

    def own_hook(own_macs: Callable[[Tensor], int]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
            nonlocal total
            total += own_macs(given[0])

        return hook

    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            part.register_forward_hook(conv_hook)
        own_macs = getattr(part, "own_macs", None)
        if own_macs is not None:
            part.register_forward_hook(own_hook(cast("Callable[[Tensor], int]", own_macs)))
    with torch.no_grad():
        model.eval()(clip.to(next(model.parameters()).dtype))
    return total
