"""SlowFast against the outputs of its public code, the published counts, and slow twins of what is its own."""

import csv
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from published_networks import read_reference
from torch import Tensor, nn

from kinema import build_model
from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.models.backbones.inception import InceptionV1Plan
from kinema.models.backbones.resnet import RESNETS
from kinema.models.cost import cost
from kinema.models.pathways import Lateral, Pathways, SlowFrames, average_over_spans, slow_frames
from kinema.models.slowfast import SlowFast
from kinema.models.temporal.stack import Stack
from kinema.models.temporal.tsm import Tsm
from kinema.weights.importing.slowfast import caffe2_keys, pyslowfast_keys, pytorchvideo_keys
from kinema.weights.inflate import load_inflated

CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def meta_model(name: str, **options: object) -> ActionModel:
    with torch.device("meta"):
        return build_model(name, options=options)


@pytest.mark.parametrize(
    ("name", "options", "frames", "parameters", "giga"),
    [
        ("slowfast-resnet50", {}, 32, 34_566_488, 65.71),
        ("slowfast-resnet50", {"setting": "16x8"}, 32, 34_566_488, 124.52),
        ("slowfast-resnet50", {"setting": "4x16"}, 32, 34_480_216, 36.10),
        ("slowfast-resnet101", {}, 32, 62_826_968, 125.90),
        ("slowfast-resnet101", {"setting": "16x8"}, 64, 53_774_808, 213.02),
        ("slow-resnet50", {}, 8, 32_454_096, 54.52),
    ],
)
def test_published_counts(name: str, options: dict[str, object], frames: int, parameters: int, giga: float) -> None:
    counted = cost(meta_model(name, **options), frames=frames, size=256)
    assert counted.parameters == parameters
    assert round(counted.macs / 1e9, 2) == giga


@pytest.mark.parametrize(
    ("network", "name", "options", "keys"),
    [
        ("pyslowfast-slowfast_8x8_r50", "slowfast-resnet50", {}, pyslowfast_keys),
        ("pyslowfast-slowfast_4x16_r50", "slowfast-resnet50", {"setting": "4x16"}, pyslowfast_keys),
        ("pytorchvideo-slowfast_r50", "slowfast-resnet50", {}, pytorchvideo_keys),
        ("pyslowfast-slow_8x8_r50", "slow-resnet50", {}, pyslowfast_keys),
        ("pytorchvideo-slow_r50", "slow-resnet50", {}, pytorchvideo_keys),
    ],
)
def test_public_code_agrees(shared_published: Path, network: str, name: str, options: dict, keys) -> None:
    reference = read_reference(shared_published, network)
    model = meta_model(name, **options).to_empty(device="cpu").double().eval()
    theirs = keys(model)
    assert list(theirs) == list(model.state_dict())
    assert sorted(theirs.values()) == sorted(reference.state)
    model.load_state_dict({key: reference.state[foreign] for key, foreign in theirs.items()})
    with torch.inference_mode():
        logits = model(reference.clip)[0]
    assert ((logits - reference.logits).abs().max() / reference.logits.abs().max()).item() < 1e-9


@pytest.mark.parametrize("setting", ["8x8", "4x16"])
def test_caffe2_names_stand_for_the_same_tensors(shared_published: Path, setting: str) -> None:
    model = meta_model("slowfast-resnet50", setting=setting)
    file = shared_published / "keys" / f"pyslowfast-slowfast_{setting}_r50.caffe2.keys.csv"
    with file.open() as opened:
        listed = {row["torch_key"]: row["key"] for row in csv.DictReader(opened)}
    blobs, torch_keys = caffe2_keys(model), pyslowfast_keys(model)
    assert {torch_keys[key]: blob for key, blob in blobs.items()} == listed


def test_keys_are_known_for_these_networks_only() -> None:
    for name in ("tsn-resnet50", "slowfast-resnettiny", "slow-resnet18"):
        with pytest.raises(UserError, match="bottlenecks"):
            pyslowfast_keys(meta_model(name))


@pytest.mark.parametrize(
    ("frames", "alpha", "expected"),
    [
        (32, 4, [0, 4, 8, 13, 17, 22, 26, 31]),
        (32, 8, [0, 10, 20, 31]),
        (3, 4, [0]),
        (1, 8, [0]),
        (5, 4, [0, 4]),
        (30, 4, [0, 4, 8, 12, 16, 20, 24, 29]),
    ],
)
def test_slow_frames(frames: int, alpha: int, expected: list[int]) -> None:
    assert slow_frames(frames, alpha) == expected
    clip = torch.arange(2.0 * frames * 6).view(2, 1, frames, 2, 3)
    slow, fast = SlowFrames(alpha)(clip)
    assert torch.equal(slow, torch.stack([clip[:, :, index] for index in expected], 2))
    assert fast is clip


@pytest.mark.parametrize("alpha", [2, 4, 8])
def test_slow_frames_are_those_of_the_published_code(alpha: int) -> None:
    for frames in range(alpha, 129, alpha):
        assert slow_frames(frames, alpha) == torch.linspace(0, frames - 1, frames // alpha).long().tolist()


@pytest.mark.parametrize(("frames", "alpha", "kernel"), [(8, 4, 5), (8, 4, 7), (9, 4, 5), (6, 2, 7), (1, 8, 5)])
def test_lateral_connection_sums_over_neighbouring_frames(frames: int, alpha: int, kernel: int) -> None:
    part = Lateral(3, alpha=alpha, kernel_time=kernel).double().eval()
    for tensor in [*part.parameters(), *part.buffers()]:
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.2, 1.0) if tensor.ndim == 1 else nn.init.normal_(tensor)
    fast = torch.randn(2, 3, frames, 2, 2, dtype=torch.float64)
    weight, norm = part.conv.weight[..., 0, 0], part.bn
    steps = []
    for centre in range(0, frames, alpha):
        total = torch.zeros(2, 6, 2, 2, dtype=torch.float64)
        for tap in range(kernel):
            frame = centre + tap - kernel // 2
            if 0 <= frame < frames:
                total = total + torch.einsum("oc,bchw->bohw", weight[..., tap], fast[:, :, frame])
        steps.append(F.batch_norm(total, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu())
    told = part(fast)
    torch.testing.assert_close(told, torch.stack(steps, 2), **CLOSE)
    assert told.shape[2] == len(slow_frames(frames, alpha))
    slow = torch.randn(2, 5, len(steps), 2, 2, dtype=torch.float64)
    joined, same = Pathways(nn.Identity(), nn.Identity(), part)((slow, fast))
    assert torch.equal(joined, torch.cat([slow, told], 1))
    assert same is fast


@pytest.mark.parametrize(("frames", "spans"), [(8, 2), (9, 3), (7, 2), (5, 4), (1, 1), (30, 8)])
def test_spans_share_what_lies_across_their_border(frames: int, spans: int) -> None:
    clip = torch.randn(1, 2, frames, 1, 1, dtype=torch.float64)
    averaged = average_over_spans(clip, spans)
    length = frames / spans
    for span in range(spans):
        parts = [max(0.0, min(t + 1, (span + 1) * length) - max(t, span * length)) for t in range(frames)]
        expected = sum(clip[:, :, t] * part for t, part in enumerate(parts)) / length
        torch.testing.assert_close(averaged[:, :, span], expected, **CLOSE)
    torch.testing.assert_close(averaged.mean(2), clip.mean(2), **CLOSE)


@pytest.mark.parametrize("frames", [1, 8, 11])
def test_the_map_averages_to_what_each_pathway_averages_to(frames: int) -> None:
    """The published head pools each pathway by itself; ours pools the map, at any number of frames."""
    model = build_model("slowfast-resnettiny", num_classes=3).double().eval()
    given: list[Tensor] = []
    model.get_submodule("layer4").register_forward_hook(lambda _, __, pair: given.extend(pair))
    clip = torch.randn(1, 3, frames, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        features = model.features(clip)
        pooled = torch.cat([path.mean((2, 3, 4)) for path in given], 1)
        torch.testing.assert_close(features.mean((2, 3, 4)), pooled, **CLOSE)
        torch.testing.assert_close(model(clip), F.linear(pooled, model.head.weight, model.head.bias), **CLOSE)
    assert features.shape[1:3] == (model.num_features, math.ceil(frames / 4))


def test_it_is_a_model_like_others() -> None:
    model = build_model("slowfast-resnettiny", num_classes=3, options={"alpha": 2, "beta_inverse": 4})
    assert model.stage_names() == ["stem", "layer1", "layer2", "layer3", "layer4"]
    assert (model.temporal_stride, model.order_blind, model.num_features) == (2, False, 128 + 32)
    assert model.classifier_keys() == {"fc.weight", "fc.bias"}
    shapes = [tuple(features.shape) for _, features in model.stage_maps(torch.randn(1, 3, 8, 32, 32))]
    # slow channels, those of the lateral connection (twice the fast ones) and fast channels
    assert shapes == [
        (1, 16 + 8 + 4, 4, 8, 8),
        (1, 16 + 8 + 4, 4, 8, 8),
        (1, 32 + 16 + 8, 4, 4, 4),
        (1, 64 + 32 + 16, 4, 2, 2),
        (1, 160, 4, 1, 1),
    ]
    model.train()
    features = torch.ones(1, 160, 3, 1, 1)
    dropped = [model.head(features) for _ in range(2)]
    assert not torch.equal(*dropped)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("slowfast-resnet50-tp", {}, "no -tp"),
        ("slowfast@tophalf-resnet50", {}, "no placement"),
        ("slowfast+se-resnet50", {}, "no other module"),
        ("slowfast-inceptionv1", {}, "torchvision's ResNets"),
        ("slow-efficientnetlite0", {}, "torchvision's ResNets"),
        ("slowfast-resnet50", {"setting": "8x4"}, "8x8"),
        ("slowfast-resnet50", {"alpha": 0}, "1 or more"),
        ("slowfast-resnet50", {"lateral_kernel": 4}, "odd"),
        ("slowfast-resnet50", {"beta_inverse": 7}, "divide"),
    ],
)
def test_what_it_refuses(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        meta_model(name, **options)


def test_objects_are_refused_as_names_are() -> None:
    for given in ({"placement": "top1"}, {"temporal_pooling": True}):
        with pytest.raises(UserError, match="no -tp, no placement"):
            ActionModel.compose(RESNETS["resnettiny"], SlowFast(), num_classes=2, **given)
    with pytest.raises(UserError, match="no other module"):
        ActionModel.compose(RESNETS["resnettiny"], Stack([Tsm(), SlowFast()]), num_classes=2)
    with pytest.raises(UserError, match="two ResNets"):
        ActionModel.compose(InceptionV1Plan(), SlowFast(), num_classes=2)


def test_weights_of_rgb_fit_flow_in_both_pathways() -> None:
    rgb = build_model("slowfast-resnettiny", num_classes=3)
    flow = build_model("slowfast-resnettiny", num_classes=4, in_channels=2)
    load_inflated(flow, rgb.state_dict())
    for stem in ("stem.slow.conv1", "stem.fast.conv1"):
        mean = rgb.get_parameter(f"{stem}.weight").mean(1, keepdim=True)
        assert torch.equal(flow.get_parameter(f"{stem}.weight"), mean.expand(-1, 2, -1, -1, -1))
    assert torch.equal(
        flow.get_parameter("layer4.fast.1.conv2.weight"), rgb.get_parameter("layer4.fast.1.conv2.weight")
    )
    with pytest.raises(UserError, match="ImageNet"):
        build_model("slowfast-resnet50", weights="imagenet")


def test_options_override_the_setting() -> None:
    model = meta_model("slowfast-resnet50", setting="4x16", lateral_kernel=3)
    assert model.temporal_stride == 8
    assert model.get_parameter("layer1.lateral.conv.weight").shape == (64, 32, 3, 1, 1)
    counted = cost(meta_model("slowfast-resnet101", num_layer3_blocks=6), frames=32, size=256)
    assert counted.parameters == 53_774_808
