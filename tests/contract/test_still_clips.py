"""Boring video: a still image repeated must get what the image network says of it, once its weights are inflated."""

import pytest
import torch
from noisy_models import SIZE, noisy_model, random_clips
from torch import Tensor

from kinema import build_model
from kinema.models.action_model import ActionModel
from kinema.weights.inflate import load_inflated

# Frames from the border that a change can travel: one for each temporal kernel of 3 (17 in i3d-, 8 in tsm-resnettiny).
RADIUS = 17


def inflated(name: str, image_model: ActionModel, inflation: str) -> ActionModel:
    model = build_model(name, num_classes=image_model.num_classes).double().eval()
    load_inflated(model, image_model.state_dict(), inflation=inflation)
    return model


def still(frames: int) -> Tensor:
    return random_clips(1, frames=1).expand(-1, -1, frames, -1, -1)


@pytest.mark.parametrize(
    ("module", "backbone"),
    [
        *((module, "resnettiny") for module in ("i3d", "tam", "conv1d", "nl")),
        *((module, "inceptionv1") for module in ("i3d", "s3d", "tam", "conv1d", "nl")),
        *((module, "efficientnetlite0") for module in ("i3d", "s3d", "tam", "conv1d", "nl")),
        ("i3d", "resnet50"),
        ("s3d", "resnet50"),
    ],
)
@pytest.mark.parametrize("pooling", ["", "-tp"])
def test_centre_inflation_gives_the_image_networks_map_everywhere(module: str, backbone: str, pooling: str) -> None:
    image_model = noisy_model(f"tsn-{backbone}")
    with torch.inference_mode():
        expected = image_model.features(still(1))
        found = inflated(f"{module}-{backbone}{pooling}", image_model, "centre").features(still(8))
    assert found.shape[2] == (1 if pooling else 8)
    # S3D's fresh norms divide by one only as exactly as float32 holds their running variance
    close = 1e-5 if module == "s3d" else 1e-9
    torch.testing.assert_close(found, expected.expand_as(found), rtol=close, atol=close)


def test_s3d_rectifies_the_end_of_a_basic_block() -> None:
    """There the image network has no ReLU before the sum and S3D has one, so its first answers differ by design."""
    image_model = noisy_model("tsn-resnettiny")
    s3d = inflated("s3d-resnettiny", image_model, "centre")
    with torch.inference_mode():
        maps = dict(s3d.stage_maps(still(3)))
        torch.testing.assert_close(maps["stem"][:, :, 1:2], dict(image_model.stage_maps(still(1)))["stem"])
        block = s3d.get_submodule("layer1.0")
        branch = block.bn2(block.conv2(block.activated1(torch.relu(block.bn1(block.conv1(maps["stem"]))))))
        torch.testing.assert_close(block.activated2(branch), branch.relu(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["i3d-resnettiny", "tsm-resnettiny"])
def test_mean_inflation_gives_it_away_from_the_border(name: str) -> None:
    image_model = noisy_model("tsn-resnettiny")
    with torch.inference_mode():
        expected = image_model.features(still(1))[:, :, 0]
        found = inflated(name, image_model, "mean").features(still(2 * RADIUS + 1))
    torch.testing.assert_close(found[:, :, RADIUS], expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(found[:, :, 0], expected, rtol=1e-3)  # at the border zeros come in


def test_repeat_inflation_triples_the_first_response() -> None:
    image_model = noisy_model("tsn-resnettiny")
    repeated = inflated("i3d-resnettiny", image_model, "repeat")
    with torch.inference_mode():
        expected = 3 * image_model.conv1(still(3))[:, :, 1]
        torch.testing.assert_close(repeated.conv1(still(3))[:, :, 1], expected, rtol=1e-9, atol=1e-9)


def test_sizes_are_not_special() -> None:
    """The image network itself agrees on a clip of one frame and of many, so the tests above compare like with like."""
    image_model = noisy_model("tsn-resnettiny")
    with torch.inference_mode():
        torch.testing.assert_close(image_model(still(1)), image_model(still(6)), rtol=1e-12, atol=1e-12)
    assert still(6).shape == (1, 3, 6, SIZE, SIZE)
