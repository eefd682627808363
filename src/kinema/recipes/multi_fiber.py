"""Recipes of "Multi-Fiber Networks for Video Recognition" (arXiv 1807.11195): images, Kinetics, then small sets.

A 2-D network is trained on ImageNet, through the same loop as videos: an image is a video of one frame. Its weights,
each kernel divided over the frames that it is copied to, start the 3-D network. What the paper leaves open is from the
code that its authors published: clips of 16 frames, 1, 2, 2 or 3 frames apart; frames made square, as the tests make
them, then the width multiplied and the height divided by 0.8 to 1.25, the short side 224 to 288 pixels, random crops of
224; shifts of hue, lightness and saturation up to 15, 35 and 25; Nesterov momentum; where the rate drops; weight decay
on every parameter.

Differs from the paper and its code: inputs are normalised with ImageNet's deviation of each channel, not with 0.0167
for all three; the rate is not halved for the first hundred iterations; kernels are drawn by Kaiming's rule; it is the
aspect ratio that is drawn evenly, not its root.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kinema.recipes.model_scores import scores_of
from kinema.specs.data import DataSpec
from kinema.specs.protocol import MULTI_FIBER
from kinema.specs.recipe import MUST_BE_GIVEN, OptimSpec, Recipe, ScheduleSpec, TrainSpec

BATCH = 1024
IMAGENET_STEPS = 1250
"""Steps of one epoch on ImageNet, 1.28 million images; 288 such epochs are the paper's 360,000 iterations."""
KINETICS_EPOCH = 1000 * BATCH
"""Clips of one epoch on Kinetics: 1000 of the paper's 36,000 iterations."""
DROPS = (18_000_000, 28_000_000, 34_000_000)
"""Clips after which the rate on Kinetics drops; the fourth drop of the authors' code lies behind the paper's end."""


def imagenet() -> Recipe:
    """The 2-D MF-Net on ImageNet: 360,000 iterations of 1024 images at 0.5, falling exponentially.

    Differs from the paper: it prints neither how fast the rate falls nor the augmentation, which it calls light. Here
    the rate falls by 2 % in every 1250 iterations (a pass over ImageNet), as MobileNet-v2's does, with which the paper
    compares, down to 0.0015; images are cropped at random from a short side of 256 and mirrored. Weight decay is that
    of its experiments on videos.
    """
    return Recipe(
        name="multi-fiber-imagenet",
        model="tsn-mfnet",
        protocol="image",
        citation=f"{MULTI_FIBER}, section 3.2 and Table 1",
        paper_scores=_imagenet_scores("tsn-mfnet", 74.6, 92.0),
        data=DataSpec(frames=1, augmentation="short-side", short_side=(256, 256), crop_size=224),
        optim=OptimSpec(lr=0.5, momentum=0.9, nesterov=True, weight_decay=1e-4, decay_all=True),
        schedule=ScheduleSpec(kind="exponential", epochs=288, epoch_clips=IMAGENET_STEPS * BATCH, gamma=0.98),
        train=TrainSpec(batch_size=BATCH, dropout=0.0),
    )


def imagenet_12_fibers() -> Recipe:
    """The 2-D MF-Net of 12 fibers; see the backbone for the widths, which the paper does not print."""
    return _on_imagenet("12-fibers", "tsn-mfnet", (74.5, 92.0), fibers=12)


def imagenet_24_fibers() -> Recipe:
    """The 2-D MF-Net of 24 fibers; see the backbone for the widths, which the paper does not print."""
    return _on_imagenet("24-fibers", "tsn-mfnet", (75.4, 92.5), fibers=24)


def imagenet_no_multiplexer() -> Recipe:
    """The 2-D MF-Net without multiplexers: its fibers never meet inside a unit."""
    return _on_imagenet("no-multiplexer", "tsn-mfnet", (70.2, 89.4), multiplexer=False)


def imagenet_wide() -> Recipe:
    """The 2-D MF-Net without multiplexers, deeper and wider."""
    return _on_imagenet("wide", "tsn-mfnetwide", (71.0, 90.0))


def imagenet_resnet18() -> Recipe:
    """ResNet-18, the paper's baseline as it reproduced it."""
    return _on_imagenet("resnet18", "tsn-resnet18", (71.4, 90.2))


def imagenet_mfresnet18() -> Recipe:
    """ResNet-18 with multi-fiber units embedded; its widths are ours."""
    return _on_imagenet("mfresnet18", "tsn-mfresnet18", (74.3, 92.1))


def imagenet_resnext26() -> Recipe:
    """ResNeXt-26 (8 x 16d), the paper's own baseline with as many multiply-adds as MF-Net."""
    return _on_imagenet("resnext26", "tsn-resnext26", (72.8, 91.1))


def imagenet_mobilenetv2() -> Recipe:
    """MobileNet-v2 (1.4), the paper's baseline as it reproduced it."""
    return _on_imagenet("mobilenetv2", "tsn-mobilenetv2", (72.2, 90.8), width_multiplier=1.4)


def imagenet_mfmobilenetv2() -> Recipe:
    """MobileNet-v2 (1.4) with multi-fiber units embedded; its widths are ours."""
    return _on_imagenet("mfmobilenetv2", "tsn-mfmobilenetv2", (73.0, 91.1))


def kinetics() -> Recipe:
    """The 3-D MF-Net on Kinetics from the 2-D one, which must be given: 36,000 iterations of 1024 clips at 0.1.

    The rate drops by 10 after 18, 28 and 34 million clips. Tests average the probabilities of random clips, frames
    squeezed to 256 x 256; the paper does not say of how many, here it is ten.
    """
    drops = tuple(clips / KINETICS_EPOCH for clips in DROPS)
    return Recipe(
        name="multi-fiber-kinetics",
        model="i3d-mfnet",
        options={"inflation": "mean"},
        weights=MUST_BE_GIVEN,
        protocol="mfnet-10",
        citation=f"{MULTI_FIBER}, section 4.1 and Table 3",
        paper_scores=scores_of("i3d-mfnet", {"Kinetics-400, top-1": 72.8, "Kinetics-400, top-5": 90.4}),
        data=DataSpec(
            frames=16,
            sampling="dense",
            stride=2,
            strides=(1, 2, 2, 3),
            augmentation="multi-fiber",
            short_side=(224, 288),
            resize=(256, 256),
            aspect=(0.64, 1.5625),
            crop_size=224,
            color_jitter=(15, 35, 25),
        ),
        optim=OptimSpec(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4, decay_all=True),
        schedule=ScheduleSpec(kind="step", epochs=36, epoch_clips=KINETICS_EPOCH, milestones=drops),
        train=TrainSpec(batch_size=BATCH, dropout=0.0),
    )


def ucf101() -> Recipe:
    """The 3-D MF-Net on UCF101 from Kinetics, which must be given: 0.005, batches of 128, three drops by 10.

    All layers but the classifier learn at a fifth of the rate, and half of the features of a clip are dropped, behind
    the average over time and space. Drops of the rate come after 200,000, 400,000 and 600,000 clips, the end after
    700,000, as in the authors' code; 100,000 make an epoch here. All videos of ``train`` are trained on.
    """
    recipe = kinetics()
    return replace(
        recipe,
        name="multi-fiber-ucf101",
        citation=f"{MULTI_FIBER}, section 4.2 and Table 4",
        paper_scores=scores_of("i3d-mfnet", {"UCF101, average of 3 splits": 96.0}),
        data=replace(recipe.data, strides=()),
        optim=replace(recipe.optim, lr=0.005, base_lr_scale=0.2),
        schedule=ScheduleSpec(kind="step", epochs=7, epoch_clips=100_000, milestones=(2, 4, 6)),
        train=replace(recipe.train, batch_size=128, dropout=0.5, validate_on="none"),
    )


def hmdb51() -> Recipe:
    """The 3-D MF-Net on HMDB51 from Kinetics, as on UCF101."""
    scores = scores_of("i3d-mfnet", {"HMDB51, average of 3 splits": 74.6})
    return replace(ucf101(), name="multi-fiber-hmdb51", paper_scores=scores)


def _on_imagenet(name: str, model: str, scores: tuple[float, float], **options: Any) -> Recipe:
    return replace(
        imagenet(),
        name=f"multi-fiber-imagenet-{name}",
        model=model,
        options=options,
        paper_scores=_imagenet_scores(model, *scores),
    )


def _imagenet_scores(model: str, top1: float, top5: float) -> dict[str, float]:
    return scores_of(model, {"ImageNet, top-1": top1, "ImageNet, top-5": top5})
