"""VGG, CNN-M and GoogLeNet of 2014: options, where modules sit, what random and image weights they start from."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from kinema import build_model
from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.models.fully_connected import FullyConnectedHead
from kinema.weights.inflate import load_inflated

NARROW = {"fc_widths": [48, 32]}


def meta(name: str, **arguments: object) -> ActionModel:
    with torch.device("meta"):
        return build_model(name, num_classes=3, **arguments)


def dropped_shares(head: FullyConnectedHead) -> list[float]:
    """Shares of fc6's and fc7's units that training drops, where no ReLU takes any."""
    shares: list[float] = []
    for key in ("0", "3"):
        layer = head.get_submodule(key)
        nn.init.ones_(layer.bias)
        nn.init.zeros_(layer.weight)
    for key in ("3", "6"):
        layer = head.get_submodule(key)
        layer.register_forward_pre_hook(lambda _, given: shares.append((given[0] == 0).float().mean().item()))
    head(torch.zeros(20, 2, 2, 5, 4))
    return shares


@pytest.mark.parametrize(
    ("training", "chances"), [(True, (0.9, 0.8)), (True, (0.5, 0.5)), (True, (0.0, 0.7)), (False, (0.9, 0.8))]
)
def test_each_wide_layer_has_its_own_dropout(training: bool, chances: tuple[float, float]) -> None:
    torch.manual_seed(0)
    head = FullyConnectedHead(2, 3, map_size=2, widths=(500, 500), dropout=chances).train(training)
    expected = chances if training else (0.0, 0.0)
    assert dropped_shares(head) == pytest.approx(expected, abs=0.01)


def test_dropout_of_the_model_is_for_both_layers_unless_the_option_says_otherwise() -> None:
    assert meta("tsn-vgg16", dropout=0.7).head.dropout == (0.7, 0.7)
    temporal = meta("tsn-clarifainet", in_channels=20, dropout=0.7, options={"fc_dropout": [0.9, 0.8]})
    assert temporal.head.dropout == (0.9, 0.8)
    assert temporal.options == {"fc_dropout": [0.9, 0.8]}


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("tsn-vgg16", {"fc_dropout": 0.9}, "fc_dropout must be two numbers, chances for fc6 and fc7.*got 0.9"),
        ("tsn-vgg16", {"fc_dropout": [0.9, 1.0]}, r"dropout must lie in \[0, 1\), got 0.9, 1.0"),
        ("tsn-vgg16", {"fc_dropout": ["a", "b"]}, "fc_dropout must be two numbers"),
        ("tsn-clarifainet", {"fc_widths": [4096]}, "fc_widths must be two numbers from 1"),
        ("tsn-clarifainet", {"fc_widths": [4096, 0]}, r"fc_widths must be two numbers.*got \[4096, 0\]"),
        ("tsn-googlenet", {"aux": "yes"}, "aux must be true or false, got 'yes'"),
        ("tsn-vgg11", {"aux": True}, "unknown option of tsn-vgg11 'aux'"),
        ("tsn-googlenet-tp", {}, "googlenet has no form with -tp.*take inceptionv1"),
    ],
)
def test_wrong_options_are_explained(name: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        meta(name, options=options)


def test_units_are_convolutions() -> None:
    model = meta("tam@top3-vgg11")
    assert list(model.get_submodule("mix").state_dict()) == ["13.taps", "16.taps", "18.taps"]
    inflated = meta("i3d@bottom2-clarifainet").state_dict()
    sizes = {key: value.shape[2] for key, value in inflated.items() if value.ndim == 5}
    assert list(sizes) == [f"features.{index}.weight" for index in (0, 4, 8, 10, 12)]
    assert list(sizes.values()) == [3, 3, 1, 1, 1]


def test_nonlocal_blocks_follow_every_second_convolution_of_the_middle_stages() -> None:
    for name, convolutions in {"vgg16": {"19", "26"}, "vgg19": {"21", "25", "30", "34"}, "clarifainet": {"10"}}.items():
        after = meta(f"nl-{name}").get_submodule("after")
        assert {key.split(".")[0] for key in after.state_dict()} == convolutions
    chosen = meta("nl-vgg16", options={"nl_blocks": ["features.28"]}).get_submodule("after")
    assert {key.split(".")[0] for key in chosen.state_dict()} == {"28"}


@pytest.mark.parametrize("name", ["tsn-vgg11", "tsn-clarifainet", "tsn-googlenet", "i3d-googlenet"])
def test_random_weights_keep_the_size_of_what_goes_forward(name: str) -> None:
    """Nothing but the weights does without norms; drawn by fan out, GoogLeNet's last map grows a hundredfold."""
    torch.manual_seed(0)
    model = build_model(name, num_classes=3, options={} if "googlenet" in name else NARROW).eval()
    with torch.inference_mode():
        spread = model.features(torch.randn(2, 3, 2, 64, 64)).std().item()
    assert 0.1 < spread < 5


def vgg11_of_ones() -> dict[str, Tensor]:
    """Weights under torchvision's keys that take no memory; the first layer's differ by channel."""
    with torch.device("meta"):
        state = torchvision.models.vgg11(init_weights=False).state_dict()
    filled = {key: torch.tensor(0.5).expand(value.shape) for key, value in state.items()}
    filled["features.0.weight"] = torch.arange(3.0).view(1, 3, 1, 1).expand(64, 3, 3, 3)
    return filled


def test_the_temporal_net_starts_from_the_average_over_rgb(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torchvision.models.VGG11_Weights
    monkeypatch.setattr(weights, "get_state_dict", lambda *_, **__: vgg11_of_ones())
    model = build_model("i3d-vgg11", num_classes=3, in_channels=20, weights="imagenet", options={"inflation": "repeat"})
    first = model.get_parameter("features.0.weight")
    assert first.shape == (64, 20, 3, 3, 3)
    assert (first == 1.0).all()  # the mean of 0, 1 and 2, copied and not rescaled
    assert (model.get_parameter("features.3.bias") == 0.5).all()  # a bias is not spread over time
    assert (model.get_parameter("classifier.0.weight") == 0.5).all()
    assert model.preprocessing is not None
    assert model.preprocessing.modality == "flow"
    assert len(model.preprocessing.mean) == 20


@pytest.mark.parametrize("backbone", ["clarifainet", "googlenet"])
def test_there_are_no_image_weights_of_the_old_networks_but_a_file_of_them_loads(backbone: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no ImageNet weights of {backbone}; there are of resnet18"):
        build_model(f"tsn-{backbone}", weights="imagenet")
    options = {"aux": True} if backbone == "googlenet" else NARROW
    image = build_model(f"tsn-{backbone}", num_classes=7, options=options)
    torch.save(image.state_dict(), tmp_path / "image.pth")
    options = {} if backbone == "googlenet" else NARROW
    flow = build_model(
        f"tsn-{backbone}", num_classes=3, in_channels=20, weights=tmp_path / "image.pth", options=options
    )
    key = next(iter(image.state_dict()))
    averaged = image.state_dict()[key].mean(1, keepdim=True).expand_as(flow.state_dict()[key])
    assert torch.equal(flow.state_dict()[key], averaged)
    bias = key.replace("weight", "bias")
    assert torch.equal(flow.state_dict()[bias], image.state_dict()[bias])


@pytest.mark.parametrize(("module", "close"), [("i3d", 1e-9), ("s3d", 1e-5), ("tam", 1e-9), ("conv1d", 1e-9)])
@pytest.mark.parametrize("backbone", ["clarifainet", "googlenet"])
def test_a_still_clip_gets_the_image_networks_scores(module: str, close: float, backbone: str) -> None:
    """Biases included; S3D's fresh norms divide by one only as exactly as float32 holds their running variance."""
    options = {} if backbone == "googlenet" else NARROW
    image = build_model(f"tsn-{backbone}", num_classes=3, options=options).double().eval()
    for key, parameter in image.named_parameters():
        if key.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    video = build_model(f"{module}-{backbone}", num_classes=3, options=options).double().eval()
    load_inflated(video, image.state_dict(), inflation="centre")
    still = torch.randn(1, 3, 1, 48, 48, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(video(still.expand(-1, -1, 4, -1, -1)), image(still), rtol=close, atol=close)


def test_auxiliary_heads_may_be_missing_on_either_side() -> None:
    torch.manual_seed(0)
    with_heads = build_model("tsn-googlenet", num_classes=3, options={"aux": True}).eval()
    without = build_model("tsn-googlenet", num_classes=3).eval()
    load_inflated(without, with_heads.state_dict())
    clip = torch.randn(1, 3, 2, 64, 64)
    with torch.inference_mode():
        assert torch.equal(without(clip), with_heads(clip))
    again = build_model("tsn-googlenet", num_classes=3, options={"aux": True})
    load_inflated(again, without.state_dict())
    assert not torch.equal(again.get_parameter("aux1.fc1.weight"), with_heads.get_parameter("aux1.fc1.weight"))
    load_inflated(again, with_heads.state_dict())
    assert torch.equal(again.get_parameter("aux2.fc2.weight"), with_heads.get_parameter("aux2.fc2.weight"))
    other = build_model("tsn-googlenet", num_classes=4, options={"aux": True})
    load_inflated(other, with_heads.state_dict())  # of other classes: all three classifiers start anew
    assert torch.equal(other.get_parameter("aux2.fc1.weight"), with_heads.get_parameter("aux2.fc1.weight"))
    assert sorted(other.classifier_keys()) == [
        f"{head}.{part}" for head in ("aux1.fc2", "aux2.fc2", "fc") for part in ("bias", "weight")
    ]
