"""The R(2+1)D paper's networks: counts, torchvision's and VMZ's answers, and slow twins of the parts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from noisy_models import NUM_CLASSES, noisy, noisy_model
from published_networks import read_reference
from torch import Tensor, nn

from kinema import build_model
from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.models.cost import cost
from kinema.models.sites import ConvSpec
from kinema.models.temporal.r2d import R2d
from kinema.models.temporal.r2plus1d import Conv2Plus1d, R2plus1d, middle_width
from kinema.weights.importing import torchvision_models, vmz
from kinema.weights.inflate import load_inflated

CLOSE = {"rtol": 1e-9, "atol": 1e-9}

# Parameters with 400 classes, multiply-adds of one clip of 8 x 112 x 112 with as many decimals as were published, and
# time steps of the last map; the parameters are the paper's Table 2 to its precision.
COUNTS = {
    "r3d-vresnet18": (33_371_472, "20.3", 1),
    "mc2-vresnet18": (11_400_528, "14.3", 8),
    "mc3-vresnet18": (11_695_440, "21.7", 8),
    "mc4-vresnet18": (12_727_632, "20", 4),
    "mc5-vresnet18": (16_856_400, "20", 2),
    "rmc2-vresnet18": (33_352_656, "19.9", 1),
    "rmc3-vresnet18": (33_057_744, "12.5", 1),
    "rmc4-vresnet18": (32_025_552, "14.5", 2),
    "rmc5-vresnet18": (27_896_784, "15.4", 4),
    "f-r2d": (11_381_712, "13.8", 8),
    "r2d-vresnet18": (11_447_568, "1.9", 1),
    "r2plus1d-vresnet18": (33_370_839, "20.7", 1),
    "r2plus1d-vresnet34": (63_697_175, "38.1", 1),
    "r3d-vresnet34": (63_681_104, "37.7", 1),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str) -> None:
    parameters, giga, time_steps = COUNTS[name]
    counted = cost(name, frames=8, size=112)
    assert counted.parameters == parameters
    assert f"{counted.macs / 1e9:.{len(giga.partition('.')[2])}f}" == giga
    assert 8 // counted.temporal_stride == time_steps


def test_counts_of_other_lengths_and_rules() -> None:
    assert cost("r2d-vresnet18", frames=16, size=112).parameters == 11_522_832
    assert round(cost("r2plus1d-vresnet34", frames=32, size=112).macs / 1e9, 2) == 152.36
    for name, parameters in {"r2plus1d-vresnet18": 31_505_325, "r2plus1d-vresnet34": 61_831_661}.items():
        with torch.device("meta"):
            model = build_model(name, options={"width_rule": "block"})
        assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def middle_widths(name: str, rule: str) -> dict[str, int]:
    with torch.device("meta"):
        model = build_model(name, options={"width_rule": rule})
    return {key: part.norm.num_features for key, part in model.named_modules() if isinstance(part, Conv2Plus1d)}


def test_middle_widths_are_counted_by_convolution_or_by_block() -> None:
    first_blocks = {"layer1.0": (144, 144), "layer2.0": (230, 288), "layer3.0": (460, 576), "layer4.0": (921, 1152)}
    own, by_block = (middle_widths("r2plus1d-vresnet18", rule) for rule in ("conv", "block"))
    assert own["conv1"] == by_block["conv1"] == 45
    for block, (first, second) in first_blocks.items():
        assert (own[f"{block}.conv1"], own[f"{block}.conv2"]) == (first, second)
        assert (by_block[f"{block}.conv1"], by_block[f"{block}.conv2"]) == (first, first)
        behind = block.replace(".0", ".1")
        assert own[f"{behind}.conv1"] == own[f"{behind}.conv2"] == by_block[f"{behind}.conv2"] == second


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize(("num_in", "num_out"), [(1, 1), (3, 64), (64, 64), (64, 128), (96, 208)])
def test_a_middle_width_is_the_widest_that_costs_no_more_weights(kernel: int, num_in: int, num_out: int) -> None:
    whole = 3 * kernel * kernel * num_in * num_out
    width = 0
    while (width + 1) * (kernel * kernel * num_in + 3 * num_out) <= whole:
        width += 1
    assert middle_width(num_in, num_out, kernel=kernel) == width


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_a_split_convolution_is_space_then_time(groups: int) -> None:
    spec = ConvSpec(
        in_channels=8,
        out_channels=16 if groups < 8 else 8,
        kernel=3,
        stride=2,
        groups=groups,
        role="spatial",
        kernel_time=3,
        stride_time=2,
        norm_eps=1e-3,
    )
    part = noisy(R2plus1d().conv(spec))
    assert isinstance(part, Conv2Plus1d)
    clip = torch.randn(2, 8, 5, 7, 6, dtype=torch.float64)
    space = F.conv3d(clip, part.spatial.weight.unsqueeze(2), None, (1, 2, 2), (0, 1, 1), groups=groups)
    norm = part.norm
    inner = F.batch_norm(space, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-3).relu()
    expected = F.conv3d(inner, part.temporal.weight, None, (2, 1, 1), (1, 0, 0), groups=groups)
    torch.testing.assert_close(part(clip), expected, **CLOSE)


@pytest.mark.parametrize("same_padding", [False, True])
def test_r2d_sees_frames_as_channels(same_padding: bool) -> None:
    spec = ConvSpec(in_channels=3, out_channels=4, kernel=7, stride=2, role="stem", same_padding=same_padding)
    part = noisy(R2d(frames=5).conv(spec))
    clip = torch.randn(2, 3, 5, 8, 8, dtype=torch.float64)
    padded = F.pad(clip, (2, 3, 2, 3) if same_padding else (3, 3, 3, 3))
    found = part(clip)
    assert found.shape == (2, 4, 1, 4, 4)
    torch.testing.assert_close(found, F.conv3d(padded, part.weight, None, (1, 2, 2)), **CLOSE)


def test_r2d_says_which_clips_it_wants() -> None:
    with pytest.raises(UserError, match=r'options=\{"frames": 8\}'):
        build_model("r2d-vresnet18")
    with pytest.raises(UserError, match="1 or more, got -1"):
        build_model("r2d-vresnet18", options={"frames": -1})
    with pytest.raises(UserError, match="acts in the stem alone"):
        build_model("r2d@top2-resnettiny", options={"frames": 8})
    model = build_model("r2d-resnettiny", options={"frames": 4})
    assert (model.num_frames, model.temporal_stride) == (4, 4)
    with pytest.raises(UserError, match=r"built for clips of 4 frames, .* got 5; sample 4, or build it anew"):
        model(torch.zeros(1, 3, 5, 32, 32))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("r3d-vresnet18-tp", "vresnet18 has no form with -tp: its temporal convolutions stride time"),
        ("mc3-vresnet18-tp", "vresnet18 has no form with -tp"),
        ("r2d-resnet18-tp", "r2d has no form with -tp"),
        ("r2d+tsm-vresnet18", "r2d and tsm do not go together: behind the stem"),
        ("i3d+r2plus1d-vresnet18", "both replace the backbone's convolutions"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build_model(name)
    with pytest.raises(UserError, match="norm_eps must be greater than 0"):
        build_model("f-r2d", options={"norm_eps": 0})
    with pytest.raises(UserError, match="no ImageNet weights of vresnet18"):
        build_model("f-r2d", weights="imagenet")
    with pytest.raises(UserError, match="r2plus1d-resnettiny cannot start from ImageNet weights: it makes two"):
        build_model("r2plus1d-resnettiny", weights="imagenet")


def load_foreign(model: ActionModel, state: dict[str, Tensor], keys: dict[str, str]) -> None:
    assert keys.keys() == model.state_dict().keys()
    assert sorted(keys.values()) == sorted(state)
    load_inflated(model, {own: state[foreign] for own, foreign in keys.items()})


def without_initial_values(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        model = make()
    return model.double().to_empty(device="cpu").eval()


@pytest.mark.parametrize("network", torchvision_models.VIDEO_NETWORKS)
def test_torchvision_agrees(network: str) -> None:
    name, options = torchvision_models.VIDEO_NETWORKS[network]
    ours = noisy_model(name, options=dict(options))
    keys = torchvision_models.video_keys(ours)
    theirs = without_initial_values(lambda: getattr(torchvision.models.video, network)(num_classes=NUM_CLASSES))
    wanted = theirs.state_dict()
    theirs.load_state_dict({keys[own]: value.view(wanted[keys[own]].shape) for own, value in ours.state_dict().items()})
    clip = torch.randn(1, 3, 5, 17, 16, dtype=torch.float64)
    scores, expected = ours(clip), theirs(clip)
    torch.testing.assert_close(scores, expected, **CLOSE)
    weight = torch.randn_like(scores)
    (scores * weight).sum().backward()
    (expected * weight).sum().backward()
    gradients = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    for key, parameter in ours.named_parameters():
        expected = gradients[keys[key]].view(parameter.shape)
        # one pass over the millions of a kernel; assert_close takes ten
        assert (parameter.grad - expected).abs().max() <= 1e-9 * max(expected.abs().max().item(), 1.0), key


def check_published(folder: Path, network: str, name: str, options: dict[str, object]) -> None:
    reference = read_reference(folder, network)
    model = without_initial_values(lambda: build_model(name, options=options))
    assert isinstance(model, ActionModel)
    load_foreign(model, reference.state, torchvision_models.video_keys(model))
    with torch.inference_mode():
        logits = model(reference.clip)[0]
    assert ((logits - reference.logits).abs().max() / reference.logits.abs().max()).item() < 1e-9


@pytest.mark.parametrize("network", torchvision_models.VIDEO_NETWORKS)
def test_published_torchvision_outputs(shared_published: Path, network: str) -> None:
    name, options = torchvision_models.VIDEO_NETWORKS[network]
    check_published(shared_published, f"torchvision-{network}", name, dict(options))


def test_published_ig65m_and_vmz_outputs(shared_published: Path) -> None:
    name, options = vmz.NETWORKS["r2plus1d_34"]
    check_published(shared_published, "ig65m-r2plus1d_34", name, dict(options))
    ig65m, of_vmz = (
        json.loads((shared_published / "keys" / f"{source}-r2plus1d_34.output.json").read_text())
        for source in ("ig65m", "vmz")
    )
    assert all(ig65m[field] == of_vmz[field] for field in ("keys_file", "weights_sha256", "clip_shape", "logits"))


def norm_blobs(stem: str) -> list[str]:
    return [f"{stem}_{ending}" for ending in ("s", "b", "rm", "riv")]


def expected_blobs(depth: int, *, split: bool) -> list[str]:
    """The names in VMZ's Caffe2 files, written out block by block."""
    blobs = ["conv1_w", *norm_blobs("conv1_spatbn_relu"), "last_out_L400_w", "last_out_L400_b"]
    if split:
        blobs += ["conv1_middle_w", *norm_blobs("conv1_middle_spatbn_relu")]
    number = 0
    for stage, num_blocks in enumerate({18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}[depth]):
        for block in range(num_blocks):
            for conv in (1, 2):
                blobs += [f"comp_{number}_conv_{conv}_w", *norm_blobs(f"comp_{number}_spatbn_{conv}")]
                if split:
                    blobs += [f"comp_{number}_conv_{conv}_middle_w"]
                    blobs += norm_blobs(f"comp_{number}_spatbn_{conv}_middle")
            if stage > 0 and block == 0:
                blobs += [f"shortcut_projection_{number}_w", *norm_blobs(f"shortcut_projection_{number}_spatbn")]
            number += 1
    return blobs


@pytest.mark.parametrize("kind", vmz.CAFFE2_NETWORKS)
@pytest.mark.parametrize("depth", [18, 34])
def test_caffe2_names(kind: str, depth: int) -> None:
    options = {"frames": 8} if kind == "r2d" else {}
    with torch.device("meta"):
        model = build_model(vmz.CAFFE2_NETWORKS[kind].format(depth=depth), options=options)
    blobs = vmz.caffe2_keys(model)
    assert sorted(blobs.values()) == sorted(expected_blobs(depth, split=kind == "r2plus1d"))
    assert model.state_dict().keys() - blobs.keys() == {
        key for key in vmz.foreign_keys(model) if key.endswith("num_batches_tracked")
    }
    assert blobs["layer2.0.bn1.running_var"] == ("comp_2_spatbn_1_riv" if depth == 18 else "comp_3_spatbn_1_riv")
