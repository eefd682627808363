"""Networks optimised for inference give the scores of the original, on every family and in every form."""

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from noisy_models import noisy_model, random_clips
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models import optimize
from kinema.models.action_model import ActionModel
from kinema.models.backbones.resnet import RESNETS
from kinema.models.conv_forms import FORMS, ChosenConv, conv_ways
from kinema.models.cost import cost
from kinema.models.layers import ClipBatchNorm, ClipConv3d, ClipMaxPool, FrameConv2d
from kinema.models.optimize import OptimizedModel, optimize_for_inference
from kinema.models.pool_forms import ShiftedMaxPool
from kinema.models.sites import ConvSpec, PoolSpec, Site
from kinema.models.temporal.base import TemporalModule
from kinema.models.temporal_pooling import TemporalMaxPool

SMALL = {"width_multiplier": 0.25}
NARROW = {"fc_widths": (32, 16)}
FAMILIES: list[tuple[str, dict[str, object]]] = [
    *((f"{module}-resnettiny", {}) for module in ("tsn", "tsm", "tam", "conv1d", "nl", "tam+se", "slow", "slowfast")),
    *((f"{module}-resnettiny-tp", {}) for module in ("i3d", "s3d")),
    *((name, {}) for name in ("tam-resnet50", "i3d-resnext26", "i3d-inceptionv1-tp")),
    ("tam-blresnet50", {"bl_alpha": 4}),
    ("r2d-resnettiny", {"frames": 8}),
    *((name, {}) for name in ("r3d-vresnet18", "mc3-vresnet18", "r2plus1d-resnettiny")),
    *((f"{module}-inceptioni3d", SMALL) for module in ("i3d", "s3dg")),
    ("s3d2+gate-inceptioni3d", {**SMALL, "padding": "same", "stem": "space_to_depth"}),
    *((name, {}) for name in ("i3d-mfnet", "tsn-mfnetwide", "i3d-mfmobilenetv2-tp")),
    ("i3d-mobilenetv2-tp", {"width_multiplier": 0.35}),
    *((name, {}) for name in ("i3d-efficientnetlite0-tp", "i3d-googlenet")),
    *((name, NARROW) for name in ("tsn-vgg11", "i3d-clarifainet")),
]


def each_form_in_turn() -> Callable[[Mapping[str, nn.Module], Tensor], tuple[str, dict[str, float]]]:
    """A choice that goes through all forms over a network, instead of timing them."""
    turn = 0

    def choose(ways: Mapping[str, nn.Module], clip: Tensor) -> tuple[str, dict[str, float]]:
        nonlocal turn
        assert all(way.in_channels == clip.shape[1] for way in ways.values() if isinstance(way, ChosenConv))
        turn += 1
        return list(ways)[turn % len(ways)], {}

    return choose


@pytest.mark.parametrize(("name", "options"), FAMILIES, ids=lambda given: given if isinstance(given, str) else "")
def test_scores_stay(name: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64 to 1e-9 and in float32 to 1e-5 of the largest score, in whatever form each convolution is."""
    monkeypatch.setattr(optimize, "fastest", each_form_in_turn())
    model, clips = noisy_model(name, options=options), random_clips(2)
    kept = copy.deepcopy(model.state_dict())
    optimized = optimize_for_inference(model, clip=clips)
    with torch.no_grad():
        expected = model(clips)
        assert relative(optimized(clips), expected) < 1e-9
        single = optimize_for_inference(model.float(), clip=clips.float())
        # against the exact scores: the original's own in float32 are off by up to 9e-6
        assert relative(single(clips.float()).double(), expected) < 1e-5
    assert set(optimized.forms.values()) <= {*FORMS, "kernel", "shifted"}
    assert list(model.state_dict()) == list(kept)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value.to(kept[key].dtype), kept[key], rtol=1e-6, atol=1e-7)
    num_norms = sum(isinstance(part, ClipBatchNorm) for part in optimized.modules())
    if "mf" not in name:
        assert num_norms == 0
    else:
        assert 0 < num_norms < sum(isinstance(part, ClipBatchNorm) for part in model.modules())


def relative(scores: Tensor, expected: Tensor) -> float:
    assert scores.shape == expected.shape
    return ((scores - expected).abs().max() / expected.abs().max()).item()


GEOMETRIES = {
    "cube": {"kernel": 3, "kernel_time": 3},
    "strided cube": {"kernel": 3, "kernel_time": 3, "stride": 2, "stride_time": 2},
    "grouped cube": {"kernel": 3, "kernel_time": 3, "groups": 2, "bias": True},
    "stem": {"kernel": 7, "kernel_time": 5, "stride": 2},
    "SAME": {"kernel": 3, "kernel_time": 7, "stride": 2, "stride_time": 2, "same_padding": True, "same_time": True},
    "SAME flat": {"kernel": 5, "kernel_time": 1, "stride": 2, "groups": 2, "same_padding": True, "bias": True},
    "flat": {"kernel": 3, "kernel_time": 1, "stride": 2, "stride_time": 2, "bias": True},
    "line": {"kernel": 1, "kernel_time": 3, "stride_time": 2, "bias": True},
    "long line": {"kernel": 1, "kernel_time": 7, "groups": 2},
    "point": {"kernel": 1, "kernel_time": 1, "stride": 2, "stride_time": 2, "bias": True},
}


@pytest.mark.parametrize(("frames", "size"), [(1, 9), (2, 8), (3, 9), (8, 9), (8, 8)])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_form_of_a_convolution(geometry: str, frames: int, size: int) -> None:
    given = dict(GEOMETRIES[geometry])
    kernel_time = given.pop("kernel_time")
    conv = ClipConv3d(
        ConvSpec(in_channels=4, out_channels=6, role="spatial", **given), kernel_time=kernel_time
    ).double()
    clip = random_clips(2, frames=frames, size=size, channels=4)
    chosen = ChosenConv(conv)
    expected = conv(clip).detach()
    assert len(chosen.forms()) >= 3
    for form in chosen.forms():
        chosen.take(form)
        torch.testing.assert_close(chosen(clip), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(chosen.weight, conv.weight.detach(), rtol=0, atol=0)
        assert f"form={form}" in repr(chosen)


def test_flat_convolutions_with_time_strided() -> None:
    conv = FrameConv2d(ConvSpec(in_channels=4, out_channels=6, kernel=3, role="spatial", stride=2, stride_time=2))
    chosen, clip = ChosenConv(conv.double()), random_clips(1, size=8, channels=4)
    for form in chosen.forms():
        chosen.take(form)
        torch.testing.assert_close(chosen(clip), conv(clip).detach(), rtol=1e-12, atol=1e-12)


POOLS = {
    "padded": PoolSpec(kernel=3, stride=2, padding=1),
    "ceil": PoolSpec(kernel=3, stride=2, ceil_mode=True),
    "ceil of two": PoolSpec(kernel=2, stride=2, ceil_mode=True, stride_time=2),
    "SAME": PoolSpec(kernel=3, stride=2, same_padding=True, stride_time=2),
    "SAME of two": PoolSpec(kernel=2, stride=2, same_padding=True, stride_time=2),
    "branch": PoolSpec(kernel=3, stride=1, padding=1),
}


@pytest.mark.parametrize("kernel_time", [1, 2, 3])
@pytest.mark.parametrize("kind", POOLS)
def test_shifted_pools_give_the_same_numbers(kind: str, kernel_time: int) -> None:
    spec = POOLS[kind] if kernel_time > 1 else replace(POOLS[kind], stride_time=1)
    pool = ClipMaxPool(spec, kernel_time=kernel_time)
    for frames, size in ((1, 1), (2, 2), (3, 5), (4, 6), (8, 7)):
        clip = -random_clips(2, frames=frames, size=size).abs()
        assert torch.equal(ShiftedMaxPool(pool)(clip), pool(clip)), (frames, size)
        assert torch.equal(ShiftedMaxPool(TemporalMaxPool())(clip), TemporalMaxPool()(clip))


def test_a_convolution_has_the_forms_that_fit_it() -> None:
    conv = ClipConv3d(ConvSpec(in_channels=4, out_channels=6, kernel=3, role="spatial"), kernel_time=3)
    ways = conv_ways(conv)
    assert set(ways) == {"whole", "contiguous", "taps", "joined", "winograd"}
    assert all(make().form == form for form, make in ways.items())


def test_forms_of_an_earlier_copy_are_taken_instead_of_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they do not name, or names in a form that the part cannot take, is timed."""
    model, clips = noisy_model("i3d-resnettiny-tp"), random_clips(1)
    earlier = optimize_for_inference(model, clip=clips)
    given = {name: "contiguous" if form in FORMS else "shifted" for name, form in earlier.forms.items()}
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 1)
        patch.setattr(time, "thread_time", lambda: pytest.fail("timed"))
        again = optimize_for_inference(model, clip=clips, forms=given)
    assert again.forms == given
    assert again.notes[-1] == f"{len(given)} of {len(given)} forms were given, the others timed"
    assert relative(again(clips), model(clips).detach()) < 1e-9

    absent, unfit, *_ = given
    partly = {name: form for name, form in given.items() if name != absent} | {
        unfit: "no such form",
        "nowhere": "whole",
    }
    some = optimize_for_inference(model, clip=clips, forms=partly)
    assert some.forms[absent] in FORMS
    assert some.forms[unfit] in ("kernel", "shifted")
    assert some.forms == given | {name: some.forms[name] for name in (absent, unfit)}
    assert some.notes[-1].startswith(f"{len(given) - 2} of {len(given)} forms")


def test_default_sample_and_other_sizes() -> None:
    """The sample decides what is fast, not what is right."""
    model = noisy_model("i3d-resnettiny")
    optimized = optimize_for_inference(model)
    clips = random_clips(2, frames=5, size=40)
    assert relative(optimized(clips), model(clips).detach()) < 1e-9
    assert isinstance(optimized, ActionModel)
    assert cost(optimized, size=64).macs == cost(model, size=64).macs
    assert not optimized(clips.requires_grad_()).requires_grad
    assert relative(optimized.features(clips), model.features(clips).detach()) < 1e-9
    assert optimized.notes[0].split(" batch")[0] in ("19 of 19", "20 of 20")


def test_training_is_refused() -> None:
    optimized = optimize_for_inference(noisy_model("tsn-resnettiny"), clip=random_clips(1))
    assert optimized.eval() is optimized
    with pytest.raises(UserError, match="train the model it was made from"):
        optimized.train()
    assert not any(part.training for part in optimized.modules())
    with pytest.raises(UserError, match="has been optimised for inference already"):
        optimize_for_inference(optimized)


class Peeking(TemporalModule):
    """Convolutions whose output is used before its norm too, so that the norm cannot be folded."""

    def mix(self, site: Site) -> nn.Module:
        """Somewhere in the middle."""
        return PeekingPart(site.channels)


class PeekingPart(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        spec = ConvSpec(in_channels=channels, out_channels=channels, kernel=1, role="reduce")
        self.conv, self.norm = FrameConv2d(spec), ClipBatchNorm(channels)
        nn.init.uniform_(self.norm.weight, 2.0, 3.0)

    def forward(self, clip: Tensor) -> Tensor:
        between = self.conv(clip)
        return self.norm(between) + between


def test_a_network_that_folding_would_change_is_refused() -> None:
    model = ActionModel.compose(RESNETS["resnettiny"], Peeking(), num_classes=3).double()
    with pytest.raises(UserError, match="changes its scores"):
        optimize_for_inference(model, clip=random_clips(1))


def test_no_compiler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    optimized = optimize_for_inference(noisy_model("tsn-resnettiny"), clip=random_clips(1), try_compile=True)
    assert any("needs a C++ compiler" in note for note in optimized.notes)


def test_a_compiler_that_fails_leaves_the_eager_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> Callable[[Tensor], Tensor]:
        def compiled(clip: Tensor) -> Tensor:
            raise RuntimeError(f"cannot compile for {clip.device}")

        return compiled

    monkeypatch.setattr(optimize.shutil, "which", lambda _: "/usr/bin/c++")
    monkeypatch.setattr(torch, "compile", fails)
    model = noisy_model("tsn-resnettiny")
    optimized = optimize_for_inference(model, clip=random_clips(1), try_compile=True)
    assert "not compiled: torch.compile failed: cannot compile for cpu" in optimized.notes
    assert relative(optimized(random_clips(2)), model(random_clips(2)).detach()) < 1e-9


@pytest.mark.parametrize("faster", [True, False])
def test_the_compiled_copy_is_kept_where_it_is_faster(faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(ways: Mapping[str, object], _: Tensor) -> tuple[str, dict[str, float]]:
        best = ("compiled" if faster else "eager") if "compiled" in ways else next(iter(ways))
        return best, dict.fromkeys(ways, 2.0) | {best: 1.0}

    monkeypatch.setattr(optimize.shutil, "which", lambda _: "/usr/bin/c++")
    monkeypatch.setattr(optimize, "fastest", choose)
    monkeypatch.setattr(torch, "compile", lambda scores, **_: lambda clip: scores(clip) + 1)
    model, clips = noisy_model("tsn-resnettiny"), random_clips(1)
    optimized = optimize_for_inference(model, clip=clips, try_compile=True)
    assert isinstance(optimized, OptimizedModel)
    assert relative(optimized(clips), model(clips).detach() + faster) < 1e-9
    assert optimized.notes[-1].endswith("; kept" if faster else "; not kept")
    assert math.isfinite(optimized(clips).sum().item())
