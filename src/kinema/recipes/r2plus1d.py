"""Recipes of "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (R(2+1)D, arXiv 1711.11248).

Consecutive frames of 128 x 171 pixels, random crops of 112. An *epoch* is a million clips, as the authors' code counts
(clips are drawn anew from every video), so it is not a pass over the data set. Their code is also where the weight
decay of 0.0001 and the epochs of UCF101 (100,000 clips) and HMDB51 (40,000 clips) come from, none of which the paper
prints.

Tests average the probabilities of ten clips; the two streams are fused by plain averaging,
``kinema fuse rgb.npz flow.npz --weights 1 1``.

Differs from the paper: which optimiser step the millionth clip falls on; the frame rate of the videos, which the paper
does not print, is left as it is.
"""

from __future__ import annotations

from dataclasses import replace

from kinema.recipes.model_scores import scores_of, table_scores
from kinema.recipes.r2plus1d_scores import DEEP, FUSED, TABLE_2, kinetics_scores, split_scores, sports1m_scores
from kinema.specs.data import DataSpec
from kinema.specs.protocol import R2PLUS1D
from kinema.specs.recipe import MUST_BE_GIVEN, OptimSpec, Recipe, ScheduleSpec, TrainSpec

EPOCH = 1_000_000
"""Clips of an epoch on Kinetics and Sports-1M."""
FLOW = "farneback-20"
"""Farneback's flow, one field for each frame. The paper does not print a bound; this is the other papers'."""


def r2plus1d_kinetics(frames: int = 8) -> Recipe:
    """R(2+1)D of 18 layers from random weights on Kinetics: 45 epochs at 0.01, divided by 10 every 10 of them.

    Every other network of the paper's Table 2 trains alike: name it on the command line (``r3d-vresnet18``,
    ``mc3-vresnet18``, ``f-r2d``, ``r2d-vresnet18`` with its option ``frames``). The paper's Figure 5 has 8, 16, 24, 32,
    40 and 48 frames, each from random weights; it prints 58.5 % (clips) for 32. Tests take ten clips evenly spaced, as
    for that figure; those of Table 2 were drawn at random (``--protocol r2plus1d-10-random``).

    Args:
        frames: Frames of a clip.
    """
    scores = {
        8: table_scores(TABLE_2, ["Kinetics-400, video top-1", "Kinetics-400, clip top-1"]),
        32: {"r2plus1d-vresnet18: Kinetics-400, clip top-1": 58.5},
    }
    return Recipe(
        name="r2plus1d-kinetics",
        model="r2plus1d-vresnet18",
        protocol="r2plus1d-10",
        citation=f"{R2PLUS1D}, sections 4.1 to 4.3, Table 2 and Figure 5",
        paper_scores=scores.get(frames, {}),
        data=DataSpec(frames=frames, sampling="dense", augmentation="fixed", resize=(128, 171), crop_size=112),
        optim=OptimSpec(lr=0.01, momentum=0.9, weight_decay=1e-4),
        schedule=ScheduleSpec(kind="step", epochs=45, epoch_clips=EPOCH, milestones=(10, 20, 30, 40)),
        train=TrainSpec(batch_size=32, dropout=0.0),
    )


def r2plus1d_long_clips() -> Recipe:
    """R(2+1)D of 18 layers on 32 frames, from the network trained on 8 frames, which must be given.

    The paper does not print the schedule of this experiment; here it is the one of its other fine-tuning.
    """
    return _finetuned(
        replace(
            r2plus1d_kinetics(frames=32),
            name="r2plus1d-long-clips",
            citation=f"{R2PLUS1D}, section 4.3",
            paper_scores={"r2plus1d-vresnet18: Kinetics-400, clip top-1": 56.8},
        )
    )


def r2plus1d_kinetics_34(frames: int = 32) -> Recipe:
    """R(2+1)D of 34 layers from random weights on Kinetics, frames of RGB.

    Args:
        frames: Frames of a clip; the paper's table does not say how many it had.
    """
    return replace(
        r2plus1d_kinetics(frames=frames),
        name="r2plus1d-kinetics-34",
        model=DEEP,
        citation=f"{R2PLUS1D}, section 4.4 and Table 4",
        paper_scores=kinetics_scores(72.0, 90.0),
    )


def r2plus1d_kinetics_34_flow(frames: int = 32) -> Recipe:
    """R(2+1)D of 34 layers from random weights on Kinetics, Farneback flow.

    Args:
        frames: Flow fields of a clip.
    """
    return _on_flow(
        r2plus1d_kinetics_34(frames=frames),
        "r2plus1d-kinetics-34-flow",
        {
            "Kinetics-400, video top-1": 67.5,
            "Kinetics-400, video top-5": 87.2,
            "Kinetics-400, averaged with RGB, top-1": 73.9,
            "Kinetics-400, averaged with RGB, top-5": 90.9,
        },
    )


def r2plus1d_sports1m(frames: int = 8) -> Recipe:
    """R(2+1)D of 34 layers from random weights on Sports-1M: 50 epochs, mini-batches of 30, tested on 100 random clips.

    Args:
        frames: Frames of a clip, 8 or 32 in the paper.
    """
    scores = {8: (56.1, 72.0, 91.2), 32: (57.0, 73.0, 91.5)}.get(frames)
    kinetics = r2plus1d_kinetics_34(frames=frames)
    return replace(
        kinetics,
        name="r2plus1d-sports1m",
        protocol="sports1m-100",
        citation=f"{R2PLUS1D}, section 4.4 and Table 3",
        paper_scores=sports1m_scores(scores),
        schedule=replace(kinetics.schedule, epochs=50),
        train=replace(kinetics.train, batch_size=30),
    )


def r2plus1d_sports1m_flow(frames: int = 8) -> Recipe:
    """R(2+1)D of 34 layers from random weights on Sports-1M, Farneback flow.

    Args:
        frames: Flow fields of a clip, 8 or 32 in the paper.
    """
    scores = {8: (44.5, 65.5, 87.2), 32: (46.4, 68.4, 88.7)}.get(frames)
    fused = {8: (72.2, 91.4), 32: (73.3, 91.9)}.get(frames)
    both = {} if fused is None else table_scores({DEEP: fused}, FUSED)
    recipe = _on_flow(r2plus1d_sports1m(frames=frames), "r2plus1d-sports1m-flow", {})
    return replace(recipe, paper_scores=sports1m_scores(scores) | both)


def r2plus1d_sports1m_r3d(frames: int = 8) -> Recipe:
    """R3D of 34 layers on Sports-1M, the paper's 3-D baseline, with the settings of ``r2plus1d-sports1m``.

    Args:
        frames: Frames of a clip; the paper does not say which of its two lengths the score belongs to.
    """
    return replace(
        r2plus1d_sports1m(frames=frames),
        name="r2plus1d-sports1m-r3d",
        model="r3d-vresnet34",
        paper_scores={"r3d-vresnet34: Sports-1M, clip top-1": 53.8},
    )


def r2plus1d_sports1m_2d(frames: int = 8) -> Recipe:
    """ResNet-152 frame by frame on Sports-1M, the paper's 2-D baseline, from ImageNet weights.

    Differs from the paper: it took this row from "Learning Spatio-Temporal Representation with Pseudo-3D Residual
    Networks" and did not train the network itself. Here the network is trained and tested like ``r2plus1d-sports1m``,
    so that the two compare; name ``f-r2d-vresnet34`` and ``--weights random`` for the 2-D network of R(2+1)D's own
    form.

    Args:
        frames: Frames of a clip.
    """
    return replace(
        r2plus1d_sports1m(frames=frames),
        name="r2plus1d-sports1m-2d",
        model="tsn-resnet152",
        weights="imagenet",
        paper_scores=sports1m_scores((46.5, 64.6, 86.4), "tsn-resnet152"),
    )


def r2plus1d_kinetics_from_sports1m(frames: int = 32) -> Recipe:
    """R(2+1)D of 34 layers on Kinetics from Sports-1M: 15 epochs at 0.001, divided by 10 every 4 of them.

    The run on Sports-1M must be given.

    Args:
        frames: Frames of a clip; the paper's table does not say how many it had.
    """
    return _finetuned(
        replace(
            r2plus1d_kinetics_34(frames=frames),
            name="r2plus1d-kinetics-from-sports1m",
            paper_scores=kinetics_scores(74.3, 91.4),
        )
    )


def r2plus1d_kinetics_from_sports1m_flow(frames: int = 32) -> Recipe:
    """The same on ``frames`` fields of Farneback flow, from a run on the flow of Sports-1M."""
    return _on_flow(
        r2plus1d_kinetics_from_sports1m(frames=frames),
        "r2plus1d-kinetics-from-sports1m-flow",
        {
            "Kinetics-400, video top-1": 68.5,
            "Kinetics-400, video top-5": 88.1,
            "Kinetics-400, averaged with RGB, top-1": 75.4,
            "Kinetics-400, averaged with RGB, top-5": 91.9,
        },
    )


def r2plus1d_ucf101(frames: int = 32) -> Recipe:
    """R(2+1)D of 34 layers on UCF101, from a run on Kinetics or Sports-1M, which must be given.

    Rates and epochs are those that the paper prints for its other fine-tuning, as it prints none for these data sets;
    its authors' later script starts at 0.0001. All videos of ``train`` are trained on.

    Args:
        frames: Frames of a clip.
    """
    finetuned = r2plus1d_kinetics_from_sports1m(frames=frames)
    return replace(
        finetuned,
        name="r2plus1d-ucf101",
        citation=f"{R2PLUS1D}, section 4.4 and Table 5",
        paper_scores=split_scores("UCF101", 96.8, 93.6),
        schedule=replace(finetuned.schedule, epoch_clips=100_000),
        train=replace(finetuned.train, validate_on="none"),
    )


def r2plus1d_ucf101_flow(frames: int = 32) -> Recipe:
    """The same on ``frames`` fields of Farneback flow."""
    return _on_flow(
        r2plus1d_ucf101(frames=frames),
        "r2plus1d-ucf101-flow",
        {
            "UCF101, from Kinetics, average of 3 splits": 95.5,
            "UCF101, from Kinetics, averaged with RGB": 97.3,
            "UCF101, from Sports-1M, average of 3 splits": 93.3,
            "UCF101, from Sports-1M, averaged with RGB": 95.0,
        },
    )


def r2plus1d_hmdb51(frames: int = 32) -> Recipe:
    """R(2+1)D of 34 layers on HMDB51, as ``r2plus1d-ucf101``.

    Args:
        frames: Frames of a clip.
    """
    ucf101 = r2plus1d_ucf101(frames=frames)
    return replace(
        ucf101,
        name="r2plus1d-hmdb51",
        paper_scores=split_scores("HMDB51", 74.5, 66.6),
        schedule=replace(ucf101.schedule, epoch_clips=40_000),
    )


def r2plus1d_hmdb51_flow(frames: int = 32) -> Recipe:
    """The same on ``frames`` fields of Farneback flow."""
    return _on_flow(
        r2plus1d_hmdb51(frames=frames),
        "r2plus1d-hmdb51-flow",
        {
            "HMDB51, from Kinetics, average of 3 splits": 76.4,
            "HMDB51, from Kinetics, averaged with RGB": 78.7,
            "HMDB51, from Sports-1M, average of 3 splits": 70.1,
            "HMDB51, from Sports-1M, averaged with RGB": 72.7,
        },
    )


def _finetuned(recipe: Recipe) -> Recipe:
    """The schedule of the paper's fine-tuning, from weights that must be given."""
    return replace(
        recipe,
        weights=MUST_BE_GIVEN,
        optim=replace(recipe.optim, lr=0.001),
        schedule=replace(recipe.schedule, epochs=15, milestones=(4, 8, 12)),
    )


def _on_flow(recipe: Recipe, name: str, scores: dict[str, float]) -> Recipe:
    return replace(recipe, name=name, paper_scores=scores_of(DEEP, scores), data=replace(recipe.data, flow=FLOW))
