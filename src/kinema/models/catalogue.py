"""The catalogue: one row for every temporal module and every backbone, with all that is known about it by name.

Loads no torch, so that listing names is instant. Order counts: it is the order of ``kinema models`` and of the tables
in the documentation.
"""

from __future__ import annotations

from typing import Final

from kinema.models.cards import BackboneCard, ModuleCard

_SLOW: Final = "its kernels are set for the blocks and the four stages of torchvision's ResNets"
_NO_FRAMES_LEFT: Final = "behind the stem of r2d there is one time step, so no frames are left to mix"

MODULES: Final[dict[str, ModuleCard]] = {
    "tsn": ModuleCard(
        summary="no module: frames meet only in the average of their scores",
        home="kinema.models.temporal.tsn:Tsn",
    ),
    "i3d": ModuleCard(
        summary="k x k convolutions become 3 x k x k",
        home="kinema.models.temporal.i3d:I3d",
    ),
    "s3d": ModuleCard(
        summary="k x k convolutions are followed by a temporal convolution of 3",
        home="kinema.models.temporal.s3d:S3d",
    ),
    "s3d2": ModuleCard(
        summary="s3d without temporal convolutions behind inceptioni3d's 1 x 1 branches, as torchvision's",
        home="kinema.models.temporal.s3d:S3d2",
        listed_on=(),
    ),
    "s3dg": ModuleCard(
        summary="s3d+gate, the S3D-G paper's network on inceptioni3d",
        home="kinema.models.temporal.s3dg:S3dg",
        listed_on=(),
    ),
    "gate": ModuleCard(
        summary="feature gating: channels weighed by what all channels hold on average",
        home="kinema.models.temporal.gate:Gate",
        listed_on=(),
    ),
    "tam": ModuleCard(
        summary="three depth-wise taps over time at the head of every block",
        home="kinema.models.temporal.tam:Tam",
    ),
    "tsm": ModuleCard(
        summary="an eighth of the channels shifted one frame back, an eighth one frame forward",
        home="kinema.models.temporal.tsm:Tsm",
    ),
    "nl": ModuleCard(
        summary="non-local blocks: attention over all positions of all frames",
        home="kinema.models.temporal.nonlocal_block:NonLocal",
    ),
    "conv1d": ModuleCard(
        summary="full temporal convolution of 3 at the head of every block",
        home="kinema.models.temporal.conv1d:Conv1d",
    ),
    "r3d": ModuleCard(
        summary="k x k convolutions become 3 x k x k, the stem's too; pools stay flat",
        home="kinema.models.temporal.r3d:R3d",
        listed_on=(),
    ),
    "r2plus1d": ModuleCard(
        summary="a spatial and a temporal convolution with as many weights as 3 x k x k",
        home="kinema.models.temporal.r2plus1d:R2plus1d",
        listed_on=(),
        no_image_weights="it makes two convolutions of other widths of each, so an image network's weights fit nowhere",
    ),
    "r2d": ModuleCard(
        summary="all frames are channels of one image; options must say how many: frames",
        home="kinema.models.temporal.r2d:R2d",
        listed_on=(),
        refuses_modules=dict.fromkeys(("tsm", "tam", "conv1d"), _NO_FRAMES_LEFT),
        no_temporal_pooling="its stem leaves one time step, which nothing can halve",
        one_length=True,
    ),
    "slow": ModuleCard(
        summary="SlowFast's slow pathway: 3 x 1 x 1 convolutions lead the blocks of the last two stages",
        home="kinema.models.temporal.slow:Slow",
        listed_on=("resnet50", "resnet101"),
        refuses={"[!r]*": _SLOW, "resnext*": _SLOW},
    ),
    "slowfast": ModuleCard(
        summary="two pathways: every frame through a narrow network, every alpha-th through a wide one",
        home="kinema.models.slowfast:SlowFast",
        listed_on=("resnet50", "resnet101"),
        refuses={
            "[!r]*": _SLOW,
            "resnext*": _SLOW,
            "resnet152": "no setting of its kernels was published for it",
        },
        alone="its kernels are set stage by stage, and its two pathways see time at two rates",
        no_image_weights="its pathways have other widths than any image network; its authors train it from scratch",
    ),
    "se": ModuleCard(
        summary="squeeze-and-excitation over space and time at the end of every block",
        home="kinema.models.temporal.squeeze_excitation:SqueezeExcitation",
    ),
}
"""Temporal modules by name; ``kinema.register_module`` adds to it."""

_FEW: Final = ("tsn", "i3d", "tam", "tsm")
_STACKS: Final = ("i3d+se", "tam+se", "tsm+nl")
_R2PLUS1D: Final = ("tsn", "r2d", "r3d", "r2plus1d", "s3d", "tam", "tsm", "nl", "conv1d", "se")
_RESNETS: Final = "kinema.models.backbones.resnet:RESNETS"
_VRESNET: Final = "the R(2+1)D paper's ResNet: no max-pool, time strided by temporal convolutions"
_STRIDED: Final = "its temporal convolutions stride time, and nothing else may"
_VGG: Final = "VGG, torchvision's keys, fc6 and fc7 on every frame; options: fc_widths, fc_dropout"
_MF_HALVES: Final = "its 3-D form halves time in its first unit, and nowhere else"

BACKBONES: Final[dict[str, BackboneCard]] = {
    "inceptionv1": BackboneCard(
        summary="GoogLeNet with batch norm, torchvision's keys, no auxiliary heads",
        home="kinema.models.backbones.inception:InceptionV1Plan",
        stacks=_STACKS,
    ),
    "inceptioni3d": BackboneCard(
        summary="I3D's and S3D-G's Inception: stem and two max-pools halve time; the same keys as inceptionv1",
        home="kinema.models.backbones.inceptioni3d:InceptionI3dPlan",
        lists=("i3d", "s3d", "s3d2", "s3dg", "tam", "tsm", "nl", "conv1d", "se"),
        stacks=("i3d+gate", "s3d2+gate"),
        refuses={
            "r2d": "one time step is left behind r2d's stem, and this network halves time behind it",
            "tsn": "it halves time, so no frame goes through by itself; the network without a module is i2d",
        },
        no_temporal_pooling="its stem and two of its max-pools halve time as it is",
    ),
    "resnet18": BackboneCard(summary="ResNet, basic blocks, torchvision's keys", home=_RESNETS, stacks=_STACKS),
    "resnet34": BackboneCard(summary="ResNet, basic blocks, torchvision's keys", home=_RESNETS, stacks=_STACKS),
    "resnet50": BackboneCard(summary="ResNet, bottlenecks, torchvision's keys", home=_RESNETS, stacks=_STACKS),
    "resnet101": BackboneCard(summary="ResNet, bottlenecks, torchvision's keys", home=_RESNETS, stacks=_STACKS),
    "resnet152": BackboneCard(summary="ResNet, bottlenecks, torchvision's keys", home=_RESNETS, stacks=_STACKS),
    "resnettiny": BackboneCard(
        summary="ResNet of 16 to 128 channels for clips of 64 to 112 pixels", home=_RESNETS, stacks=_STACKS
    ),
    "resnext26": BackboneCard(
        summary="ResNeXt-26 (8 x 16d), which the Multi-Fiber paper compares with", home=_RESNETS, lists=_FEW
    ),
    "blresnet50": BackboneCard(
        summary="Big-Little ResNet: big branches at half the resolution, little ones at the full",
        home="kinema.models.backbones.blresnet:BLResNetPlan",
        lists=_FEW,
    ),
    "vresnet18": BackboneCard(
        summary=_VRESNET,
        home="kinema.models.backbones.vresnet:VRESNETS",
        lists=_R2PLUS1D,
        no_temporal_pooling=_STRIDED,
    ),
    "vresnet34": BackboneCard(
        summary=_VRESNET,
        home="kinema.models.backbones.vresnet:VRESNETS",
        lists=_R2PLUS1D,
        no_temporal_pooling=_STRIDED,
    ),
    "vgg11": BackboneCard(summary=_VGG, home="kinema.models.backbones.vgg:VGGS", lists=_FEW),
    "vgg16": BackboneCard(summary=_VGG, home="kinema.models.backbones.vgg:VGGS"),
    "vgg19": BackboneCard(summary=_VGG, home="kinema.models.backbones.vgg:VGGS", lists=_FEW),
    "clarifainet": BackboneCard(
        summary="CNN-M-2048: five convolutions, fc6 and fc7 on every frame; options: fc_widths, fc_dropout",
        home="kinema.models.backbones.clarifai:CLARIFAINET",
    ),
    "googlenet": BackboneCard(
        summary="GoogLeNet of 2014, no batch norm; options: aux, for auxiliary heads in training",
        home="kinema.models.backbones.googlenet:GoogLeNetPlan",
        no_temporal_pooling="it is the two-stream paper's network, which sees one frame or one stack of flow; "
        "take inceptionv1",
    ),
    "efficientnetlite0": BackboneCard(
        summary="EfficientNet without squeeze-and-excitation and swish",
        home="kinema.models.backbones.efficientnet:EfficientNetLitePlan",
        stacks=_STACKS,
    ),
    "mobilenetv2": BackboneCard(
        summary="MobileNet-v2, torchvision's keys; options: width_multiplier",
        home="kinema.models.backbones.mobilenetv2:MOBILE_NETS",
        stacks=_STACKS,
    ),
    "mfmobilenetv2": BackboneCard(
        summary="MobileNet-v2 (1.4) with multi-fiber units; options: fibers, multiplexer",
        home="kinema.models.backbones.mobilenetv2:MOBILE_NETS",
        lists=_FEW,
    ),
    "mfnet": BackboneCard(
        summary="Multi-Fiber network; options: fibers, multiplexer; i3d halves time in its first unit",
        home="kinema.models.backbones.mfnet:MULTI_FIBER_NETS",
        no_temporal_pooling=_MF_HALVES,
    ),
    "mfnetwide": BackboneCard(
        summary="Multi-Fiber network without multiplexer, deeper and wider",
        home="kinema.models.backbones.mfnet:MULTI_FIBER_NETS",
        lists=_FEW,
        no_temporal_pooling=_MF_HALVES,
    ),
    "mfresnet18": BackboneCard(
        summary="ResNet-18 with multi-fiber units; options: fibers, multiplexer",
        home="kinema.models.backbones.mfnet:MULTI_FIBER_NETS",
        lists=_FEW,
    ),
}
"""Backbones by name; ``kinema.register_backbone`` adds to it."""
