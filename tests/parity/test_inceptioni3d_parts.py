"""The parts of the S3D-G paper's networks against slow twins: gates, SAME padding, the head, the stem of blocks."""

import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from noisy_models import noisy
from torch import Tensor, nn

from kinema import build_model
from kinema.models.backbones.inceptioni3d import SpaceToDepthConv
from kinema.models.head import WindowHead
from kinema.models.layers import ClipConv3d, ClipMaxPool, FrameConv2d
from kinema.models.sites import ConvSpec, PoolSpec
from kinema.models.temporal.gate import FeatureGate

CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def same_with_gradients(part: nn.Module, given: Tensor, expected: Tensor) -> None:
    """Compare outputs, and the gradients of a random sum with respect to the input and every parameter."""
    found = part(given)
    torch.testing.assert_close(found, expected, **CLOSE)
    wanted, weight = [given, *part.parameters()], torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad((found * weight).sum(), wanted),
        torch.autograd.grad((expected * weight).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def clip_of(channels: int, *sizes: int) -> Tensor:
    return torch.randn(2, channels, *sizes, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("pool", ["space_time", "space", "time"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_gate_weighs_channels_by_their_averages(pool: str, bias: bool) -> None:
    part = noisy(FeatureGate(4, pool=pool, bias=bias))
    given = clip_of(4, 3, 2, 5)
    expected = torch.empty_like(given)
    for row, time, y, x in ((r, t, y, x) for r in range(2) for t in range(3) for y in range(2) for x in range(5)):
        seen = {"space_time": given[row], "space": given[row, :, time], "time": given[row, :, :, y, x]}[pool]
        average = seen.reshape(4, -1).sum(1) / (seen.numel() // 4)
        hidden = torch.stack([(part.linear.weight[out] * average).sum() for out in range(4)])
        weights = 1 / (1 + torch.exp(-(hidden + part.linear.bias if bias else hidden)))
        expected[row, :, time, y, x] = weights * given[row, :, time, y, x]
    same_with_gradients(part, given, expected)
    assert part.own_macs(given) == {"space_time": 2, "space": 2 * 3, "time": 2 * 10}[pool] * 16


def same_pads_of(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's documented rule, by its two cases."""
    total = max(kernel - stride if size % stride == 0 else kernel - size % stride, 0)
    return total // 2, total - total // 2


def padded_as_same(clip: Tensor, kernels: Sequence[int], strides: Sequence[int], value: float) -> Tensor:
    axes = zip(clip.shape[2:], kernels, strides, strict=True)
    pads = [same_pads_of(size, kernel, stride) for size, kernel, stride in axes]
    return F.pad(clip, [pad for pair in reversed(pads) for pad in pair], value=value)


SIZES = [(1, 1, 2), (2, 3, 4), (5, 8, 7), (8, 7, 10)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("kernel", "kernel_time", "stride"), [(7, 7, 2), (7, 1, 2), (3, 3, 1), (3, 1, 1), (1, 7, 2)])
def test_same_padding_of_convolutions(sizes: Sequence[int], kernel: int, kernel_time: int, stride: int) -> None:
    spec = ConvSpec(
        in_channels=2,
        out_channels=3,
        kernel=kernel,
        stride=stride if kernel > 1 else 1,
        role="spatial",
        stride_time=stride,
        same_padding=True,
        same_time=True,
    )
    given, strides = clip_of(2, *sizes), (stride, spec.stride, spec.stride)
    padded = padded_as_same(given, (kernel_time, kernel, kernel), strides, 0.0)
    parts = [noisy(ClipConv3d(spec, kernel_time=kernel_time))]
    parts += [noisy(FrameConv2d(spec))] if kernel_time == 1 else []
    for part in parts:
        weight = part.weight if part.weight.ndim == 5 else part.weight.unsqueeze(2)
        expected = F.conv3d(padded, weight, stride=strides)
        assert expected.shape[2:] == tuple(math.ceil(size / step) for size, step in zip(sizes, strides, strict=True))
        same_with_gradients(part, given, expected)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("kernel", "kernel_time"), [(3, 1), (3, 3), (2, 2)])
def test_same_padding_of_pools(sizes: Sequence[int], kernel: int, kernel_time: int) -> None:
    """What is padded is less than everything: maps below zero keep their maxima."""
    stride_time = 2 if kernel_time > 1 else 1
    spec = PoolSpec(kernel=kernel, stride=2, same_padding=True, kernel_time=kernel_time, stride_time=stride_time)
    given = clip_of(2, *sizes).detach() - 10
    window, strides = (kernel_time, kernel, kernel), (stride_time, 2, 2)
    expected = F.max_pool3d(padded_as_same(given, window, strides, -math.inf), window, strides)
    assert torch.equal(ClipMaxPool(spec, kernel_time=kernel_time)(given), expected)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 2, 2), (4, 7, 7), (5, 9, 8)])
def test_the_head_averages_windows_then_what_is_left(sizes: tuple[int, int, int]) -> None:
    """As the code of I3D and S3D does: an average pool, a 1 x 1 x 1 convolution, an average."""
    part = noisy(WindowHead(6, 3, dropout=0.5, window=(2, 7, 7)))
    given = clip_of(6, *sizes)
    window = [min(pair) for pair in zip((2, 7, 7), sizes, strict=True)]
    scores = F.conv3d(F.avg_pool3d(given, window, stride=1), part.weight[..., None, None, None], part.bias)
    same_with_gradients(part, given, scores.mean((2, 3, 4)))
    plain = noisy(WindowHead(6, 3, dropout=0.5, window=None))
    same_with_gradients(plain, given, F.linear(given.mean((2, 3, 4)), plain.weight, plain.bias))


def test_the_context_gate_weighs_the_embedding() -> None:
    part = noisy(WindowHead(6, 3, dropout=0.5, window=None, context_gate=True))
    given = clip_of(6, 3, 2, 2)
    embedding = given.mean((2, 3, 4))
    gated = torch.sigmoid(F.linear(embedding, part.context_gate.weight, part.context_gate.bias)) * embedding
    same_with_gradients(part, given, F.linear(gated, part.weight, part.bias))
    model = build_model("s3dg-inceptioni3d", num_classes=3, options={"context_gate": True, "width_multiplier": 0.1})
    assert model.classifier_keys() == {"fc.weight", "fc.bias"}
    assert "fc.context_gate.weight" in model.state_dict()


@pytest.mark.parametrize("sizes", [(4, 8, 6), (3, 7, 5)])
def test_space_to_depth_is_a_convolution_on_the_clip_itself(sizes: tuple[int, int, int]) -> None:
    """Blocks of 2 x 2 x 2 positions under a 2 x 4 x 4 kernel are a 4 x 8 x 8 kernel at stride 2."""
    part = noisy(SpaceToDepthConv(3, 4))
    given = clip_of(3, *sizes)
    weight = part.weight.unflatten(1, (2, 2, 2, 3)).permute(0, 4, 5, 1, 6, 2, 7, 3).reshape(4, 3, 4, 8, 8)
    odd = [size % 2 for size in sizes]
    padded = F.pad(given, (2, 4 + odd[2], 2, 4 + odd[1], 0, 2 + odd[0]))
    same_with_gradients(part, given, F.conv3d(padded, weight, stride=2))


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("s3dg-inceptioni3d", 1 + 4 * 9),  # behind the 3 x 3 convolution of the stem and every branch
        ("i3d+gate-inceptioni3d", 1 + 4 * 9),
        ("s3dg@top2-inceptioni3d", 4 * 2),
        ("s3dg-inceptionv1", 1 + 4 * 9),
        ("s3dg-resnet50", 16),  # one in every block, behind the temporal half
        ("gate-resnet18", 16),
    ],
)
def test_where_gates_sit(name: str, gates: int) -> None:
    with torch.device("meta"):
        model = build_model(name, num_classes=3)
        parts = [part for part in model.modules() if isinstance(part, FeatureGate)]
        assert model(torch.empty(1, 3, 8, 64, 64)).shape == (1, 3)
    assert len(parts) == gates
    if name.startswith("s3dg-r"):
        block = model.get_submodule("layer2.1.activated2")
        assert [type(part).__name__ for part in block] == ["TemporalConvNorm", "FeatureGate"]


def test_s3dg_is_s3d_with_a_gate() -> None:
    with torch.device("meta"):
        word, stack = (build_model(f"{module}-inceptioni3d").state_dict() for module in ("s3dg", "s3d+gate"))
    assert {key: value.shape for key, value in word.items()} == {key: value.shape for key, value in stack.items()}


def test_a_slim_temporal_convolution_has_a_bias_and_no_norm() -> None:
    with torch.device("meta"):
        state = build_model("s3d2-inceptioni3d", options={"temporal_norm": False, "stem": "whole"}).state_dict()
    assert state["conv1.conv.weight"].shape == (64, 3, 3, 7, 7)
    assert {key for key in state if key.startswith("conv3.activated")} == {
        "conv3.activated.conv.weight",
        "conv3.activated.conv.bias",
    }
