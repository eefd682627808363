"""What the five papers print about the cost of networks, row by row, and which of our models stands for each."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import torch

from kinema import build_model, cost
from kinema.models.cost import Cost


class Row(NamedTuple):
    """One row of a paper's table.

    Attributes:
        label: The network as the paper calls it.
        model: Our name; empty where the paper quotes a network that this library does not have.
        parameters: As printed, such as ``"33.4 M"``; empty where nothing is.
        macs: As printed, such as ``"861 M"``; empty where nothing is.
        reason: Why ours differs by more than rounding (or cutting) at the printed digit, or why there is no model.
        options: Options of the model.
        clip: Frames, and height and width in pixels.
        classes: Classes of the classifier.
    """

    label: str
    model: str
    parameters: str
    macs: str
    reason: str = ""
    options: Mapping[str, Any] = {}
    clip: tuple[int, int] = (8, 112)
    classes: int = 400


_QUOTED = "another paper's network, quoted; this library does not have it"
_S3D = (
    "no network gives the paper's figures; 72 were counted (stem of one or of two convolutions, the layer behind it, "
    "two or four temporal branches)"
)
_S3DG = f"{_S3D}; the network that its authors released has 9.53 M, with gates on two temporal branches"
_MOBILENET = "the MobileNetV2 paper's figure; the networks released with it have 6.1 M and 582 M with the classifier"
_MF = (
    "the authors' released code has our counts (the classifier adds 0.8 M multiply-adds); what else the paper counted "
    "is not said"
)
_FIBERS = "the widths for these fibers are not published; ours are those of N = 16 with a stem that the fibers divide"
_MF_OWN = "the widths are not published; ours are chosen to come near both figures"
_MF_WIDE = f"{_MF_OWN} (with the classifier 894 M)"
_STRIDE = "the first ResNets stride in the first 1x1 of a block, torchvision's in the 3x3"


def _params(label: str, model: str, parameters: str, reason: str = "", **options: Any) -> Row:
    return Row(label, model, parameters, "", reason, options)


TABLES: Mapping[str, tuple[Row, ...]] = {
    "R(2+1)D (arXiv 1711.11248), Table 2: 18 layers, 8x112x112, 400 classes": (
        _params("R2D", "r2d-vresnet18", "11.4 M", frames=8),
        _params("f-R2D", "f-r2d", "11.4 M"),
        _params("R3D", "r3d-vresnet18", "33.4 M"),
        *(
            _params(f"MC{x}", f"mc{x}-vresnet18", printed)
            for x, printed in enumerate(("11.4 M", "11.7 M", "12.7 M", "16.9 M"), start=2)
        ),
        *(
            _params(f"rMC{x}", f"rmc{x}-vresnet18", printed)
            for x, printed in enumerate(("33.3 M", "33.0 M", "32.0 M", "27.9 M"), start=2)
        ),
        _params("R(2+1)D", "r2plus1d-vresnet18", "33.3 M"),
    ),
    "S3D-G (arXiv 1712.04851), Table 2 and section 4.3: 64x224x224, 400 classes": tuple(
        row._replace(clip=(64, 224))
        for row in (
            Row("I3D", "i3d-inceptioni3d", "12.06 M", "107.89 G", _S3D),
            Row("S3D", "s3d-inceptioni3d", "8.77 M", "66.38 G", _S3D),
            Row("S3D-G", "s3dg-inceptioni3d", "11.56 M", "71.38 G", _S3DG),
            Row("Fast-S3D", "fast-s3d", "", "43.47 G", _S3D),
        )
    ),
    "Deep analysis (arXiv 2010.11757), Table 2: 32x256x256 (SlowFast-ResNet101-16x8: 64 frames)": tuple(
        row._replace(clip=(64 if "101-16" in row.label else 32, 256))
        for row in (
            Row("I3D-ResNet50", "i3d-resnet50", "", "335.3 G"),
            Row("TAM-ResNet50", "tam-resnet50", "", "171.5 G"),
            Row("SlowFast-ResNet50-8x8", "slowfast-resnet50", "", "65.7 G"),
            Row("I3D-ResNet101", "i3d-resnet101", "", "654.7 G"),
            Row("TAM-ResNet101", "tam-resnet101", "", "327.1 G"),
            Row("SlowFast-ResNet50-16x8", "slowfast-resnet50", "", "124.5 G", options={"setting": "16x8"}),
            Row("CorrNet-ResNet50", "", "", "115 G", _QUOTED),
            Row("SlowFast-ResNet101-8x8", "slowfast-resnet101", "", "125.9 G"),
            Row("SlowFast-ResNet101-16x8", "slowfast-resnet101", "", "213 G", options={"setting": "16x8"}),
            Row("CSN-ResNet101", "", "", "83 G", _QUOTED),
            Row("CorrNet-ResNet101", "", "", "224 G", _QUOTED),
            Row("X3D-L", "", "", "24.8 G", _QUOTED),
            Row("X3D-XL", "", "", "48.4 G", _QUOTED),
        )
    ),
    "Deep analysis, Table 8: 32x256x256": tuple(
        row._replace(clip=(32, 256))
        for row in (
            Row("TSN-ResNet50-tp", "tsn-resnet50-tp", "", "73.9 G"),
            Row("TAM-ResNet50", "tam-resnet50", "", "171.5 G"),
            Row("I3D-ResNet50", "i3d-resnet50", "", "335.3 G"),
            Row("SlowFast-ResNet50-8x8", "slowfast-resnet50", "", "65.7 G"),
        )
    ),
    "Deep analysis, Table 10: 8x224x224, 87 classes": tuple(
        row._replace(clip=(8, 224), classes=87)
        for row in (
            Row("None, InceptionV1", "tsn-inceptionv1", "5.7 M", "12.0 G"),
            Row(
                "I3D, InceptionV1",
                "i3d-inceptionv1",
                "12.4 M",
                "33.6 G",
                "the authors' last max-pool has kernel 2 and no padding in time, so their last stage lacks one step",
            ),
            Row("Conv., InceptionV1", "conv1d-inceptionv1", "17.2 M", "32.2 G"),
            Row("TAM, InceptionV1", "tam-inceptionv1", "5.7 M", "12.0 G"),
            Row("None, ResNet50", "tsn-resnet50", "23.7 M", "32.7 G"),
            Row("I3D, ResNet50", "i3d-resnet50", "46.3 M", "64.2 G"),
            Row("Conv., ResNet50", "conv1d-resnet50", "71.5 M", "107.0 G"),
            Row("TAM, ResNet50", "tam-resnet50", "23.7 M", "32.8 G"),
            Row("TSM, ResNet50", "tsm-resnet50", "23.7 M", "32.7 G"),
            Row(
                "NLN, ResNet50",
                "nl-resnet50",
                "31.0 M",
                "196 G",
                "the parameters fix five blocks, and with those nothing gives 196 G: 61.1 G with keys and values "
                "sub-sampled as in the non-local paper, 96.9 G without",
            ),
        )
    ),
    "Multi-Fiber (arXiv 1807.11195), Table 1: one image of 224x224, 1000 classes": tuple(
        row._replace(clip=(1, 224), classes=1000)
        for row in (
            Row("ResNet-18", "tsn-resnet18", "11.7 M", "1.8 G"),
            Row("ResNet-18 (MF embedded)", "tsn-mfresnet18", "9.6 M", "1.6 G", _MF_OWN),
            Row("ResNeXt-26 (8x16d)", "tsn-resnext26", "6.3 M", "1.1 G"),
            Row("ResNet-50", "tsn-resnet50", "25.5 M", "4.1 G"),
            Row(
                "MobileNet-v2 (1.4)",
                "tsn-mobilenetv2",
                "6.9 M",
                "585 M",
                _MOBILENET,
                options={"width_multiplier": 1.4},
            ),
            Row("MobileNet-v2 (1.4) (MF embedded)", "tsn-mfmobilenetv2", "6.0 M", "578 M"),
            Row("MF-Net (N = 12)", "tsn-mfnet", "5.9 M", "895 M", _FIBERS, options={"fibers": 12}),
            Row("MF-Net (N = 16)", "tsn-mfnet", "5.8 M", "861 M", _MF),
            Row("MF-Net (N = 24)", "tsn-mfnet", "5.8 M", "897 M", _FIBERS, options={"fibers": 24}),
            Row("MF-Net (N = 16, w/o multiplexer)", "tsn-mfnet", "4.5 M", "600 M", _MF, {"multiplexer": False}),
            Row("MF-Net (N = 16, w/o multiplexer, deeper & wider)", "tsn-mfnetwide", "6.4 M", "897 M", _MF_WIDE),
        )
    ),
    "Multi-Fiber, Table 2: one image, and 16x224x224": (
        Row("2D MF-Net", "tsn-mfnet", "5.8 M", "861 M", _MF, clip=(1, 224), classes=1000),
        Row("3D MF-Net", "i3d-mfnet", "8.0 M", "11.1 G", _MF, clip=(16, 224)),
    ),
    "Multi-Fiber, Tables 3 and 4 and a footnote: one clip as each network takes it": (
        Row("Two-Stream (of the I3D paper)", "", "12 M", "", "two networks of another paper, quoted"),
        Row("ConvNet+LSTM", "", "9 M", "", _QUOTED),
        Row("S3D", "s3d-inceptioni3d", "8.8 M", "66.4 G", _S3D, clip=(64, 224)),
        Row("I3D-RGB", "i3d-inceptioni3d", "12.1 M", "107.9 G", _S3D, clip=(64, 224)),
        Row("R(2+1)D-RGB", "r2plus1d-vresnet34", "63.6 M", "152.4 G", clip=(32, 112)),
        Row("MF-Net-18", "i3d-mfnet", "8.0 M", "11.1 G", _MF, clip=(16, 224)),
        Row("ResNet-50", "tsn-resnet50", "", "3.8 G", _STRIDE, clip=(1, 224)),
        Row("ResNet-152", "tsn-resnet152", "", "11.3 G", _STRIDE, clip=(1, 224)),
        Row("ResNet-152 (footnote)", "tsn-resnet152", "", "11 G", clip=(1, 224)),
        Row("VGG-16 (footnote)", "tsn-vgg16", "", "15 G", clip=(1, 224)),
        Row("CoViAR", "", "", "4.2 G", _QUOTED),
        Row("Two-Stream", "", "", "3.3 G", "two networks of another paper, quoted"),
        Row("TSN", "", "", "3.8 G", "another paper's network (batch-norm Inception v2), quoted"),
        Row("C3D", "", "", "38.5 G", _QUOTED),
        Row("Res3D", "", "", "19.3 G", _QUOTED),
        Row("ARTNet", "", "", "25.7 G", _QUOTED),
    ),
}
"""The tables by title. Rows that a paper prints several times with the same cost stand once."""

_UNITS = {"M": 10**6, "G": 10**9}


def counted(row: Row) -> Cost | None:
    """Our cost of a row; None where there is no model."""
    return _counted(row.model, tuple(row.options.items()), row.clip, row.classes) if row.model else None


@cache
def _counted(model: str, options: tuple[tuple[str, Any], ...], clip: tuple[int, int], classes: int) -> Cost:
    with torch.device("meta"):
        built = build_model(model, num_classes=classes, options=dict(options))
    return cost(built, frames=clip[0], size=clip[1])


def agrees(printed: str, ours: int) -> bool:
    """Whether a printed figure is ours, rounded or cut at its last digit."""
    number, unit = printed.split()
    decimals = len(number.partition(".")[2])
    steps = ours * 10**decimals / _UNITS[unit]
    return round(float(number) * 10**decimals) in (math.floor(steps), math.floor(steps + 0.5))


def differs(row: Row) -> bool:
    """Whether a row has a figure that is not ours, or no model to give one."""
    ours = counted(row)
    if ours is None:
        return True
    pairs = ((row.parameters, ours.parameters), (row.macs, ours.macs))
    return any(printed and not agrees(printed, value) for printed, value in pairs)


def _written(value: int, printed: str) -> str:
    unit = printed.split()[1] if printed else "G" if value >= 10**9 else "M"
    decimals = len(re.sub(r"^\d*\.?| .*", "", printed)) + 1 if "." in printed else 2
    return f"{value / _UNITS[unit]:.{decimals}f} {unit}"


def cells(row: Row) -> list[str]:
    """The cells of a row: label, model, printed and our parameters, printed and our multiply-adds, reason."""
    ours = counted(row)
    options = ", ".join(f"{key}={value}" for key, value in row.options.items())
    name = f"`{row.model}`{f' ({options})' if options else ''}" if row.model else "-"
    parameters, macs = ("-", "-")
    if ours is not None:
        parameters = _written(ours.parameters, row.parameters or "1.0 M")
        macs = _written(ours.macs, row.macs)
    return [row.label, name, row.parameters or "-", parameters, row.macs or "-", macs, row.reason]
