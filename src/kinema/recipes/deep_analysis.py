"""Recipes of "Deep Analysis of CNN-based Spatio-temporal Representations for Action Recognition" (arXiv 2010.11757).

Every network of the paper trains alike: name it on the command line (``tam-resnet50``, ``s3d-inceptionv1-tp``).
ImageNet kernels are copied to each frame, not divided. The authors' code decays every parameter, biases and norms too,
and drops half of the features in front of the classifier.

Differs from the paper: uniform sampling can show the last frames of a video, which the authors' code leaves out, and
short videos repeat frames evenly (see ``kinema.specs.sampling.Uniform``); TAM starts as the identity, where the authors
draw its taps at random (``--options '{"tam_init": "kaiming"}'`` does too); batch norm of several devices is that of a
device's own clips unless a recipe says otherwise, so its size depends on the number of devices; the cosine falls with
every step, where the authors' code changes the rate once an epoch; ten uniform clips of a test are shifted by -4 to 5
frames, as in their code, where the text of section D.1 has -5 to 4.
"""

from __future__ import annotations

from dataclasses import replace

from kinema.recipes.mini_accuracy import (
    MINI_KINETICS,
    MINI_MIT,
    MINI_SSV2,
    TABLES_KINETICS,
    TABLES_SSV2,
    clip_scores,
)
from kinema.specs.data import DataSpec
from kinema.specs.protocol import DEEP_ANALYSIS
from kinema.specs.recipe import MUST_BE_GIVEN, OptimSpec, Recipe, ScheduleSpec, TrainSpec

FIRST_FRAMES = 8
"""Frames of the stage that starts from ImageNet; every longer one starts from the stage before it."""
INFLATION = {"inflation": "repeat"}


def mini(frames: int = FIRST_FRAMES) -> Recipe:
    """A stage of the mini protocol (Mini-SSV2, Mini-MiT): 8 frames from ImageNet, then 16, 32, 64 each from the last.

    The first stage has 75 epochs at 0.01 along a cosine; the others 35, divided by 10 after 10, 20 and 30. All stages:
    ``kinema train i3d-resnet50 --recipe deep-analysis-mini --frames 8,16,32,64``. Squares and rectangles with sides of
    1, 0.875, 0.75 and 0.66 of the short side are cut at 13 places.

    Args:
        frames: Frames of a clip; 8 is the first stage, any other number starts from weights that must be given.
    """
    first = frames == FIRST_FRAMES
    return Recipe(
        name="deep-analysis-mini",
        model="i3d-resnet50",
        options=dict(INFLATION),
        weights="imagenet" if first else MUST_BE_GIVEN,
        protocol="clip",
        citation=f"{DEEP_ANALYSIS}, section D.1 and Table 12",
        paper_scores={
            **clip_scores({**MINI_SSV2, **TABLES_SSV2}, data_set="Mini-SSV2", frames=frames),
            **clip_scores(MINI_MIT, data_set="Mini-MiT", frames=frames),
        },
        data=DataSpec(frames=frames, augmentation="multi-scale", positions=13, max_distort=1, crop_size=224),
        optim=OptimSpec(lr=0.01, momentum=0.9, weight_decay=5e-4, decay_all=True),
        schedule=ScheduleSpec(epochs=75) if first else ScheduleSpec(kind="step", epochs=35, milestones=(10, 20, 30)),
        train=TrainSpec(batch_size=72, dropout=0.5),
    )


def mini_kinetics(frames: int = FIRST_FRAMES) -> Recipe:
    """The mini protocol on Mini-Kinetics: 100 epochs, then 45 in each later stage, divided by 10 after 15, 30 and 40.

    Args:
        frames: Frames of a clip, as in ``deep-analysis-mini``.
    """
    recipe = mini(frames=frames)
    if frames == FIRST_FRAMES:
        schedule = replace(recipe.schedule, epochs=100)
    else:
        schedule = replace(recipe.schedule, epochs=45, milestones=(15, 30, 40))
    return replace(
        recipe,
        name="deep-analysis-mini-kinetics",
        paper_scores=clip_scores({**MINI_KINETICS, **TABLES_KINETICS}, data_set="Mini-Kinetics", frames=frames),
        schedule=schedule,
    )


def mini_mit(frames: int = FIRST_FRAMES) -> Recipe:
    """The mini protocol on Mini-MiT, the small Moments in Time of its authors: all else as ``deep-analysis-mini``.

    Args:
        frames: Frames of a clip, as in ``deep-analysis-mini``.
    """
    scores = clip_scores(MINI_MIT, data_set="Mini-MiT", frames=frames)
    return replace(mini(frames=frames), name="deep-analysis-mini-mit", paper_scores=scores)


def mini_sync(frames: int = 32) -> Recipe:
    """The mini protocol for networks that are large at 32 or 64 frames: batches of 36, batch norm over all devices.

    The rate stays 0.01: the paper does not say that it was lowered with the batch.

    Args:
        frames: Frames of a clip, as in ``deep-analysis-mini``.
    """
    recipe = mini(frames=frames)
    return replace(recipe, name="deep-analysis-mini-sync", train=replace(recipe.train, batch_size=36, sync_bn=True))


def full() -> Recipe:
    """The full protocol on Kinetics: 196 epochs, batches of 1024, from 0.01 to 1.6 in 34 epochs, then half a cosine.

    Clips are every other of 64 consecutive frames; short sides of 256 to 320 pixels, random crops of 224. The paper has
    8 clips on each of 128 GPUs and batch norm over these 8. Tests take 10 clips x 3 crops of 256.
    """
    return Recipe(
        name="deep-analysis-full",
        model="i3d-resnet50",
        options=dict(INFLATION),
        weights="imagenet",
        protocol="dense-10x3",
        citation=f"{DEEP_ANALYSIS}, section D.2 and Table 2",
        paper_scores={
            "i3d-resnet50: Kinetics-400, top-1": 76.61,
            "i3d-resnet101: Kinetics-400, top-1": 77.80,
            "tam-resnet50: Kinetics-400, top-1": 76.18,
            "tam-resnet101: Kinetics-400, top-1": 77.61,
        },
        data=DataSpec(frames=32, sampling="dense", stride=2, short_side=(256, 320), crop_size=224),
        optim=OptimSpec(lr=1.6, momentum=0.9, weight_decay=1e-4, decay_all=True),
        schedule=ScheduleSpec(kind="cosine", epochs=196, warmup_epochs=34.0, warmup_scale=0.01 / 1.6),
        train=TrainSpec(batch_size=1024, dropout=0.5),
    )


def full_uniform() -> Recipe:
    """The full protocol on Kinetics with frames from all over the video; tests take 2 clips x 3 crops (Table 3)."""
    recipe = full()
    return replace(
        recipe,
        name="deep-analysis-full-uniform",
        protocol="uniform-2x3",
        citation=f"{DEEP_ANALYSIS}, Table 3",
        paper_scores={
            "i3d-resnet50: Kinetics-400, top-1": 76.07,
            "tam-resnet50: Kinetics-400, top-1": 76.45,
            "slowfast-resnet50: Kinetics-400, top-1": 71.85,
        },
        data=replace(recipe.data, sampling="uniform", stride=1),
    )


def full_scratch() -> Recipe:
    """The full protocol on Kinetics from random weights, the same 196 epochs; SlowFast trains like this too."""
    return replace(
        full(),
        name="deep-analysis-full-scratch",
        options={},
        weights="",
        citation=f"{DEEP_ANALYSIS}, section B and Table 9",
        paper_scores={
            "i3d-resnet50: Kinetics-400, top-1": 76.54,
            "tam-resnet50: Kinetics-400, top-1": 75.61,
            "slowfast-resnet50: Kinetics-400, top-1": 76.40,
        },
    )


def full_ssv2() -> Recipe:
    """The full protocol on Something-Something V2, uniform sampling, 2 clips x 3 crops.

    Classes with left and right in their names must be marked ``no_flip`` in the classes file.
    """
    return replace(
        full_uniform(),
        name="deep-analysis-ssv2",
        citation=f"{DEEP_ANALYSIS}, section 6.2 and Table 2",
        paper_scores={
            "i3d-resnet50: SSV2, top-1": 62.84,
            "i3d-resnet101: SSV2, top-1": 64.29,
            "tam-resnet50: SSV2, top-1": 63.83,
            "tam-resnet101: SSV2, top-1": 65.32,
            "slowfast-resnet50: SSV2, top-1": 60.10,
        },
    )


def full_moments() -> Recipe:
    """The full protocol on Moments in Time, 10 clips x 3 crops."""
    return replace(
        full(),
        name="deep-analysis-moments",
        citation=f"{DEEP_ANALYSIS}, section 6.2 and Table 2",
        paper_scores={
            "i3d-resnet50: MiT, top-1": 31.21,
            "tam-resnet50: MiT, top-1": 30.80,
            "slowfast-resnet50: MiT, top-1": 31.20,
        },
    )


def full_tsn_pooled() -> Recipe:
    """TSN with temporal pooling, 32 frames of Kinetics, the full protocol: 5.1 points above TSN without pooling."""
    return replace(
        full(),
        name="deep-analysis-tsn-tp",
        model="tsn-resnet50-tp",
        citation=f"{DEEP_ANALYSIS}, section 6.1 and Table 8",
        paper_scores={"tsn-resnet50-tp: Kinetics-400, top-1": 74.9},
    )


def full_i3d_se() -> Recipe:
    """I3D with squeeze-and-excitation, 32 frames of Kinetics, the full protocol.

    The paper says that it surpasses SlowFast-8x8 by 0.8 points, which makes 77.2.
    """
    return replace(
        full(),
        name="deep-analysis-i3d-se",
        model="i3d+se-resnet50",
        citation=f"{DEEP_ANALYSIS}, section 6.2 and Figure 7",
        paper_scores={"i3d+se-resnet50: Kinetics-400, top-1": 77.2},
    )


def transfer_ucf101() -> Recipe:
    """From 32 frames of Kinetics to UCF101: 45 epochs along a cosine from 0.01, batches of 48, synchronised batch norm.

    Starts from the authors' published weights of ``i3d-resnet50``, ``i3d-resnet101``, ``tam-resnet50`` or
    ``tam-resnet101``, or from the run that ``--weights`` names. The rest is the mini protocol's, whose section the
    paper refers to: uniform sampling, multi-scale crops, weight decay 0.0005, one clip in the test. The paper does not
    say on which of the official splits it trained.
    """
    recipe = mini(frames=32)
    return replace(
        recipe,
        name="deep-analysis-transfer-ucf101",
        weights="k400-f32",
        citation=f"{DEEP_ANALYSIS}, section D.3 and Table 4",
        paper_scores=_transfer_scores("UCF101", 97.12, 95.05, 95.67),
        schedule=ScheduleSpec(kind="cosine", epochs=45),
        train=replace(recipe.train, batch_size=48, sync_bn=True, validate_on="none"),
    )


def transfer_hmdb51() -> Recipe:
    """From 32 frames of Kinetics to HMDB51, as ``deep-analysis-transfer-ucf101``."""
    scores = _transfer_scores("HMDB51", 72.32, 71.67, 74.61)
    return replace(transfer_ucf101(), name="deep-analysis-transfer-hmdb51", paper_scores=scores)


def transfer_jester() -> Recipe:
    """From 32 frames of Kinetics to Jester, as ``deep-analysis-transfer-ucf101`` but with its own validation videos."""
    recipe = transfer_ucf101()
    return replace(
        recipe,
        name="deep-analysis-transfer-jester",
        paper_scores=_transfer_scores("Jester", 96.39, 96.35, 96.75),
        train=replace(recipe.train, validate_on="val"),
    )


def transfer_mini_ssv2() -> Recipe:
    """From 32 frames of Kinetics to Mini-SSV2, as ``deep-analysis-transfer-jester``."""
    scores = _transfer_scores("Mini-SSV2", 65.86, 66.91, 63.93)
    return replace(transfer_jester(), name="deep-analysis-transfer-mini-ssv2", paper_scores=scores)


def _transfer_scores(data_set: str, i3d: float, tam: float, slowfast: float) -> dict[str, float]:
    rows = {"i3d-resnet50": i3d, "tam-resnet50": tam, "slowfast-resnet50": slowfast}
    return {f"{model}: {data_set}, top-1": score for model, score in rows.items()}
