"""Published weights as records: where they are, what they want to be fed, and what they reach. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kinema.specs.preprocessing import Preprocessing
from kinema.weights.importing.inputs import FACEBOOK, HOWTO100M, IG65M, IMAGENET_8, KINETICS_112, KINETICS_224


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """One file of weights at its authors' address.

    Attributes:
        model: Our name of the network.
        tag: What follows the dot: data set and frames.
        family: How the file is read, see ``kinema.weights.importing.families``.
        urls: Addresses of the same file, tried in this order.
        preprocessing: What the network was trained on.
        options: Options that make our network the same.
        scores: Accuracies in percent that the authors publish, ``top1`` and ``top5``.
        protocol: How these were measured.
        citation: Where they come from, and the licence where it is stated.
    """

    model: str
    tag: str
    family: str
    urls: tuple[str, ...]
    preprocessing: Preprocessing
    options: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    protocol: str = ""
    citation: str = ""

    def __str__(self) -> str:
        """The full name, ``model.tag``."""
        return f"{self.model}.{self.tag}"

    @property
    def file(self) -> str:
        """The file's name."""
        return self.urls[0].rpartition("/")[2]

    @property
    def checksum(self) -> str:
        """The beginning of the file's SHA-256, where its name ends in it; else empty."""
        found = re.search(r"-([0-9a-f]{8,})\.\w+$", self.file)
        return found[1] if found else ""


_DENSE_8: Final = replace(IMAGENET_8, sampling="dense", stride=8)
_IBM_DENSE: Final = replace(IMAGENET_8, frames=32, sampling="dense", stride=2)
_IBM_UNIFORM: Final = replace(IMAGENET_8, frames=32)
_SLOW_8X8: Final = replace(FACEBOOK, frames=8, stride=8)


def _torchvision(model: str, file: str, top1: float, top5: float, **options: Any) -> PublishedWeights:
    return PublishedWeights(
        model=model,
        tag="k400-f16",
        family="torchvision",
        urls=(f"https://download.pytorch.org/models/{file}",),
        preprocessing=KINETICS_112,
        options=options,
        scores={"top1": top1, "top5": top5},
        protocol="5 clips of 16 frames at 15 frames/s",
        citation="torchvision, BSD-3-Clause",
    )


def _ig65m(tag: str, file: str, frames: int) -> PublishedWeights:
    return PublishedWeights(
        model="r2plus1d-vresnet34",
        tag=f"{tag}-f{frames}",
        family="vmz",
        urls=(f"https://github.com/moabitcoin/ig65m-pytorch/releases/download/v1.0.0/{file}",),
        preprocessing=replace(IG65M, frames=frames),
        citation="arXiv 1905.00561; converted by moabitcoin/ig65m-pytorch, MIT",
    )


def _ibm(model: str, data: str, name: str, top1: float) -> PublishedWeights:
    dense = data == "k400"
    return PublishedWeights(
        model=model,
        tag=f"{data}-f32",
        family="ibm",
        urls=(
            f"https://github.com/IBM/action-recognition-pytorch/releases/download/weights-v0.1/"
            f"{data.upper()}-{name}-f32.pth.tar",
        ),
        preprocessing=_IBM_DENSE if dense else _IBM_UNIFORM,
        scores={"top1": top1},
        protocol="dense-10x3" if dense else "uniform-2x3",
        citation="arXiv 2010.11757; IBM/action-recognition-pytorch",
    )


def _tsm(
    model: str, tag: str, middle: str, preprocessing: Preprocessing, top1: float, protocol: str, **options: Any
) -> PublishedWeights:
    file = f"TSM_{middle}.pth"
    return PublishedWeights(
        model=model,
        tag=tag,
        family="tsm",
        urls=tuple(
            f"https://{host}/projects/tsm/models/{file}" for host in ("hanlab18.mit.edu", "file.lzhu.me")
        ),  # the second is where the authors' page points now
        preprocessing=preprocessing,
        options=options,
        scores={"top1": top1},
        protocol=protocol,
        citation="arXiv 1811.08383; mit-han-lab/temporal-shift-module, MIT",
    )


def _facebook(
    model: str, tag: str, url: str, top1: float, top5: float, preprocessing: Preprocessing = FACEBOOK, **options: Any
) -> PublishedWeights:
    return PublishedWeights(
        model=model,
        tag=tag,
        family=url.partition("/")[0],
        urls=(f"https://dl.fbaipublicfiles.com/{url}",),
        preprocessing=preprocessing,
        options=options,
        scores={"top1": top1, "top5": top5},
        protocol="dense-10x3, averaging probabilities",
        citation="arXiv 1812.03982; PySlowFast and pytorchvideo, Apache-2.0",
    )


_NL: Final = {"nl_blocks": ["layer2.0", "layer2.2", "layer3.0", "layer3.2", "layer3.4"]}
_FLOW_8: Final = replace(IMAGENET_8, mean=(0.5,) * 10, std=(0.226,) * 10, modality="flow")
_R50: Final = "RGB_resnet50_shift8_blockres_avg"

PUBLISHED: Final[tuple[PublishedWeights, ...]] = (
    _torchvision("r3d-vresnet18", "r3d_18-b3b3357e.pth", 63.200, 83.479, norm_eps=1e-5),
    _torchvision("mc3-vresnet18", "mc3_18-a90a0ba3.pth", 63.960, 84.130, norm_eps=1e-5),
    _torchvision("r2plus1d-vresnet18", "r2plus1d_18-91a641e6.pth", 67.463, 86.175, norm_eps=1e-5, width_rule="block"),
    replace(
        _torchvision("s3d2-inceptioni3d", "s3d-d76dad2f.pth", 68.368, 88.050),
        tag="k400-f128",
        preprocessing=KINETICS_224,
        protocol="1 clip of 128 frames at 15 frames/s",
    ),
    _ig65m("ig65m", "r2plus1d_34_clip8_ig65m_from_scratch-9bae36ae.pth", 8),
    _ig65m("ig65m", "r2plus1d_34_clip32_ig65m_from_scratch-449a7af9.pth", 32),
    _ig65m("k400-ig65m", "r2plus1d_34_clip8_ft_kinetics_from_ig65m-0aa0550b.pth", 8),
    _ig65m("k400-ig65m", "r2plus1d_34_clip32_ft_kinetics_from_ig65m-ade133f1.pth", 32),
    _ibm("i3d-resnet50", "k400", "I3D-ResNet-50", 76.61),
    _ibm("i3d-resnet101", "k400", "I3D-ResNet-101", 77.80),
    _ibm("tam-resnet50", "k400", "TAM-ResNet-50", 76.18),
    _ibm("tam-resnet101", "k400", "TAM-ResNet-101", 77.61),
    _ibm("i3d-resnet50", "ssv2", "I3D-ResNet-50", 62.84),
    _ibm("i3d-resnet101", "ssv2", "I3D-ResNet-101", 64.29),
    _ibm("tam-resnet50", "ssv2", "TAM-ResNet-50", 63.83),
    _ibm("tam-resnet101", "ssv2", "TAM-ResNet-101", 65.32),
    _tsm("tsn-resnet50", "k400-f8", "kinetics_RGB_resnet50_avg_segment5_e50", IMAGENET_8, 68.8, "uniform-1x1"),
    _tsm("tsm-resnet50", "k400-f8", f"kinetics_{_R50}_segment8_e50", IMAGENET_8, 71.2, "uniform-1x1"),
    _tsm(
        "tsm-resnet50",
        "k400-f16",
        f"kinetics_{_R50}_segment16_e50",
        replace(IMAGENET_8, frames=16),
        72.6,
        "uniform-1x1",
    ),
    _tsm("tsm-resnet50", "k400-f8-dense", f"kinetics_{_R50}_segment8_e100_dense", _DENSE_8, 74.1, "dense-10x3"),
    _tsm(
        "tsm+nl-resnet50",
        "k400-f8-dense",
        f"kinetics_{_R50}_segment8_e100_dense_nl",
        _DENSE_8,
        75.6,
        "dense-10x3",
        **_NL,
    ),
    _tsm(
        "tsm-mobilenetv2",
        "k400-f8-dense",
        "kinetics_RGB_mobilenetv2_shift8_blockres_avg_segment8_e100_dense",
        _DENSE_8,
        69.5,
        "dense-10x3",
    ),
    _tsm(
        "tsm-resnet50",
        "k400-flow-f8",
        f"kinetics_{_R50.replace('RGB', 'Flow')}_segment8_e50",
        _FLOW_8,
        55.7,
        "uniform-1x1",
    ),
    _tsm("tsm-resnet50", "ssv1-f8", f"something_{_R50}_segment8_e45", IMAGENET_8, 45.6, "uniform-1x1"),
    _tsm(
        "tsm-resnet50",
        "ssv1-f16",
        f"something_{_R50}_segment16_e45",
        replace(IMAGENET_8, frames=16),
        47.2,
        "uniform-1x1",
    ),
    _tsm("tsm-resnet50", "ssv2-f8", f"somethingv2_{_R50}_segment8_e45", IMAGENET_8, 61.2, "uniform-2x3"),
    _tsm(
        "tsm-resnet50",
        "ssv2-f16",
        f"somethingv2_{_R50}_segment16_e45",
        replace(IMAGENET_8, frames=16),
        63.1,
        "uniform-2x3",
    ),
    _tsm(
        "tsm-resnet101",
        "ssv2-f8",
        f"somethingv2_{_R50.replace('50', '101')}_segment8_e45",
        IMAGENET_8,
        63.3,
        "uniform-2x3",
    ),
    _facebook(
        "slow-resnet50", "k400-8x8", "pyslowfast/model_zoo/kinetics400/SLOWONLY_8x8_R50.pkl", 74.8, 91.6, _SLOW_8X8
    ),
    _facebook(
        "slow-resnet50",
        "k400-4x16",
        "pyslowfast/model_zoo/kinetics400/SLOWONLY_4x16_R50.pkl",
        72.7,
        90.3,
        replace(FACEBOOK, frames=4, stride=16),
    ),
    _facebook(
        "slowfast-resnet50",
        "k400-4x16",
        "pyslowfast/model_zoo/kinetics400/SLOWFAST_4x16_R50.pkl",
        75.6,
        92.0,
        setting="4x16",
    ),
    _facebook(
        "slowfast-resnet50",
        "k400-8x8",
        "pyslowfast/model_zoo/kinetics400/SLOWFAST_8x8_R50.pkl",
        77.0,
        92.6,
        setting="8x8",
    ),
    PublishedWeights(
        model="s3d2+gate-inceptioni3d",
        tag="howto100m-f32",
        family="howto100m",
        urls=("https://www.rocq.inria.fr/cluster-willow/amiech/howto100m/s3d_howto100m.pth",),
        preprocessing=HOWTO100M,
        options={"stem": "space_to_depth", "padding": "same", "head": "mean", "norm_eps": 1e-5, "norm_momentum": 0.1},
        citation="arXiv 1912.06430; antoine77340/S3D_HowTo100M; its 512 outputs are an embedding, not classes",
    ),
)
"""Every file whose address the authors give, as ``kinema models --tags`` lists them."""
