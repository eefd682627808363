"""The keys of mmaction2's TSN and TSM."""

from __future__ import annotations

import re

from kinema.models.action_model import ActionModel
from kinema.models.temporal.tsm import Shift


def foreign_keys(model: ActionModel) -> dict[str, str]:
    """The key of every tensor of the model in mmaction2's files.

    Every convolution and its norm are one ``conv``/``bn`` pair there, and one behind a shift is wrapped as ``net``.

    Args:
        model: tsn or tsm on a ResNet.
    """
    shifted = {name.rpartition(".")[0] for name, part in model.named_modules() if isinstance(part, Shift)}
    heads = {key: f"cls_head.fc_cls.{key.rpartition('.')[2]}" for key in model.classifier_keys()}
    return {key: heads.get(key) or f"backbone.{_body_key(key, shifted)}" for key in model.state_dict()}


def _body_key(key: str, shifted: set[str]) -> str:
    owner, _, last = key.rpartition(".")
    block = re.match(r"layer\d\.\d+", key)
    if block is not None and block[0] in shifted and owner == f"{block[0]}.conv1":
        return f"{owner}.conv.net.{last}"
    owner = re.sub(r"bn(\d)$", r"conv\1.bn", owner)
    owner = re.sub(r"conv(\d)$", r"conv\1.conv", owner)
    owner = re.sub(r"downsample\.0$", "downsample.conv", owner)
    owner = re.sub(r"downsample\.1$", "downsample.bn", owner)
    return f"{owner}.{last}"
