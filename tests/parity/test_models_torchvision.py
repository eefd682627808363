"""Image networks under our names are torchvision's: same keys, same answers, same gradients."""

from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import nn

from kinema import build_model


def googlenet() -> nn.Module:
    return torchvision.models.googlenet(num_classes=7, aux_logits=False, init_weights=False)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("tsn-resnet18", lambda: torchvision.models.resnet18(num_classes=7)),
        ("tsn-resnet50", lambda: torchvision.models.resnet50(num_classes=7)),
        ("tsn-inceptionv1", googlenet),
    ],
)
def test_frames_get_what_torchvision_says_of_images(name: str, make: Callable[[], nn.Module]) -> None:
    theirs = make().double().eval()
    for part in theirs.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 1.5)
    ours = build_model(name, num_classes=7).double().eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())

    clip = torch.randn(2, 3, 2, 65, 64, dtype=torch.float64)  # odd, so that ceil and floor differ
    frames = torch.stack([theirs(clip[:, :, time]) for time in range(2)])
    scores = ours(clip)
    torch.testing.assert_close(scores, frames.mean(0), rtol=1e-9, atol=1e-9)

    weight = torch.randn_like(scores)
    (scores * weight).sum().backward()
    (frames.mean(0) * weight).sum().backward()
    theirs_by_name = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        scale = theirs_by_name[key].grad.abs().max().item()
        torch.testing.assert_close(parameter.grad, theirs_by_name[key].grad, rtol=1e-9, atol=1e-9 * max(scale, 1.0))


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_all_depths_have_torchvisions_keys(depth: int) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"resnet{depth}")(num_classes=7).state_dict()
        ours = build_model(f"tsm-resnet{depth}", num_classes=7).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
