"""Big-Little ResNet: the published cost, and a stage spelled out pixel by pixel."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema import build_model
from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.models.cost import cost
from kinema.weights.inflate import load_inflated

CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def noisy(name: str, **options: object) -> ActionModel:
    model = build_model(name, num_classes=3, options=options).double().eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 1.5)
    return model


def test_cost_is_the_papers() -> None:
    """Its authors give 2.85 G for one image of 224 x 224; the parameters are ours, held so that they stay."""
    counted = cost("tsn-blresnet50", frames=1, num_classes=1000)
    assert counted.parameters == 26_694_568
    assert round(counted.macs / 1e9, 2) == 2.85


def normed(conv: nn.Module, norm: nn.Module, image: Tensor, *, stride: int = 1) -> Tensor:
    out = F.conv2d(image, conv.weight, stride=stride, padding=conv.weight.shape[-1] // 2)
    return F.batch_norm(out, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5)


def bottleneck(model: ActionModel, name: str, image: Tensor, *, stride: int = 1) -> Tensor:
    block = model.get_submodule(name)
    branch = normed(block.conv1, block.bn1, image).relu()
    branch = normed(block.conv3, block.bn3, normed(block.conv2, block.bn2, branch, stride=stride).relu())
    if stride == 2:
        padded, height, width = F.pad(image, (1, 1, 1, 1)), -(-image.shape[2] // 2), -(-image.shape[3] // 2)
        windows = [
            padded[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].sum((2, 3)) / 9
            for row in range(height)
            for column in range(width)
        ]
        image = torch.stack(windows, 2).unflatten(2, (height, width))
    own = [part for part in block.downsample.modules() if isinstance(part, nn.Conv2d | nn.BatchNorm2d)]
    if own:
        image = normed(*own, image)
    return (branch + image).relu()


@pytest.mark.parametrize("size", [64, 56])
def test_a_stage_adds_its_branches(size: int) -> None:
    """The first stage has two big blocks, one little one and one behind the sum; 56 pixels make odd maps."""
    model = noisy("tsn-blresnet50")
    clip = torch.randn(1, 3, 1, size, size, dtype=torch.float64)
    with torch.inference_mode():
        maps = dict(model.stage_maps(clip))
        image, stem = clip[:, :, 0], model.get_submodule("stem")
        first = normed(stem.first.conv, stem.first.bn, image, stride=2).relu()
        little = normed(stem.little[0].conv, stem.little[0].bn, first).relu()
        little = normed(stem.little[1].conv, stem.little[1].bn, little, stride=2).relu()
        total = normed(stem.big.conv, stem.big.bn, first, stride=2)
        total = (total + normed(stem.little[2].conv, stem.little[2].bn, little)).relu()
        expected = normed(stem.last.conv, stem.last.bn, total).relu()
        torch.testing.assert_close(maps["stem"][:, :, 0], expected, **CLOSE)

        big = bottleneck(model, "layer1.big.0", expected, stride=2)
        block = model.get_submodule("layer1.big.1")
        branch = normed(block.conv2, block.bn2, normed(block.conv1, block.bn1, big).relu()).relu()
        big = big + normed(block.conv3, block.bn3, branch)  # the last ReLU waits for the sum
        widen = model.get_submodule("layer1.widen")
        little = normed(widen.conv, widen.bn, bottleneck(model, "layer1.little.0", expected))
        rows = [row * big.shape[2] // little.shape[2] for row in range(little.shape[2])]
        columns = [column * big.shape[3] // little.shape[3] for column in range(little.shape[3])]
        total = (big[:, :, rows][:, :, :, columns] + little).relu()
        block = model.get_submodule("layer1.fusion.0")
        found = model.get_submodule("layer1")(maps["stem"])
        torch.testing.assert_close(found, block(total.unsqueeze(2)), **CLOSE)
        assert found.shape[3] == -(-size // 8)


@pytest.mark.parametrize("name", ["i3d-blresnet50", "i3d-blresnet50-tp", "tam-blresnet50-tp"])
def test_a_still_clip_gets_the_image_networks_map(name: str) -> None:
    image_model = noisy("tsn-blresnet50", bl_alpha=4)
    video_model = noisy(name, bl_alpha=4)
    load_inflated(video_model, image_model.state_dict(), inflation="centre")
    still = torch.randn(1, 3, 1, 32, 32, dtype=torch.float64).expand(-1, -1, 8, -1, -1)
    with torch.inference_mode():
        expected = image_model.features(still[:, :, :1])
        found = video_model.features(still)
    assert found.shape[2] == 8 // video_model.temporal_stride
    torch.testing.assert_close(found, expected.expand_as(found), **CLOSE)


def test_blocks_have_the_names_that_options_use() -> None:
    with torch.device("meta"):
        usual = build_model("nl-blresnet50")
        chosen = build_model("nl-blresnet50", options={"nl_blocks": ["layer1.fusion.0", "layer3.little.0"]})
    at = [name for name, _ in usual.named_modules() if name.endswith("after.theta")]
    wanted = ["layer2.big.1", "layer2.fusion.0", "layer3.big.1", "layer3.big.3", "layer3.fusion.0"]
    assert at == [f"{name}.after.theta" for name in wanted]
    assert "layer1.fusion.0.after.out.weight" in chosen.state_dict()
    assert "layer3.little.0.after.out.weight" in chosen.state_dict()


def test_placement_counts_branches_in_turn() -> None:
    with torch.device("meta"):
        model = build_model("tam@bottom4-blresnet50")
    assert [key for key in model.state_dict() if key.endswith("taps")] == [
        f"layer1.{block}.mix.taps" for block in ("big.0", "big.1", "little.0", "fusion.0")
    ]


@pytest.mark.parametrize("options", [{"bl_alpha": 3}, {"bl_beta": 0}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match="bl_alpha must divide 64"):
        build_model("tsn-blresnet50", options=options)


def test_fewer_blocks_for_each_little_one() -> None:
    with torch.device("meta"):
        model = build_model("tsn-blresnet50", options={"bl_beta": 2})
    assert [len(model.get_submodule(f"layer{stage}.little")) for stage in (1, 2, 3)] == [1, 1, 2]
