"""The temporal shift module's zoo (arXiv 1811.08383): its networks and their keys."""

from __future__ import annotations

import re
from typing import Final

from torch import Tensor

from kinema.models.action_model import ActionModel
from kinema.models.temporal.nonlocal_block import NonLocalBlock
from kinema.models.temporal.tsm import Shift
from kinema.weights.importing.family import Family, Network
from kinema.weights.importing.inputs import IMAGENET_8

NL_BLOCKS: Final = ("layer2.0", "layer2.2", "layer3.0", "layer3.2", "layer3.4")
"""The blocks of ResNet-50 that a non-local block follows in the zoo."""

_NON_LOCAL: Final = {"theta": "theta", "phi": "phi.0", "g": "g.0", "out": "W.0", "norm": "W.1"}


def foreign_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in the zoo's files, ``module.`` taken off.

    There a convolution behind a shift is wrapped as ``net``, and a block before a non-local block as ``block``.

    Args:
        model: tsn, tsm or tsm+nl on a ResNet, or tsn or tsm on mobilenetv2.
    """
    heads = {key: f"new_fc.{key.rpartition('.')[2]}" for key in model.classifier_keys()}
    parts = dict(model.named_modules())
    shifted = {name.rpartition(".")[0] for name, part in parts.items() if isinstance(part, Shift)}
    followed = {name.rpartition(".")[0] for name, part in parts.items() if isinstance(part, NonLocalBlock)}
    return {
        key: heads[key] if key in heads else f"base_model.{_body_key(key, shifted, followed)}"
        for key in model.state_dict()
    }


def _body_key(key: str, shifted: set[str], followed: set[str]) -> str:
    block = re.match(r"layer\d\.\d+|features\.\d+", key)
    if block is None:
        return key
    name, rest = block[0], key[block.end() + 1 :]
    if rest.startswith("after."):
        _, part, last = rest.split(".")
        return f"{name}.nl.{_NON_LOCAL[part]}.{last}"
    if rest.startswith("conv."):
        rest = _flat(rest, key)
    if name in shifted and rest in ("conv1.weight", "conv.0.weight"):
        rest = rest.replace(".weight", ".net.weight")
    return f"{name}.block.{rest}" if name in followed else f"{name}.{rest}"


def _flat(rest: str, key: str) -> str:
    """MobileNet's steps of convolution, norm and activation, numbered through where torchvision nests them."""
    _, step, *more = rest.split(".")
    num_steps = 1 if key.startswith("features.1.") else 2  # the first block does not widen
    if len(more) > 1:
        return f"conv.{3 * int(step) + int(more[0])}.{more[1]}"
    return f"conv.{3 * num_steps + int(step) - num_steps}.{more[0]}"


def current_key(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """A tensor under its present name: older MobileNet files call the head ``classifier``."""
    return re.sub(r"^base_model\.classifier\.(weight|bias)$", r"new_fc.\1", key), tensor


SHIFT_FRACTION: Final = {
    "shift_div": "8, an eighth of the channels comes from the next frame, an eighth from the one before"
}
"""What the tensors of a shifted network do not show."""

TSM: Final = Family(
    name="tsm",
    source="mit-han-lab/temporal-shift-module",
    citation="arXiv 1811.08383, MIT",
    networks=(
        *(
            Network(
                model=f"{module}-{backbone}",
                keys=foreign_keys,
                preprocessing=IMAGENET_8,
                assumed=SHIFT_FRACTION if module == "tsm" else {},
            )
            for module in ("tsn", "tsm")
            for backbone in ("resnet50", "resnet101", "mobilenetv2")
        ),
        Network(
            model="tsm+nl-resnet50",
            keys=foreign_keys,
            preprocessing=IMAGENET_8,
            options={"nl_blocks": list(NL_BLOCKS)},
            assumed=SHIFT_FRACTION,
        ),
    ),
    flow=(0.5, 0.226),
    prepare=current_key,
)
