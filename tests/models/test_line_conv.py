"""Temporal convolutions whose weights learn, and what autograd copies in a network: nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema import build_model
from kinema.models.action_model import TrainingScores
from kinema.models.layers import ClipBatchNorm, ClipConv3d, fold, to_layout, unfold
from kinema.models.line_conv import line_conv
from kinema.models.sites import ConvSpec

CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def given(frames: int, *, channels: int = 4, lines: int = 6) -> Tensor:
    clip = torch.randn(2, channels, frames, lines, dtype=torch.float64)
    return clip.contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("frames", [1, 2, 5, 8])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (7, 3), (3, 0), (5, 2)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("biased", [True, False])
def test_gradients_are_those_of_a_plain_convolution(
    frames: int, kernel: int, padding: int, stride: int, biased: bool
) -> None:
    if frames + 2 * padding < kernel:
        return
    clip = given(frames)
    weight = torch.randn(5, 4, kernel, 1, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True) if biased else None
    found = line_conv(clip, weight, bias, stride=stride, padding=padding)
    expected = F.conv2d(clip, weight, bias, (stride, 1), (padding, 0))
    torch.testing.assert_close(found, expected, **CLOSE)
    wanted = [part for part in (clip, weight, bias) if part is not None]
    upstream = torch.randn_like(expected).contiguous()  # any order of the gradient will do
    for own, plain in zip(
        torch.autograd.grad(found, wanted, upstream), torch.autograd.grad(expected, wanted, upstream), strict=True
    ):
        torch.testing.assert_close(own, plain, **CLOSE)


def test_line_conv_has_the_gradients_it_claims_once_and_twice() -> None:
    clip = torch.randn(1, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 3, 1, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)

    def conv(clip: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return line_conv(clip, weight, bias, stride=2, padding=1)

    assert torch.autograd.gradcheck(conv, (clip, weight, bias))
    assert torch.autograd.gradgradcheck(conv, (clip, weight, bias))


@pytest.mark.parametrize("frozen", ["weight", "input"])
def test_what_is_frozen_gets_no_gradient(frozen: str) -> None:
    clip = given(4).detach().requires_grad_(frozen != "input")
    conv = ClipConv3d(ConvSpec(in_channels=4, out_channels=4, kernel=1, role="spatial"), kernel_time=3).double()
    conv.requires_grad_(frozen != "weight")
    conv(clip.unflatten(3, (2, 3))).square().sum().backward()
    assert (clip.grad is None) == (frozen == "input")
    assert (conv.weight.grad is None) == (frozen == "weight")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("same_padding", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("frames", "side"), [(2, 9), (3, 9), (8, 7), (5, 4)])
def test_one_small_clip_gets_the_answer_of_the_whole_kernel(
    stride: int, same_padding: bool, bias: bool, frames: int, side: int
) -> None:
    spec = ConvSpec(
        in_channels=4,
        out_channels=6,
        kernel=3,
        stride=stride,
        role="spatial",
        same_padding=same_padding,
        bias=bias,
    )
    conv = ClipConv3d(spec, kernel_time=3).double()
    clip = to_layout(torch.randn(1, 4, frames, side, side, dtype=torch.float64))
    learning = conv(clip)  # the whole kernel, as gradients need it
    with torch.no_grad():
        torch.testing.assert_close(conv(clip), learning, **CLOSE)


def test_autocast_reaches_the_convolution() -> None:
    conv = ClipConv3d(ConvSpec(in_channels=4, out_channels=4, kernel=1, role="spatial"), kernel_time=3)
    with torch.autocast("cpu", torch.bfloat16):
        answer = conv(torch.randn(1, 4, 3, 2, 2))
    assert answer.dtype == torch.bfloat16
    answer.float().sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("track", [True, False])
def test_norm_is_the_two_dimensional_one_of_the_frames(momentum: float | None, track: bool) -> None:
    settings = {"momentum": momentum, "track_running_stats": track, "dtype": torch.float64}
    own, plain = ClipBatchNorm(4, **settings), nn.BatchNorm2d(4, **settings)
    for mode in (True, True, False):
        own.train(mode)
        plain.train(mode)
        clip = to_layout(torch.randn(2, 4, 3, 5, 6, dtype=torch.float64))
        torch.testing.assert_close(own(clip), unfold(plain(fold(clip)), 3), **CLOSE)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(own.state_dict()[name], value, **CLOSE)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tsn-googlenet", {}),
        ("s3d-clarifainet", {"fc_widths": (32, 16)}),
        ("conv1d-resnettiny", {}),
        ("s3dg-inceptioni3d", {"width_multiplier": 0.25, "temporal_norm": False}),
        ("r2plus1d-resnettiny", {}),
        ("tsm-efficientnetlite0", {}),
        ("i3d-mfnet", {}),
        ("slowfast-resnettiny", {}),
        ("tam-blresnet50", {"bl_alpha": 4}),
    ],
)
def test_no_activation_writes_into_a_view(name: str, options: dict[str, object]) -> None:
    """Autograd would copy the gradient of the whole map for it."""
    model = build_model(name, num_classes=3, options=options).train()
    scores = TrainingScores.of(model(torch.randn(2, 3, 8, 64, 64)))
    seen: set[object] = set()
    waiting = [each.grad_fn for each in (scores.logits, *scores.auxiliary)]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
    assert len(seen) > 50
    assert not [node for node in seen if "CopySlices" in str(node)]
