"""Weights from ImageNet, from files, for other inputs and heads; and what is said when they do not fit."""

import json
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor

from kinema import build_model
from kinema.errors import CheckpointError, UserError
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.download import read_imagenet
from kinema.weights.imagenet import IMAGENET
from kinema.weights.inflate import adapt_input, inflate, load_inflated
from kinema.weights.state_dicts import read_state_dict

IMAGES = {"chelsea.jpg": {281, 282, 285}, "coffee.png": {967}, "dog2.jpg": {254}, "dog3.jpg": {187}}
"""Check images with the ImageNet classes that are right: a cat (three kinds), espresso, a pug, a Yorkshire terrier."""


def image_clip(path: Path, preprocessing: Preprocessing, frames: int = 1) -> Tensor:
    """Short side to 256, centre crop, normalise; the image repeated, ``b c t h w``."""
    image = Image.open(path).convert("RGB")
    (short,) = preprocessing.resize
    scale = short / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - preprocessing.crop_size) // 2, (image.height - preprocessing.crop_size) // 2
    pixels = np.asarray(image)[top : top + preprocessing.crop_size, left : left + preprocessing.crop_size]
    normalised = (pixels / 255.0 - preprocessing.mean) / preprocessing.std
    return torch.from_numpy(normalised).float().permute(2, 0, 1)[None, :, None].expand(-1, -1, frames, -1, -1)


@pytest.mark.parametrize(("module", "frames"), [("tsn", 1), ("i3d", 3), ("tam", 2), ("s3d", 2)])
def test_real_efficientnet_weights_name_real_images(shared_data: Path, module: str, frames: int) -> None:
    """Also inflated at the centre: a still clip gets the image network's answer."""
    model = build_model(
        f"{module}-efficientnetlite0", num_classes=1000, weights="imagenet", options={"inflation": "centre"}
    ).eval()
    assert model.tag == f"{module}-efficientnetlite0.imagenet"
    assert model.preprocessing is not None
    names = list(IMAGES) if module == "tsn" else ["dog2.jpg"]
    for name in names:
        clip = image_clip(shared_data / "models" / "check_images" / name, model.preprocessing, frames)
        with torch.inference_mode():
            scores = model(clip)[0].softmax(0)
        assert int(scores.argmax()) in IMAGES[name]
        assert scores.max() > 0.3


def test_our_image_input_gives_squeezenets_expected_logits(shared_data: Path) -> None:
    """Trained weights with logits computed elsewhere: an error in resizing, cropping or normalising would show."""
    folder = shared_data / "models"
    network = torchvision.models.squeezenet1_0().eval()
    network.load_state_dict(read_state_dict(folder / "squeezenet1_0_imagenet.npz")[0])
    expected = json.loads((folder / "expected_top5.json").read_text())
    with np.load(folder / "expected_logits.npz") as arrays:
        expected_logits = dict(zip(arrays["names"].tolist(), arrays["logits"], strict=True))
    for name in IMAGES:
        clip = image_clip(folder / "check_images" / name, Preprocessing(resize=(256,)))
        with torch.inference_mode():
            found = network(clip[:, :, 0])[0].numpy()
        np.testing.assert_allclose(found, expected_logits[name], atol=2e-3)
        assert found.argsort()[::-1][:5].tolist() == [row[0] for row in expected[name]]


def test_package_weights_fill_every_tensor() -> None:
    model = build_model("tsn-efficientnetlite0", num_classes=1000, weights="imagenet")
    published = read_imagenet("efficientnetlite0")
    assert len(published) == len(model.state_dict())
    state = model.state_dict()
    for key, value in published.items():
        assert torch.equal(state[key.removeprefix("_").replace("._", ".")], value)


def test_without_a_network_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", unreachable)
    with pytest.raises(UserError, match=r"no route to host.*download https://.*give the file's path"):
        build_model("tsn-resnet18", weights="imagenet")


@pytest.mark.parametrize("backbone", [name for name in IMAGENET if IMAGENET[name].source == "torchvision"])
def test_torchvision_weights_load(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files cannot be had here; their keys can: torchvision's own networks, auxiliary heads included."""
    record = IMAGENET[backbone]
    weights = torchvision.models.get_weight(record.entry)
    from_googlenet = record.entry.startswith("GoogLeNet")
    options = {"init_weights": False} if from_googlenet else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(weights.__class__.__name__.removesuffix("_Weights").lower(), **options)
    half = torch.tensor(0.5)  # a view of it has any shape and takes no memory
    filled = {key: half.expand(value.shape) for key, value in network.state_dict().items()}
    monkeypatch.setattr(type(weights), "get_state_dict", lambda *_, **__: filled)
    model = build_model(f"i3d-{backbone}", num_classes=1000, weights="imagenet", options={"inflation": "repeat"})
    assert all((value == 0.5).all() for key, value in model.state_dict().items() if not key.endswith("tracked"))
    mean = (0.5,) * 3 if from_googlenet else (0.485, 0.456, 0.406)
    assert model.preprocessing == record.preprocessing
    assert record.preprocessing.mean == mean


def test_published_accuracies_are_those_of_the_records() -> None:
    for record in IMAGENET.values():
        if record.source == "torchvision":
            meta = torchvision.models.get_weight(record.entry).meta
            assert meta["_metrics"]["ImageNet-1K"]["acc@1"] == record.top1


def test_resnettiny_has_no_imagenet_weights() -> None:
    with pytest.raises(UserError, match="no ImageNet weights of resnettiny; there are of resnet18"):
        build_model("tsn-resnettiny", weights="imagenet")


def test_inflation_rules() -> None:
    weight = torch.tensor([[[[6.0]]]])
    assert inflate(weight, 3, how="mean").flatten().tolist() == [2.0, 2.0, 2.0]
    assert inflate(weight, 3, how="repeat").flatten().tolist() == [6.0, 6.0, 6.0]
    assert inflate(weight, 3, how="centre").flatten().tolist() == [0.0, 6.0, 0.0]
    with pytest.raises(UserError, match="repeat"):
        inflate(weight, 3, how="repeated")


def test_input_channels_are_averaged_and_copied() -> None:
    weight = torch.arange(6.0).view(2, 3, 1, 1)
    adapted = adapt_input(weight, 4)
    assert adapted[..., 0, 0].tolist() == [[1.0] * 4, [4.0] * 4]
    assert adapt_input(weight, 3) is weight


def test_flow_networks_start_from_rgb_weights() -> None:
    model = build_model("i3d-efficientnetlite0", num_classes=7, in_channels=2, weights="imagenet")
    published = read_imagenet("efficientnetlite0")["_conv_stem.weight"].mean(1)
    for channel in range(2):
        for time in range(3):
            torch.testing.assert_close(model.conv_stem.weight[:, channel, time], published / 3)
    assert model.preprocessing is not None
    assert model.preprocessing.modality == "flow"
    assert len(model.preprocessing.mean) == len(model.preprocessing.std) == 2
    assert model(torch.randn(1, 2, 2, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_a_file_of_weights_is_read(tmp_path: Path, suffix: str) -> None:
    model = build_model("tsm-resnettiny", num_classes=4)
    path = tmp_path / f"mine{suffix}"
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, path)
    elif suffix == ".npz":
        np.savez(path, **{key: value.numpy() for key, value in state.items()})
    else:
        from safetensors.torch import save_file

        save_file(state, path)
    again = build_model("tsm-resnettiny", num_classes=4, weights=path)
    assert again.tag == "tsm-resnettiny.mine"
    for key, value in again.state_dict().items():
        assert torch.equal(value, state[key])
    other = build_model("tsm-resnettiny", num_classes=9, weights=path)  # another head keeps its own first weights
    assert torch.equal(other.conv1.weight, model.conv1.weight)
    assert other.fc.out_features == 9


def test_video_weights_must_have_the_modules_parts() -> None:
    tam, tsn = (build_model(f"{module}-resnettiny", num_classes=2) for module in ("tam", "tsn"))
    load_inflated(tam, tsn.state_dict())  # an image network's: the taps stay as they start
    partly = {key: value for key, value in tam.state_dict().items() if key != "layer1.0.mix.taps"}
    with pytest.raises(CheckpointError, match=r"1 missing: layer1\.0\.mix\.taps"):
        load_inflated(tam, partly)
    with pytest.raises(CheckpointError, match=r"unknown: layer1\.0\.mix\.taps"):
        load_inflated(tsn, tam.state_dict())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(build_model("tsn-resnettiny", num_classes=2).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"other\.pth do not fit tsn-resnet18: .*another shape.*conv1\.weight"):
        build_model("tsn-resnet18", weights=path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code of the file ran",)


def test_bad_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = tmp_path / "good.pth"
    torch.save({"a": torch.zeros(100)}, good)
    bad = {
        "truncated.pth": good.read_bytes()[:-200],
        "empty.pth": b"",
        "text.pth": b"not weights",
        "text.safetensors": b"not weights at all",
        "text.npz": b"not weights",
        "evil.pth": pickle.dumps({"a": Evil()}),
    }
    torch.save({"a": 1, "b": "text"}, tmp_path / "values.pth")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    for name in (*bad, "values.pth", "list.pth", "absent.pth"):
        with pytest.raises(CheckpointError, match=name):
            build_model("tsn-resnettiny", weights=tmp_path / name)
    assert "ran" not in capsys.readouterr().out
    with pytest.raises(UserError, match="did you mean imagenet"):
        build_model("tsn-resnettiny", weights="imagnet")


def test_preprocessing_survives_json() -> None:
    written = Preprocessing(
        mean=(0.5,), std=(0.25,), frames=16, sampling="dense", stride=2, resize=(128, 171), crop_size=112
    )
    assert Preprocessing.from_dict(json.loads(json.dumps(written.to_dict()))) == written


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"crop": 224}, "did you mean crop_size"),
        ({"sampling": "unifrom"}, "did you mean uniform"),
        ({"mean": [0.5]}, "one value for each channel"),
        ({"std": [0.0, 1.0, 1.0]}, "std > 0"),
        ({"frames": 0}, "1 or more"),
        ({"resize": [1, 2, 3]}, "resize"),
    ],
)
def test_wrong_preprocessing_is_explained(values: dict[str, object], told: str) -> None:
    with pytest.raises(UserError) as raised:
        Preprocessing.from_dict(values)
    assert told in str(raised.value)
