"""What the networks of public code bases were trained on: normalisation, frames and sizes. Loads no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kinema.specs.preprocessing import Preprocessing

KINETICS_112: Final = Preprocessing(
    mean=(0.43216, 0.394666, 0.37645),
    std=(0.22803, 0.22145, 0.216989),
    sampling="dense",
    frames=16,
    stride=2,
    crop_size=112,
    resize=(128, 171),
)
"""torchvision's video ResNets: 15 frames a second, which is every second one of most videos."""

IG65M: Final = replace(KINETICS_112, frames=8, stride=1, resize=(128,))
"""VMZ and ig65m."""

IMAGENET_8: Final = Preprocessing(frames=8, resize=(256,))
"""Eight frames of the whole video, normalised as images are."""

MINUS_ONE_TO_ONE: Final = replace(IMAGENET_8, mean=(0.5,) * 3, std=(0.5,) * 3)
"""The same with values in -1..1, as Inception networks have them."""

FACEBOOK: Final = Preprocessing(
    mean=(0.45,) * 3, std=(0.225,) * 3, frames=32, sampling="dense", stride=2, crop_size=256, resize=(256,)
)
"""PySlowFast and pytorchvideo."""

MFNET: Final = Preprocessing(
    mean=(124 / 255, 117 / 255, 104 / 255),
    std=(1 / (0.0167 * 255),) * 3,  # the code multiplies values of 0..255 by 0.0167
    frames=16,
    sampling="dense",
    stride=2,
    resize=(256, 256),
)
"""PyTorch-MFNet."""

KINETICS_224: Final = replace(KINETICS_112, frames=128, crop_size=224, resize=(256, 256))
"""torchvision's S3D."""

I3D: Final = replace(MINUS_ONE_TO_ONE, frames=64, sampling="all")
"""I3D and its ports: the whole video at 25 frames a second, at least the 64 frames of training."""

S3D: Final = replace(I3D, resize=(256, 256))
"""kylemin's S3D."""

HOWTO100M: Final = Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3, frames=32, sampling="dense", stride=1, resize=(256,))
"""S3D trained on HowTo100M: values in 0..1, 32 frames; their rate is not stated."""
