"""The grammar of model names and the table of the words it knows. Loads no torch, so that listing names is instant.

name = module{+module}[@placement]-backbone[-tp]        tam@tophalf-resnet18   i3d+se-resnet50-tp
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kinema.errors import UserError, unknown_name
from kinema.models.placement import check_placement
from kinema.specs.aliases import ALIASES

MODULES: Final[dict[str, str]] = {
    "tsn": "no module: frames meet only in the average of their scores",
    "i3d": "k x k convolutions become 3 x k x k",
    "s3d": "k x k convolutions are followed by a temporal convolution of 3",
    "s3d2": "s3d without temporal convolutions behind inceptioni3d's 1 x 1 branches, as torchvision's",
    "s3dg": "s3d+gate, the S3D-G paper's network on inceptioni3d",
    "gate": "feature gating: channels weighed by what all channels hold on average",
    "tam": "three depth-wise taps over time at the head of every block",
    "tsm": "an eighth of the channels shifted one frame back, an eighth one frame forward",
    "nl": "non-local blocks: attention over all positions of all frames",
    "conv1d": "full temporal convolution of 3 at the head of every block",
    "r3d": "k x k convolutions become 3 x k x k, the stem's too; pools stay flat",
    "r2plus1d": "a spatial and a temporal convolution with as many weights as 3 x k x k",
    "r2d": "all frames are channels of one image; options must say how many: frames",
    "slow": "SlowFast's slow pathway: 3 x 1 x 1 convolutions lead the blocks of the last two stages",
    "slowfast": "two pathways: every frame through a narrow network, every alpha-th through a wide one",
    "se": "squeeze-and-excitation over space and time at the end of every block",
}
"""Temporal modules by name, with a line about each; ``kinema.register_module`` adds to it."""

BACKBONES: Final[dict[str, str]] = {
    "inceptionv1": "GoogLeNet with batch norm, torchvision's keys, no auxiliary heads",
    "inceptioni3d": "I3D's and S3D-G's Inception: stem and two max-pools halve time; the same keys as inceptionv1",
    "resnet18": "ResNet, basic blocks, torchvision's keys",
    "resnet34": "ResNet, basic blocks, torchvision's keys",
    "resnet50": "ResNet, bottlenecks, torchvision's keys",
    "resnet101": "ResNet, bottlenecks, torchvision's keys",
    "resnet152": "ResNet, bottlenecks, torchvision's keys",
    "resnettiny": "ResNet of 16 to 128 channels for clips of 64 to 112 pixels",
    "resnext26": "ResNeXt-26 (8 x 16d), which the Multi-Fiber paper compares with",
    "blresnet50": "Big-Little ResNet: big branches at half the resolution, little ones at the full",
    "vresnet18": "the R(2+1)D paper's ResNet: no max-pool, time strided by temporal convolutions",
    "vresnet34": "the R(2+1)D paper's ResNet: no max-pool, time strided by temporal convolutions",
    "vgg11": "VGG, torchvision's keys, fc6 and fc7 on every frame; options: fc_widths, fc_dropout",
    "vgg16": "VGG, torchvision's keys, fc6 and fc7 on every frame; options: fc_widths, fc_dropout",
    "vgg19": "VGG, torchvision's keys, fc6 and fc7 on every frame; options: fc_widths, fc_dropout",
    "clarifainet": "CNN-M-2048: five convolutions, fc6 and fc7 on every frame; options: fc_widths, fc_dropout",
    "googlenet": "GoogLeNet of 2014, no batch norm; options: aux, for auxiliary heads in training",
    "efficientnetlite0": "EfficientNet without squeeze-and-excitation and swish",
    "mobilenetv2": "MobileNet-v2, torchvision's keys; options: width_multiplier",
    "mfmobilenetv2": "MobileNet-v2 (1.4) with multi-fiber units; options: fibers, multiplexer",
    "mfnet": "Multi-Fiber network; options: fibers, multiplexer; i3d halves time in its first unit",
    "mfnetwide": "Multi-Fiber network without multiplexer, deeper and wider",
    "mfresnet18": "ResNet-18 with multi-fiber units; options: fibers, multiplexer",
}
"""Backbones by name, with a line about each; ``kinema.register_backbone`` adds to it."""

OF_SOME: Final = ("s3d2", "s3dg", "gate", "r3d", "r2plus1d", "r2d", "slow", "slowfast")
"""Modules that the list shows only for the backbones whose rows below name them; all others are shown for most."""

_FEW: Final = ("tsn", "i3d", "tam", "tsm")
_SINGLE: Final = tuple(module for module in MODULES if module not in OF_SOME)
_ALL: Final = (*_SINGLE, "i3d+se", "tam+se", "tsm+nl")
_I3D: Final = ("i3d", "s3d", "s3d2", "s3dg", "tam", "tsm", "nl", "conv1d", "se", "i3d+gate", "s3d2+gate")
_VRESNET: Final = ("tsn", "r2d", "r3d", "r2plus1d", "s3d", "tam", "tsm", "nl", "conv1d", "se")

_ROWS: Final[Mapping[str, tuple[str, ...]]] = {
    "inceptionv1": _ALL,
    "inceptioni3d": _I3D,
    "resnet18": _ALL,
    "resnet34": _ALL,
    "resnet50": (*_ALL, "slow", "slowfast"),
    "resnet101": (*_ALL, "slow", "slowfast"),
    "resnet152": _ALL,
    "blresnet50": _FEW,
    "resnettiny": _ALL,
    "resnext26": _FEW,
    "vresnet18": _VRESNET,
    "vresnet34": _VRESNET,
    "vgg11": _FEW,
    "vgg19": _FEW,
    "efficientnetlite0": _ALL,
    "mobilenetv2": _ALL,
    "mfmobilenetv2": _FEW,
    "mfnetwide": _FEW,
    "mfresnet18": _FEW,
}
"""Modules and stacks that the list shows for a backbone, where it is not ``_SINGLE``; see ``listed_on``."""

_SLOW: Final = "its kernels are set for the blocks and the four stages of torchvision's ResNets"

NO_TEMPORAL_POOLING: Final[dict[str, str]] = {
    "googlenet": "it is the two-stream paper's network, which sees one frame or one stack of flow; take inceptionv1",
    "inceptioni3d": "its stem and two of its max-pools halve time as it is",
    **dict.fromkeys(("vresnet18", "vresnet34"), "its temporal convolutions stride time, and nothing else may"),
    **dict.fromkeys(("mfnet", "mfnetwide"), "its 3-D form halves time in its first unit, and nowhere else"),
    "r2d": "its stem leaves one time step, which nothing can halve",
}
"""Backbones and modules that refuse ``-tp``, each with the reason."""

REFUSED: Final[tuple[tuple[str, str, str], ...]] = (
    ("r2d", "inceptioni3d", "one time step is left behind r2d's stem, and this network halves time behind it"),
    ("tsn", "inceptioni3d", "it halves time, so no frame goes through by itself; the network without a module is i2d"),
    ("slow", "[!r]*", _SLOW),
    ("slow", "resnext*", _SLOW),
    ("slowfast", "[!r]*", _SLOW),
    ("slowfast", "resnext*", _SLOW),
    ("slowfast", "resnet152", "no setting of its kernels was published for it"),
)
"""Pairs that make no sense: patterns of a module and of a backbone (``*`` and ``?``), and the reason."""

REFUSED_STACKS: Final[tuple[tuple[str, str, str], ...]] = tuple(
    ("r2d", mixing, "behind the stem of r2d there is one time step, so no frames are left to mix")
    for mixing in ("tsm", "tam", "conv1d")
)
"""Modules that make no sense together, and the reason."""

NO_IMAGE_WEIGHTS: Final[Mapping[str, str]] = {
    "r2plus1d": "it makes two convolutions of other widths of each, so an image network's weights fit nowhere",
    "slowfast": "its pathways have other widths than any image network; its authors train it from scratch",
}
"""Modules that cannot start from an image network's weights, each with the reason."""

ONE_LENGTH: Final = ("r2d",)
"""Modules built for clips of one length, which the option ``frames`` has to say."""

ALONE: Final[Mapping[str, str]] = {
    "slowfast": "its kernels are set stage by stage, and its two pathways see time at two rates",
}
"""Modules that go with no placement, no ``-tp`` and no other module, each with the reason."""

_TEMPORAL_POOLING = "-tp"


@dataclass(frozen=True)
class ModelName:
    """What a model's name says: which modules, where, on which backbone, with temporal pooling or without.

    Attributes:
        modules: Temporal modules in the order in which they act, such as ``("tsm", "nl")``.
        placement: Where they sit, such as ``"tophalf"``; empty means everywhere.
        backbone: The two-dimensional network that carries them.
        temporal_pooling: Whether time is halved at the last three spatial poolings.
        alias: The name it was written as, where that is an alias; two names are equal whatever their aliases.
    """

    modules: tuple[str, ...]
    backbone: str
    placement: str = ""
    temporal_pooling: bool = False
    alias: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check every word, so that a name that exists can be built."""
        if self.backbone not in BACKBONES:
            raise unknown_name("backbone", self.backbone, BACKBONES, f"Known: {', '.join(BACKBONES)}.")
        for module in self.modules:
            if module not in MODULES:
                raise unknown_name("temporal module", module, MODULES, f"Known: {', '.join(MODULES)}.")
        if not self.modules or len(set(self.modules)) < len(self.modules):
            raise UserError(f"a model needs at least one temporal module and each at most once, got {self.modules}")
        if "tsn" in self.modules and len(self.modules) > 1:
            rest = "+".join(m for m in self.modules if m != "tsn")
            raise UserError(f"tsn stands for no module and cannot be stacked; write {rest}-{self.backbone}")
        for module in ALONE.keys() & set(self.modules):
            if len(self.modules) > 1 or self.placement or self.temporal_pooling:
                raise UserError(
                    f"{module} takes no other module, no placement and no -tp: {ALONE[module]}; "
                    f"write {module}-{self.backbone}"
                )
        check_placement(self.placement)
        for word in (self.backbone, *self.modules):
            if self.temporal_pooling and word in NO_TEMPORAL_POOLING:
                raise UserError(f"{word} has no form with -tp: {NO_TEMPORAL_POOLING[word]}")
        for module in self.modules:
            for module_pattern, backbone_pattern, reason in REFUSED:
                if fnmatch.fnmatchcase(module, module_pattern) and fnmatch.fnmatchcase(self.backbone, backbone_pattern):
                    raise UserError(f"{module} does not go with {self.backbone}: {reason}")
        for first, second, reason in REFUSED_STACKS:
            if first in self.modules and second in self.modules:
                raise UserError(f"{first} and {second} do not go together: {reason}")

    def needed_options(self, *, frames: int) -> dict[str, int]:
        """The options without which this model cannot be built, for clips of ``frames`` frames; mostly none."""
        return {"frames": frames} if set(self.modules) & set(ONE_LENGTH) else {}

    def __str__(self) -> str:
        """The name as ``parse`` reads it."""
        if self.alias:
            return self.alias
        where = f"@{self.placement}" if self.placement else ""
        return f"{'+'.join(self.modules)}{where}-{self.backbone}{_TEMPORAL_POOLING if self.temporal_pooling else ''}"

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Read a model name; printing the result gives the name back.

        Args:
            text: Such as ``"tam@tophalf-resnet18-tp"``, or an alias.

        Raises:
            UserError: A word is unknown (the nearest known ones are offered) or the form is wrong.
        """
        rest = text.removesuffix(_TEMPORAL_POOLING)
        if rest in ALIASES:
            target = cls.parse(ALIASES[rest] + text[len(rest) :])
            return cls(target.modules, target.backbone, target.placement, target.temporal_pooling, alias=text)
        head, dash, backbone = rest.rpartition("-")
        modules, at, placement = head.partition("@")
        if not dash or not modules or (at and not placement):
            known = [*list_models(), *ALIASES]
            raise unknown_name(
                "model", text, known, "A name is module{+module}[@placement]-backbone[-tp]; see: kinema models"
            )
        return cls(
            modules=tuple(modules.split("+")),
            backbone=backbone,
            placement="" if placement == "all" else placement,
            temporal_pooling=rest != text,
        )


def list_models(pattern: str = "*") -> list[str]:
    """Names of the models that can be built: every module on every backbone, with and without temporal pooling.

    Placements, and stacks other than the usual ones, are not listed: each can be added to any name.

    Args:
        pattern: Which to list; ``*`` and ``?`` stand for any text and any letter.

    Returns:
        The names in the order of the tables: backbone, then temporal pooling, then module.
    """
    return [name for name in (*_all_names(), *ALIASES) if fnmatch.fnmatchcase(name, pattern)]


def listed_on(backbone: str) -> tuple[str, ...]:
    """Modules and stacks that the list shows for a backbone; other pairs can be named too, unless refused."""
    row = _ROWS.get(backbone, _SINGLE)
    return (*row, *(module for module in MODULES if module not in (*_SINGLE, *OF_SOME)))  # those that a user registered


def _all_names() -> Iterator[str]:
    for backbone in BACKBONES:
        for temporal_pooling in (False,) if backbone in NO_TEMPORAL_POOLING else (False, True):
            for modules in listed_on(backbone):
                if temporal_pooling and modules in ALONE:
                    continue
                yield str(ModelName(tuple(modules.split("+")), backbone, temporal_pooling=temporal_pooling))
