"""The very deep two-stream paper's networks against torchvision, slow twins, and the counts of the public ones."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from noisy_models import noisy_model
from torch import Tensor, nn

from kinema import build_model
from kinema.models.action_model import ActionModel
from kinema.models.backbones.inception import INCEPTION_MODULES as MODULES
from kinema.models.cost import cost
from kinema.models.response_norm import ClipResponseNorm

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
NARROW = (48, 32)
"""Units of fc6 and fc7: the full ones hold a gigabyte."""


def same_with_gradients(scores: Tensor, expected: Tensor, ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Compare scores, and the gradients of a random sum with respect to tensors of the same names."""
    torch.testing.assert_close(scores, expected, **CLOSE)
    weight = torch.randn_like(expected)
    found = torch.autograd.grad((scores * weight).sum(), list(ours.values()))
    wanted = torch.autograd.grad((expected * weight).sum(), [theirs[key] for key in ours])
    for key, own, other in zip(ours, found, wanted, strict=True):
        scale = max(other.abs().max().item(), 1.0)
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-9 * scale, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("backbone", ["vgg11", "vgg16"])
def test_vgg_is_torchvisions(backbone: str) -> None:
    ours = noisy_model(f"tsn-{backbone}", options={"fc_widths": NARROW})
    with torch.device("meta"):
        theirs = getattr(torchvision.models, backbone)(num_classes=5, init_weights=False)
        for index, (inputs, outputs) in {0: (25088, 48), 3: (48, 32), 6: (32, 5)}.items():
            theirs.classifier[index] = nn.Linear(inputs, outputs)
    theirs = theirs.double().to_empty(device="cpu").eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    clip = torch.randn(2, 3, 2, 33, 40, dtype=torch.float64)
    frames = torch.stack([theirs(clip[:, :, time]) for time in range(2)])
    same_with_gradients(ours(clip), frames.mean(0), dict(ours.named_parameters()), dict(theirs.named_parameters()))


@pytest.mark.slow
def test_whole_vgg16_is_torchvisions() -> None:
    ours = noisy_model("tsn-vgg16")
    with torch.device("meta"):
        theirs = torchvision.models.vgg16(num_classes=5, init_weights=False).double().eval()
    theirs.load_state_dict(ours.state_dict(), assign=True)
    clip = torch.randn(1, 3, 1, 224, 224, dtype=torch.float64, requires_grad=True)
    scores, expected = ours(clip), theirs(clip[:, :, 0])
    same_with_gradients(scores, expected, {"clip": clip}, {"clip": clip})


@pytest.mark.parametrize("backbone", ["vgg11", "vgg16", "vgg19"])
def test_vgg_has_torchvisions_keys_and_counts(backbone: str) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision.models, backbone)(init_weights=False)
        ours = build_model(f"tsm-{backbone}", num_classes=1000)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
    published = torchvision.models.get_model_weights(backbone)["IMAGENET1K_V1"].meta
    found = cost(f"tsn-{backbone}", frames=1, num_classes=1000)
    assert found.parameters == published["num_params"]
    linear = sum(layer.weight.numel() for layer in theirs.classifier if isinstance(layer, nn.Linear))
    assert round((found.macs + linear) / 1e9, 2) == round(published["_ops"], 2)


def test_temporal_pooling_halves_time_in_the_last_three_pools() -> None:
    model = noisy_model("tsn-vgg11-tp", options={"fc_widths": NARROW})
    clip = torch.randn(1, 3, 9, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        maps = {stage: features.shape[2] for stage, features in model.stage_maps(clip)}
        found = model.features(clip)
        expected, number = clip, 0
        for layer in model.get_submodule("features").children():
            if isinstance(layer, nn.Conv2d):
                kernel = layer.weight.unsqueeze(2)
                expected = F.conv3d(expected, kernel, layer.bias, padding=(0, 1, 1)).relu()
            elif not isinstance(layer, nn.ReLU):
                number += 1
                window = ((3, 2, 2), (2, 2, 2), (1, 0, 0)) if number > 2 else ((1, 2, 2), (1, 2, 2))
                expected = F.max_pool3d(expected, *window)
    assert maps == {"conv1": 9, "conv2": 9, "conv3": 5, "conv4": 3, "conv5": 2}
    torch.testing.assert_close(found, expected, **CLOSE)


def response_norm(frames: Tensor, *, alpha: float, k: float) -> Tensor:
    """The formula of AlexNet's paper, channel by channel."""
    channels = frames.shape[1]
    normed = []
    for channel in range(channels):
        around = frames[:, max(channel - 2, 0) : min(channel + 3, channels)]
        normed.append(frames[:, channel] / (k + alpha / 5 * around.square().sum(1)) ** 0.75)
    return torch.stack(normed, 1)


def test_response_norm_is_its_formula() -> None:
    clip = (10 * torch.randn(2, 7, 3, 4, 5, dtype=torch.float64)).requires_grad_()
    part = ClipResponseNorm(alpha=0.3, k=2.0)
    expected = torch.stack([response_norm(clip[:, :, time], alpha=0.3, k=2.0) for time in range(3)], 2)
    same_with_gradients(part(clip), expected, {"clip": clip}, {"clip": clip})
    frames = clip[:, :, 0]
    theirs = F.local_response_norm(frames, 5, alpha=0.3, beta=0.75, k=2.0)
    torch.testing.assert_close(part(clip)[:, :, 0], theirs, **CLOSE)
    in_layout = clip.contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(part(in_layout), expected, **CLOSE)


def clarifainet(frames: Tensor, given: dict[str, Tensor]) -> Tensor:
    """CNN-M, layer by layer; ``n c h w`` to ``n classes``."""

    def conv(frames: Tensor, index: int, stride: int = 1, padding: int = 1) -> Tensor:
        weight, bias = given[f"features.{index}.weight"], given[f"features.{index}.bias"]
        return F.conv2d(frames, weight, bias, stride, padding).relu()

    def dense(row: Tensor, index: int) -> Tensor:
        return F.linear(row, given[f"classifier.{index}.weight"], given[f"classifier.{index}.bias"])

    frames = response_norm(conv(frames, 0, 2, 0), alpha=5e-4, k=2.0)
    frames = F.max_pool2d(frames, 3, 2, ceil_mode=True)
    frames = response_norm(conv(frames, 4, 2), alpha=5e-4, k=2.0)
    frames = F.max_pool2d(frames, 3, 2, ceil_mode=True)
    frames = F.max_pool2d(conv(conv(conv(frames, 8), 10), 12), 3, 2, ceil_mode=True)
    return dense(dense(dense(frames.flatten(1), 0).relu(), 3).relu(), 6)


def test_clarifainet_is_its_list_of_layers() -> None:
    """At 224 x 224, where the last map is 6 x 6 by itself."""
    model = noisy_model("tsn-clarifainet", options={"fc_widths": NARROW})
    given = dict(model.named_parameters())
    clip = torch.randn(1, 3, 2, 224, 224, dtype=torch.float64)
    expected = clarifainet(clip[0].transpose(0, 1), given).mean(0, keepdim=True)
    same_with_gradients(model(clip), expected, given, given)


def googlenet(frames: Tensor, given: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """The network of 2014, layer by layer; ``n c h w`` to three times ``n classes``: head and auxiliary heads."""

    def conv(frames: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = given[f"{name}.conv.weight"]
        return F.conv2d(frames, weight, given[f"{name}.conv.bias"], stride, weight.shape[-1] // 2).relu()

    def pool(frames: Tensor) -> Tensor:
        return F.max_pool2d(frames, 3, 2, ceil_mode=True)

    def auxiliary(frames: Tensor, name: str) -> Tensor:
        small = F.conv2d(F.adaptive_avg_pool2d(frames, 4), given[f"{name}.conv.weight"], given[f"{name}.conv.bias"])
        row = F.linear(small.relu().flatten(1), given[f"{name}.fc1.weight"], given[f"{name}.fc1.bias"]).relu()
        return F.linear(row, given[f"{name}.fc2.weight"], given[f"{name}.fc2.bias"])

    frames = response_norm(pool(conv(frames, "conv1", 2)), alpha=1e-4, k=1.0)
    frames = response_norm(conv(conv(frames, "conv2"), "conv3"), alpha=1e-4, k=1.0)
    side: list[Tensor] = []
    for name in MODULES:
        if name in ("3a", "4a", "5a"):
            frames = pool(frames)
        block = f"inception{name}"
        branches = (
            conv(frames, f"{block}.branch1"),
            conv(conv(frames, f"{block}.branch2.0"), f"{block}.branch2.1"),
            conv(conv(frames, f"{block}.branch3.0"), f"{block}.branch3.1"),
            conv(F.max_pool2d(frames, 3, 1, 1), f"{block}.branch4.1"),
        )
        frames = torch.cat(branches, 1)
        if name in ("4a", "4d"):
            side.append(auxiliary(frames, f"aux{len(side) + 1}"))
    return F.linear(frames.mean((2, 3)), given["fc.weight"], given["fc.bias"]), *side


def test_googlenet_is_its_list_of_layers() -> None:
    model = noisy_model("tsn-googlenet", options={"aux": True})
    given = dict(model.named_parameters())
    assert given["inception4c.branch3.1.conv.weight"].shape == (64, 24, 5, 5)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    clip = torch.randn(1, 3, 2, 65, 72, dtype=torch.float64)
    scores, auxiliary = model.training_scores(clip)
    expected = [found.mean(0, keepdim=True) for found in googlenet(clip[0].transpose(0, 1), given)]
    same_with_gradients(torch.cat([scores, *auxiliary]), torch.cat(expected), given, given)
    assert isinstance(model(clip), Tensor)  # in evaluation the auxiliary heads are silent
    torch.testing.assert_close(model(clip), expected[0], **CLOSE)


def test_counts_of_the_caffe_networks() -> None:
    """Those of bvlc_googlenet with and without its two side losses, and of VGG_CNN_M_2048."""
    assert cost("tsn-googlenet", frames=1, num_classes=1000).parameters == 6_998_552
    with torch.device("meta"):
        model: ActionModel = build_model("tsn-googlenet", num_classes=1000, options={"aux": True})
    assert sum(parameter.numel() for parameter in model.parameters()) == 13_378_280
    assert cost("tsn-clarifainet", frames=1, num_classes=1000).parameters == 92_469_864


def test_multiply_adds_by_hand() -> None:
    conv1, conv2 = 96 * 3 * 7**2 * 109**2, 256 * 96 * 5**2 * 26**2
    rest = (512 * 256 + 2 * 512 * 512) * 3**2 * 13**2
    assert cost("tsn-clarifainet", frames=1).macs == conv1 + conv2 + rest
    googlenet = 64 * 3 * 7**2 * 112**2 + (64 * 64 + 192 * 64 * 3**2) * 56**2
    channels = 192
    for name, own in MODULES.items():
        point = channels * (own.point + own.reduce2 + own.reduce3 + own.pooled)
        side = {"3": 28, "4": 14, "5": 7}[name[0]]
        googlenet += (point + own.reduce2 * own.spatial2 * 9 + own.reduce3 * own.spatial3 * 25) * side**2
        channels = own.out_channels
    assert cost("tsn-googlenet", frames=1).macs == googlenet
