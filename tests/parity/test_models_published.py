"""Our networks compute what the public code of the papers' authors computes, given the same tensors."""

import re
from pathlib import Path

import pytest
import torch
from published_networks import Reference, read_reference
from torch import Tensor, nn

from kinema.models.action_model import ActionModel
from kinema.models.build import build_model
from kinema.models.inflate import load_weights

RESNET50_NL = ["layer2.0", "layer2.2", "layer3.0", "layer3.2", "layer3.4"]
RENAMED = [
    (r"^base_model\.", ""),
    (r"^new_fc\.", "fc."),
    (r"\.net\.", "."),  # TSM wraps the convolution behind the shift
    (r"\.block\.", "."),  # and a block that is followed by a non-local block
    (r"\.nl\.(theta|phi|g)\.(0\.)?", r".after.\1."),
    (r"\.nl\.W\.0\.", ".after.out."),
    (r"\.nl\.W\.1\.", ".after.norm."),
    (r"\.conv(\d)_t\.", r".activated\1.conv."),
    (r"\.bn(\d)_t\.", r".activated\1.norm."),
    (r"\.conv_t\.", ".activated.conv."),
    (r"\.bn_t\.", ".activated.norm."),
    (r"^tam(\d)\.", r"mix\1."),
    (r"^tam(\d[a-e])\.", r"inception\1.mix."),
    (r"\.tam\.", ".mix."),
]


def ours(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under our keys; TAM's three depth-wise convolutions become one parameter."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        for pattern, replacement in RENAMED:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    for key in [key for key in renamed if key.endswith("curr_se.fc1.weight")]:
        stem = key.removesuffix("curr_se.fc1.weight")
        taps = [renamed.pop(f"{stem}{tap}_se.fc1.weight").flatten() for tap in ("prev", "curr", "next")]
        renamed[f"{stem}taps"] = torch.stack(taps)
    return renamed


def check(model: ActionModel, reference: Reference) -> None:
    load_weights(model, ours(reference.state))
    with torch.inference_mode():
        logits = model.double().eval()(reference.clip)[0]
    assert ((logits - reference.logits).abs().max() / reference.logits.abs().max()).item() < 1e-9


@pytest.mark.parametrize(
    ("network", "name", "options"),
    [
        ("ibm-i3d_resnet50", "i3d-resnet50", {}),
        ("ibm-i3d_resnet50-ts", "i3d-resnet50-tp", {}),
        ("ibm-i3d_resnet18", "i3d-resnet18", {}),
        ("ibm-i3d_resnet18-ts", "i3d-resnet18-tp", {}),
        ("ibm-s3d_resnet18", "s3d-resnet18", {}),
        ("ibm-tam_resnet50", "tam-resnet50", {}),
        ("ibm-tsn_resnet18-tp", "tsn-resnet18-tp", {}),
        ("ibm-tam_inception_v1", "tam-inceptionv1", {}),
        ("ibm-tam_inception_v1-ts", "tam-inceptionv1-tp", {}),
        ("tsm-tsn_resnet50", "tsn-resnet50", {}),
        ("tsm-resnet50-shift8_blockres", "tsm-resnet50", {}),
        ("tsm-resnet50-shift8_blockres_nl", "tsm+nl-resnet50", {"nl_blocks": RESNET50_NL}),
    ],
)
def test_public_code_agrees(shared_published: Path, network: str, name: str, options: dict[str, object]) -> None:
    check(build_model(name, options=options), read_reference(shared_published, network))


@pytest.mark.parametrize(
    ("network", "name", "last_pool"),
    [
        ("ibm-i3d_inception_v1", "i3d-inceptionv1", nn.MaxPool3d(3, (1, 2, 2), 1)),
        ("ibm-s3d_inception_v1", "s3d-inceptionv1", nn.MaxPool3d(2, (1, 2, 2))),
        ("ibm-s3d_inception_v1-ts", "s3d-inceptionv1-tp", nn.MaxPool3d(2, 2)),
    ],
)
def test_public_inception_agrees_given_its_pools(
    shared_published: Path, network: str, name: str, last_pool: nn.Module
) -> None:
    """The authors' 3-D Inceptions pad their max-pools evenly; with those pools put in, ours are theirs."""
    model = build_model(name)
    stride_time = 2 if name.endswith("-tp") else 1
    model.maxpool1 = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
    model.maxpool2 = nn.MaxPool3d(3, (stride_time, 2, 2), 1)
    model.maxpool3 = nn.MaxPool3d(3, (stride_time, 2, 2), 1)
    model.maxpool4 = last_pool
    check(model, read_reference(shared_published, network))
