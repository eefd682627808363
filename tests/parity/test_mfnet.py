"""Multi-fiber networks: the public code's outputs, the unit's slow twin, the paper's counts, and 2-D weights in 3-D."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from noisy_models import noisy_model, random_clips
from published_networks import read_reference
from torch import Tensor

from kinema import build_model
from kinema.errors import CheckpointError, UserError
from kinema.models.backbones.multi_fiber import MultiFiberUnit, NormConv
from kinema.models.cost import cost
from kinema.weights.importing.mfnet import foreign_keys
from kinema.weights.inflate import load_inflated


def test_public_code_agrees(shared_published: Path) -> None:
    reference = read_reference(shared_published, "mfnet-mfnet_3d")
    with torch.device("meta"):
        model = build_model("i3d-mfnet")
    model = model.to_empty(device="cpu")
    keys = foreign_keys(model)
    assert sorted(keys.values()) == sorted(reference.state)
    model.load_state_dict({ours: reference.state[theirs] for ours, theirs in keys.items()})
    with torch.inference_mode():
        logits = model.double().eval()(reference.clip)[0]
    assert ((logits - reference.logits).abs().max() / reference.logits.abs().max()).item() < 1e-9


def test_the_image_networks_file_has_the_same_keys() -> None:
    with torch.device("meta"):
        flat, cube = build_model("tsn-mfnet", num_classes=1000), build_model("i3d-mfnet")
        mixed, other = build_model("conv1d-mfnet"), build_model("tsn-resnettiny")
    assert foreign_keys(flat) == foreign_keys(cube)
    with pytest.raises(CheckpointError, match=r"conv2\.B01\.mix\.conv\.weight of conv1d-mfnet"):
        foreign_keys(mixed)
    with pytest.raises(CheckpointError, match="tsn-resnettiny is none"):
        foreign_keys(other)


def convolved(part: NormConv, clip: Tensor, *, stride: tuple[int, int, int] = (1, 1, 1), groups: int = 1) -> Tensor:
    """Norm, ReLU, and a convolution done fiber by fiber and tap by tap."""
    norm, weight = part.bn, part.conv.weight
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * scale
    clip = (clip * scale.view(-1, 1, 1, 1) + shift.view(-1, 1, 1, 1)).relu()
    kernel = weight.shape[2:]
    padded = F.pad(clip, [side // 2 for side in reversed(kernel) for _ in range(2)])
    fibers = []
    for rows, piece in zip(weight.chunk(groups), padded.chunk(groups, dim=1), strict=True):
        total = torch.zeros(())
        for time in range(kernel[0]):
            for down in range(kernel[1]):
                for right in range(kernel[2]):
                    window = piece[:, :, time:, down:, right:][:, :, : clip.shape[2], : clip.shape[3], : clip.shape[4]]
                    taken = window[:, :, :: stride[0], :: stride[1], :: stride[2]]
                    total = total + torch.einsum("oc,bcthw->bothw", rows[:, :, time, down, right], taken)
        fibers.append(total)
    return torch.cat(fibers, dim=1)


@pytest.mark.parametrize(
    ("name", "stride", "groups"),
    [("conv2.B01", (2, 1, 1), 1), ("conv2.B02", (1, 1, 1), 16), ("conv3.B01", (1, 2, 2), 1)],
)
def test_the_unit_and_its_slow_twin(name: str, stride: tuple[int, int, int], groups: int) -> None:
    """The multiplexer is added to the input of the branch, not of the shortcut; the first unit lets all fibers meet."""
    unit = noisy_model("i3d-mfnet").get_submodule(name)
    assert isinstance(unit, MultiFiberUnit)
    clip = random_clips(2, channels=unit.conv_i1.bn.num_features, frames=5, size=6).requires_grad_()
    found = unit(clip)

    branch = clip + convolved(unit.conv_i2, convolved(unit.conv_i1, clip))
    branch = convolved(unit.conv_m1, branch, stride=stride, groups=16)
    branch = convolved(unit.conv_m2, branch, groups=groups)
    shortcut = clip if unit.conv_w1 is None else convolved(unit.conv_w1, clip, stride=stride)
    expected = branch + shortcut

    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    wanted, weight = [clip, *unit.parameters()], torch.randn_like(expected)
    gradients = [torch.autograd.grad((scores * weight).sum(), wanted) for scores in (found, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


# Multiply-adds in units of 10^9, with the classifier as the paper's; where it prints its own, they are beside.
@pytest.mark.parametrize(
    ("name", "options", "frames", "parameters", "giga"),
    [
        ("i3d-mfnet", {}, 16, 7_996_368, 11.05),  # the paper: 8.0 M, 11.1 G
        ("tsn-mfnet", {}, 1, 5_716_488, 0.859),  # 5.8 M, 861 M
        ("tsn-mfnet", {"multiplexer": False}, 1, 4_486_552, 0.597),  # 4.5 M, 600 M
        ("tsn-mfnet", {"fibers": 12}, 1, 6_555_388, 0.992),  # 5.9 M, 895 M: widths that the paper does not print
        ("tsn-mfnet", {"fibers": 24}, 1, 4_878_496, 0.732),  # 5.8 M, 897 M: the same
        ("tsn-mfnetwide", {}, 1, 6_406_568, 0.894),  # 6.4 M, 897 M
        ("tsn-resnext26", {}, 1, 6_290_216, 1.088),  # 6.3 M, 1.1 G
        ("tsn-mfresnet18", {}, 1, 9_716_744, 1.610),  # 9.6 M, 1.6 G
        ("tsn-mfmobilenetv2", {}, 1, 5_995_480, 0.580),  # 6.0 M, 578 M
        ("tsn-mobilenetv2", {"width_multiplier": 1.4}, 1, 6_108_776, 0.582),  # 6.9 M, 585 M
    ],
)
def test_counts(name: str, options: dict[str, object], frames: int, parameters: int, giga: float) -> None:
    with torch.device("meta"):
        model = build_model(name, num_classes=400 if name.startswith("i3d") else 1000, options=options)
    counted = cost(model, frames=frames)
    classifier = model.head.classifier.weight.numel()
    assert counted.parameters == parameters
    decimals = 2 if frames > 1 else 3
    assert round((counted.macs + classifier) / 1e9, decimals) == giga


@pytest.mark.parametrize(("module", "stride"), [("i3d", 2), ("s3d", 2), ("tsn", 1), ("tam", 1), ("i3d@top3", 1)])
def test_only_a_convolution_over_time_halves_it(module: str, stride: int) -> None:
    with torch.device("meta"):
        model = build_model(f"{module}-mfnet")
        assert model.temporal_stride == stride
        assert model.features(torch.empty(1, 3, 8, 64, 64)).shape == (1, 768, 8 // stride, 2, 2)


@pytest.mark.parametrize("inflation", ["mean", "centre"])
def test_image_weights_inflate(inflation: str) -> None:
    """A still clip gets the image network's stem map: "mean" divides by the frames that a kernel covers."""
    image_model = noisy_model("tsn-mfnet")
    model = build_model("i3d-mfnet", num_classes=image_model.num_classes, options={"inflation": inflation}).double()
    load_inflated(model, image_model.state_dict(), inflation=inflation)
    middle = {key: value for key, value in model.state_dict().items() if key.endswith("conv_m1.conv.weight")}
    assert len(middle) == 16
    for key, value in middle.items():
        torch.testing.assert_close(value.sum(2), image_model.state_dict()[key])
    still = random_clips(1, frames=1).expand(-1, -1, 7, -1, -1)
    with torch.inference_mode():
        expected = dict(image_model.stage_maps(still[:, :, :1]))
        found = dict(model.eval().stage_maps(still))
    torch.testing.assert_close(found["stem"][:, :, 3], expected["stem"][:, :, 0], rtol=1e-9, atol=1e-9)
    if inflation == "centre":
        last = found["tail"]
        torch.testing.assert_close(last, expected["tail"].expand_as(last), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("i3d-mfnet-tp", {}, "halves time in its first unit"),
        ("tsn-mfnet", {"fibers": 10}, "fibers must divide the 96 channels"),
        ("tsn-mfmobilenetv2", {"fibers": 12}, "fibers must be one of"),
        ("tsn-mobilenetv2", {"width_multiplier": 0.0}, "width_multiplier must be above 0"),
        ("tsn-mobilenetv2", {"fibers": 2}, "unknown option"),
    ],
)
def test_what_does_not_fit_is_explained(name: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told), torch.device("meta"):
        build_model(name, options=options)
