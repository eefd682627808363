"""mmaction2's TSN and TSM: the networks and their keys."""

from __future__ import annotations

import re
from typing import Final

from kinema.models.action_model import ActionModel
from kinema.models.temporal.tsm import Shift
from kinema.weights.importing.family import Family, Network
from kinema.weights.importing.inputs import IMAGENET_8
from kinema.weights.importing.tsm import SHIFT_FRACTION


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


MMACTION2: Final = Family(
    name="mmaction2",
    source="open-mmlab/mmaction2",
    citation="mmaction2, Apache-2.0",
    networks=tuple(
        Network(
            model=f"{module}-resnet{depth}",
            keys=foreign_keys,
            preprocessing=IMAGENET_8,
            assumed=SHIFT_FRACTION if module == "tsm" else {},
        )
        for module in ("tsn", "tsm")
        for depth in (50, 101, "*")
    ),
    ignored={r"data_preprocessor\..*": "mean and deviation, which are known"},
    refused={
        r"backbone\..*\.conv_s\..*": "its R(2+1)D-34 has a stem of 83 channels, one more max-pool and factorised "
        "shortcuts (63,759,281 parameters); the R(2+1)D paper's, r2plus1d-vresnet34, has none of these",
        r"backbone\.(slow|fast)_path\..*": "its SlowFast has no norm behind the lateral convolutions; "
        "import PySlowFast's or pytorchvideo's weights",
        r"backbone\.conv1\.conv\.weight \(\d+, \d+, [35], 7, 7\)": "its I3D-50 inflates 1 x 1 convolutions of every "
        "second block and pools time; i3d-resnet50 inflates the 3 x 3 ones",
    },
)
