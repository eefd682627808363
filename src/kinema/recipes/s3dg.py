"""Recipes of "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video Classification" (S3D-G).

64 consecutive frames of 256 x 256 pixels (the aspect ratio is not kept), random crops of 224; tests take every frame of
a video as one clip. The paper counts in steps of 6 clips for each GPU; an epoch of these recipes is 1000 such steps.
Every other network of the paper trains alike: name it on the command line (``i3d-inceptioni3d``, ``s3d-inceptioni3d``,
``i2d``, ``fast-s3d``, ``i3d@top4-inceptioni3d``).

What the paper leaves to the code that its authors published: weight decay 1e-7, dropout 0.2, batch norm over each GPU's
6 clips. Source: arXiv 1712.04851.

Differs from the paper: ImageNet kernels are divided by the number of frames they are copied to, as I3D (arXiv
1705.07750) does and this paper does not say; the ImageNet weights are torchvision's GoogLeNet, the nearest that are
public. The frame rate of the videos is left as it is (the data of I3D had 25 frames a second). Convolutions and pools
pad evenly, as torchvision's S3D does; the authors' code pads as TensorFlow does, where strided layers have one place
less before than behind (``--options '{"padding": "same"}'`` does too).
"""

from __future__ import annotations

from dataclasses import replace

from kinema.recipes.model_scores import scores_of, table_scores
from kinema.specs.data import DataSpec
from kinema.specs.protocol import S3DG
from kinema.specs.recipe import MUST_BE_GIVEN, OptimSpec, Recipe, ScheduleSpec, TrainSpec

STEPS = 1000
"""Steps that make one epoch of these recipes."""
CLIPS_PER_GPU = 6
KINETICS = {
    "s3dg-inceptioni3d": (74.7, 93.4),
    "s3d-inceptioni3d": (72.2, 90.6),
    "i3d-inceptioni3d": (71.1, 89.3),
}
"""Table 2: top-1 and top-5; the I2D of Table 1 has a top-1 alone."""
SOMETHING = {
    "s3dg-inceptioni3d": (48.2, 78.7),
    "s3d-inceptioni3d": (47.3, 78.1),
    "i3d-inceptioni3d": (45.8, 76.5),
    "i2d": (34.4, 69.0),
}
"""Table 3: top-1 and top-5 on the validation videos."""
FLOW = {"s3dg-inceptioni3d": (68.0, 87.6, 77.2, 93.0), "i3d-inceptioni3d": (63.9, 85.0, 74.1, 91.6)}
"""Table 4: top-1 and top-5 on flow, then of both streams."""


def s3dg_kinetics() -> Recipe:
    """S3D-G on Kinetics from ImageNet: 80,000 steps of 336 clips (56 GPUs) at 0.1, divided by 10 at 60,000 and 70,000.

    The paper prints these steps for Mini-Kinetics-200 and none of its own for the full Kinetics.
    """
    batch = 56 * CLIPS_PER_GPU
    return Recipe(
        name="s3dg-kinetics",
        model="s3dg-inceptioni3d",
        weights="imagenet",
        protocol="all-frames",
        citation=f"{S3DG}, section 3.2, Tables 2 and 4",
        paper_scores={
            **table_scores(KINETICS, ["Kinetics-400, top-1", "Kinetics-400, top-5"]),
            "i2d: Kinetics-400, top-1": 67.0,
        },
        data=DataSpec(frames=64, sampling="dense", augmentation="fixed", resize=(256, 256), crop_size=224),
        optim=OptimSpec(lr=0.1, momentum=0.9, weight_decay=1e-7),
        schedule=ScheduleSpec(kind="step", epochs=80, epoch_clips=STEPS * batch, milestones=(60, 70)),
        train=TrainSpec(batch_size=batch, dropout=0.2),
    )


def s3dg_mini_kinetics() -> Recipe:
    """S3D on Mini-Kinetics-200, where the paper compares which layers see time; videos are looped up to 250 frames."""
    return replace(
        s3dg_kinetics(),
        name="s3dg-mini-kinetics",
        model="s3d-inceptioni3d",
        protocol="all-frames-250",
        citation=f"{S3DG}, sections 3.2, 3.3 and 4.4",
        paper_scores=table_scores(
            {"s3d-inceptioni3d": [78.9], "i3d-inceptioni3d": [78.4], "fast-s3d": [78.0]}, ["Mini-Kinetics-200, top-1"]
        ),
    )


def s3dg_kinetics_flow() -> Recipe:
    """S3D-G on TV-L1 flow, clipped at 20 pixels, one field for each frame; all else as on RGB.

    The paper does not say how it weighs the two streams; ``kinema fuse rgb.npz flow.npz --weights 1 1`` averages them.
    """
    rgb = s3dg_kinetics()
    return replace(
        rgb,
        name="s3dg-kinetics-flow",
        citation=f"{S3DG}, section 5.1 and Table 4",
        paper_scores=table_scores(
            FLOW, [f"Kinetics-400{also}, top-{k}" for also in ("", ", with RGB") for k in (1, 5)]
        ),
        data=replace(rgb.data, flow="tvl1-20"),
    )


def s3dg_something() -> Recipe:
    """S3D-G on Something-Something V1: 10,000 steps of 96 clips (16 GPUs) at 0.1.

    Tests loop short videos up to 64 frames. Classes with left and right in their names must be marked ``no_flip`` in
    the classes file; the paper does not say whether it mirrored clips.
    """
    kinetics, batch = s3dg_kinetics(), 16 * CLIPS_PER_GPU
    return replace(
        kinetics,
        name="s3dg-something",
        protocol="all-frames-64",
        citation=f"{S3DG}, sections 3.2 and 3.3, Table 3",
        paper_scores=table_scores(SOMETHING, ["Something-Something V1, top-1", "Something-Something V1, top-5"]),
        schedule=ScheduleSpec(kind="constant", epochs=10, epoch_clips=STEPS * batch),
        train=replace(kinetics.train, batch_size=batch),
    )


def s3dg_ucf101() -> Recipe:
    """S3D-G on UCF101 from Kinetics, which must be given: 6000 steps of 48 clips (8 GPUs) at 0.01, 2000 at 0.001.

    All videos of ``train`` are trained on.
    """
    kinetics, batch = s3dg_kinetics(), 8 * CLIPS_PER_GPU
    return replace(
        kinetics,
        name="s3dg-ucf101",
        weights=MUST_BE_GIVEN,
        citation=f"{S3DG}, section 5.2 and Table 5",
        paper_scores=scores_of(kinetics.model, {"UCF101, average of 3 splits": 96.8}),
        optim=replace(kinetics.optim, lr=0.01),
        schedule=ScheduleSpec(kind="step", epochs=8, epoch_clips=STEPS * batch, milestones=(6,)),
        train=replace(kinetics.train, batch_size=batch, validate_on="none"),
    )


def s3dg_hmdb51() -> Recipe:
    """S3D-G on HMDB51 from Kinetics, as on UCF101."""
    ucf101 = s3dg_ucf101()
    scores = scores_of(ucf101.model, {"HMDB51, average of 3 splits": 75.9})
    return replace(ucf101, name="s3dg-hmdb51", paper_scores=scores)
