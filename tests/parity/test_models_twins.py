"""Every temporal part against a slow twin that says in plain loops what the paper says."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers import ClipConv3d, ClipMaxPool, FrameConv2d, to_layout
from kinema.models.sites import ConvSpec, PoolSpec, Site
from kinema.models.temporal.conv1d import Conv1d
from kinema.models.temporal.nonlocal_block import NonLocal, NonLocalBlock
from kinema.models.temporal.s3d import S3d
from kinema.models.temporal.squeeze_excitation import ChannelGate, SqueezeExcitation
from kinema.models.temporal.tam import Tam, TemporalTaps
from kinema.models.temporal.tsm import Shift, Tsm
from kinema.models.temporal_pooling import TemporalMaxPool

CHANNELS = 16
SITE = Site(name="layer2.1", channels=CHANNELS, stage=2, block=1, num_blocks=8)
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def clip(frames: int = 5, *, channels: int = CHANNELS, height: int = 4, width: int = 3) -> Tensor:
    return to_layout(torch.randn(2, channels, frames, height, width, dtype=torch.float64)).requires_grad_()


def noisy(part: nn.Module) -> nn.Module:
    part = part.double()
    for tensor in [*part.parameters(), *part.buffers()]:
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.2, 1.0) if tensor.ndim == 1 else nn.init.normal_(tensor, std=0.5)
    return part.eval()


def same_with_gradients(part: nn.Module, given: Tensor, expected: Tensor) -> None:
    """Compare outputs, and the gradients of a random sum with respect to the input and every parameter."""
    found = part(given)
    torch.testing.assert_close(found, expected, **CLOSE)
    wanted = [given, *part.parameters()]
    weight = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad((found * weight).sum(), wanted),
        torch.autograd.grad((expected * weight).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, **CLOSE)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_tsm_takes_the_next_frame_first(frames: int) -> None:
    given = clip(frames)
    columns = []
    for channel in range(CHANNELS):
        for time in range(frames):
            source = time + 1 if channel < 2 else time - 1 if channel < 4 else time
            inside = 0 <= source < frames
            columns.append(given[:, channel, source] if inside else torch.zeros_like(given[:, channel, 0]))
    expected = torch.stack(columns, 1).unflatten(1, (CHANNELS, frames))
    part = Tsm().mix(SITE)
    assert isinstance(part, Shift)
    same_with_gradients(part, given, expected)


def test_tsm_skips_blocks_of_deep_networks() -> None:
    deep = [Site(name="", channels=64, stage=3, block=block, num_blocks=33) for block in range(4)]
    assert [isinstance(Tsm().mix(site), Shift) for site in deep] == [True, False, True, False]
    assert all(isinstance(Tsm(shift_every=1).mix(site), Shift) for site in deep)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("rectified", [True, False])
def test_tam_is_a_depthwise_convolution_over_time(frames: int, rectified: bool) -> None:
    given = clip(frames)
    part = noisy(Tam().mix(Site(name="", channels=CHANNELS, stage=1, block=0, num_blocks=8, rectified=rectified)))
    assert isinstance(part, TemporalTaps)
    kernel = part.taps.t().reshape(CHANNELS, 1, 3, 1, 1)
    expected = F.conv3d(given, kernel, padding=(1, 0, 0), groups=CHANNELS)
    same_with_gradients(part, given, expected.relu() if rectified else expected)


def test_shift_and_blend_have_the_gradients_they_claim() -> None:
    tiny = torch.randn(1, 4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Shift(1), tiny)
    assert torch.autograd.gradgradcheck(Shift(1), tiny)
    taps = noisy(TemporalTaps(4, init="identity", rectify=False))
    assert torch.autograd.gradcheck(taps, tiny)


def test_conv1d_multiplies_and_adds_three_frames() -> None:
    given = clip()
    part = noisy(Conv1d().mix(SITE))
    weight = part.conv.weight[..., 0, 0]
    padded = F.pad(given, (0, 0, 0, 0, 1, 1))
    taps = [torch.einsum("oc,bcthw->bothw", weight[..., tap], padded[:, :, tap : tap + 5]) for tap in range(3)]
    same_with_gradients(part, given, sum(taps).relu())


def test_squeeze_excitation_pools_space_and_time() -> None:
    given = clip()
    part = noisy(SqueezeExcitation(se_reduction=2).branch_end(SITE))
    assert isinstance(part, ChannelGate)
    rows = []
    for row in given:
        squeezed = row.flatten(1).mean(1)
        hidden = (part.reduce.weight @ squeezed + part.reduce.bias).relu()
        gate = (part.expand.weight @ hidden + part.expand.bias).sigmoid()
        rows.append(torch.stack([row[channel] * gate[channel] for channel in range(CHANNELS)]))
    assert part.reduce.out_features == 8
    same_with_gradients(part, given, torch.stack(rows))


@pytest.mark.parametrize("subsample", [True, False])
def test_nonlocal_block_attends_over_all_positions(subsample: bool) -> None:
    given = clip()
    part = noisy(NonLocal(nl_subsample=subsample).after(SITE))
    assert isinstance(part, NonLocalBlock)

    def embed(conv: nn.Conv3d, values: Tensor) -> Tensor:
        weight = conv.weight[..., 0, 0, 0]
        return torch.einsum("oc,bcthw->bothw", weight, values) + conv.bias.view(-1, 1, 1, 1)

    keys, values = embed(part.phi, given), embed(part.g, given)
    if subsample:
        keys, values = (F.max_pool3d(embedded, (1, 2, 2)) for embedded in (keys, values))
    queries, keys, values = embed(part.theta, given).flatten(2), keys.flatten(2), values.flatten(2)
    exponents = torch.einsum("bci,bcj->bij", queries, keys).exp()
    attended = torch.einsum("bij,bcj->bci", exponents / exponents.sum(2, keepdim=True), values)
    out = embed(part.out, attended.unflatten(2, given.shape[2:]))
    scale = part.norm.weight / (part.norm.running_var + part.norm.eps).sqrt()
    normed = (out - part.norm.running_mean.view(-1, 1, 1, 1)) * scale.view(-1, 1, 1, 1)
    same_with_gradients(part, given, given + normed + part.norm.bias.view(-1, 1, 1, 1))


def test_nonlocal_block_starts_as_nothing() -> None:
    given = clip()
    part = NonLocal().after(SITE).double()
    assert torch.equal(part(given), given)


@pytest.mark.parametrize("role", ["spatial", "branch_out"])
def test_s3d_splits_a_convolution(role: str) -> None:
    """Space, norm, ReLU, then time, norm, ReLU; at the end of a residual branch the last ReLU is the block's own."""
    spec = ConvSpec(
        in_channels=8, out_channels=CHANNELS, kernel=3, stride=2, role=role, kernel_time=3, stride_time=2, norm_eps=1e-3
    )
    given = clip(6, channels=8)
    module = S3d(temporal_init="kaiming")
    spatial, part = noisy(module.conv(spec)), noisy(module.activated(spec))
    assert isinstance(spatial, FrameConv2d)
    mapped = F.conv3d(given, spatial.weight.unsqueeze(2), stride=(1, 2, 2), padding=(0, 1, 1))
    torch.testing.assert_close(spatial(given), mapped, **CLOSE)

    before = mapped.detach().requires_grad_()
    norm = part.norm
    mapped = F.conv3d(
        before.relu() if role == "branch_out" else before, part.conv.weight, stride=(2, 1, 1), padding=(1, 0, 0)
    )
    expected = F.batch_norm(mapped, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-3)
    same_with_gradients(part, before, expected if role == "branch_out" else expected.relu())


@pytest.mark.parametrize(("kernel", "kernel_time"), [(1, 1), (3, 1), (1, 3), (3, 3), (7, 3)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("stride_time", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_flat_kernels_are_three_dimensional_convolutions(
    kernel: int, kernel_time: int, stride: int, stride_time: int, groups: int
) -> None:
    spec = ConvSpec(
        in_channels=4,
        out_channels=6,
        kernel=kernel,
        stride=stride,
        groups=groups,
        role="spatial",
        stride_time=stride_time,
    )
    part = noisy(ClipConv3d(spec, kernel_time=kernel_time))
    given = clip(5, channels=4, height=7)
    strides, padding = (stride_time, stride, stride), (kernel_time // 2, kernel // 2, kernel // 2)
    same_with_gradients(part, given, F.conv3d(given, part.weight, None, strides, padding, groups=groups))


@pytest.mark.parametrize("frames", [1, 2, 7, 8])
def test_pools_are_three_dimensional_pools(frames: int) -> None:
    given = clip(frames, height=7, width=6)
    expected = F.max_pool3d(given, 3, 2, (1, 0, 0), ceil_mode=True)
    time_floor = (frames - 1) // 2 + 1  # ceil mode concerns space only: time is padded on both sides
    pool = ClipMaxPool(PoolSpec(kernel=3, stride=2, ceil_mode=True, stride_time=2), kernel_time=3)
    torch.testing.assert_close(pool(given), expected[:, :, :time_floor])
    assert torch.equal(TemporalMaxPool()(given), F.max_pool3d(given, (3, 1, 1), (2, 1, 1), (1, 0, 0)))


@pytest.mark.parametrize(
    ("size", "kernel", "before", "after"), [(8, 3, 0, 1), (7, 3, 1, 1), (8, 5, 1, 2), (7, 5, 2, 2)]
)
def test_same_padding_is_tensorflows(size: int, kernel: int, before: int, after: int) -> None:
    spec = ConvSpec(in_channels=4, out_channels=4, kernel=kernel, stride=2, same_padding=True, role="spatial")
    given = clip(2, channels=4, height=size, width=size)
    padded = F.pad(given, (before, after, before, after))
    flat, cube = noisy(FrameConv2d(spec)), noisy(ClipConv3d(spec, kernel_time=3))
    torch.testing.assert_close(flat(given), F.conv3d(padded, flat.weight.unsqueeze(2), None, (1, 2, 2)), **CLOSE)
    torch.testing.assert_close(cube(given), F.conv3d(padded, cube.weight, None, (1, 2, 2), (1, 0, 0)), **CLOSE)
