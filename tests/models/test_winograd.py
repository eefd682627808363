"""Winograd's method gives the answers of the plain convolution, over odd sizes and in single precision."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.models.conv_forms import conv_ways
from kinema.models.layers import ClipConv3d, to_layout
from kinema.models.sites import ConvSpec
from kinema.models.winograd import transform_kernels, winograd

SHAPES = [(1, 8, 1, 1, 1), (2, 3, 2, 3, 5), (1, 5, 4, 4, 4), (3, 2, 5, 9, 6), (2, 16, 3, 14, 7), (1, 40, 8, 57, 23)]


def case(shape: tuple[int, ...], kernel_time: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    clip = to_layout(torch.randn(shape, dtype=torch.float64))
    return clip, torch.randn(6, shape[1], kernel_time, 3, 3, dtype=torch.float64), torch.randn(6, dtype=torch.float64)


@pytest.mark.parametrize("kernel_time", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_answers_over_odd_sizes(shape: tuple[int, ...], kernel_time: int) -> None:
    clip, weight, bias = case(shape, kernel_time)
    points = transform_kernels(weight)
    for padding in ((kernel_time // 2, 1, 1), (0, 0, 0), (kernel_time - 1, 2, 1)):
        if any(size + 2 * pad < kernel for size, pad, kernel in zip(shape[2:], padding, weight.shape[2:], strict=True)):
            continue
        for given in (bias, None):
            found = winograd(clip, points, given, padding)
            torch.testing.assert_close(found, F.conv3d(clip, weight, given, padding=padding), rtol=1e-11, atol=1e-11)
            assert found.is_contiguous(memory_format=torch.channels_last_3d)
        torch.testing.assert_close(winograd(clip.contiguous(), points, None, padding), found, rtol=1e-13, atol=1e-12)


def test_rounding_in_single_precision_stays_small() -> None:
    """The plain convolution is off by about 2e-7 of the largest answer; with whole points this would be 5e-6."""
    clip, weight, bias = case((1, 64, 4, 28, 28), 3)
    exact = F.conv3d(clip, weight, bias, padding=1)
    found = winograd(clip.float(), transform_kernels(weight.float()), bias.float(), (1, 1, 1))
    assert ((found.double() - exact).abs().max() / exact.abs().max()).item() < 4e-6


def test_only_where_it_fits_and_is_precise() -> None:
    def offered(kind: torch.dtype = torch.float32, **given: int) -> bool:
        spec = ConvSpec(in_channels=4, out_channels=4, role="spatial", **{"kernel": 3, **given})
        return "winograd" in conv_ways(ClipConv3d(spec, kernel_time=3).to(kind))

    assert offered()
    assert offered(torch.float64)
    assert not offered(torch.bfloat16)
    assert not offered(torch.float16)
    assert not offered(kernel=5)
    assert not offered(stride=2)
    assert not offered(stride_time=2)
    assert not offered(groups=2)
