"""Recipes of "Towards Good Practices for Very Deep Two-Stream ConvNets" (arXiv 1507.02159), for UCF101.

The two ``two-stream-original-*`` are for THUMOS15, on whose untrimmed validation videos Table 2 measures them; THUMOS15
gives UCF101 to train on. The paper prints no score of theirs on UCF101.

A spatial network sees one frame, a temporal one a stack of ten flow fields. Both are tested with 25 places x 10 crops,
scores before the softmax are averaged, and the streams are fused 1:2:
``kinema fuse rgb.npz flow.npz --weights 1 2``.

One epoch of a recipe is 1000 of the paper's iterations. What the paper leaves open is from the solver and network files
that its authors published: momentum 0.9, weight decay 0.0005 on weights but not on biases, 256 clips in an iteration.

Differs from the paper: theirs ran in Caffe, which here means that the spatial network saw BGR frames of 0..255 less a
mean, where ours sees what torchvision's ImageNet weights were trained on; that flow was shifted by 128 but not scaled,
where ours has deviation 1; that biases learnt at twice the rate; that the temporal network's iterations had 264 clips
(22 for each of four devices, three times). Networks run in torch, and every network trains on all videos of ``train``.
"""

from __future__ import annotations

from dataclasses import replace

from kinema.recipes.model_scores import scores_of, table_scores
from kinema.specs.data import DataSpec
from kinema.specs.protocol import TWO_STREAM
from kinema.specs.recipe import MUST_BE_GIVEN, OptimSpec, Recipe, ScheduleSpec, TrainSpec

ITERATIONS = 1000
"""Steps that make one epoch of these recipes."""
BATCH = 256
STACKS = "tvl1-20x10"
"""TV-L1 flow in ten consecutive fields, clipped at 20 pixels."""
ORIGINAL = "Two-Stream Convolutional Networks for Action Recognition in Videos, arXiv 1406.2199, section 5"
THUMOS15 = "THUMOS15 validation"
"""The challenge of 2015 ("The THUMOS Challenge on Action Recognition for Videos in the Wild", arXiv 1604.06182): all of
UCF101 to train on, 2104 untrimmed videos to validate on."""
ORIGINAL_SPATIAL = {"tsn-vgg16": [54.5], "tsn-googlenet": [53.7], "tsn-clarifainet": [42.3]}
"""Table 2 of the very deep paper, spatial networks."""
ORIGINAL_TEMPORAL = {"tsn-vgg11": [42.6], "tsn-googlenet": [39.9], "tsn-clarifainet": [47.0]}
"""Table 2 of the very deep paper, temporal networks."""


def two_stream_spatial() -> Recipe:
    """VGG-16 on single frames: 10,000 iterations at 0.001, divided by 10 at 4000 and 8000, dropout 0.9 twice.

    Crops are squares and rectangles with sides of 256, 224, 192 and 168 pixels from frames of 256 x 340, in a corner or
    the centre. The text draws height and width independently; like the authors' code this one keeps them at most one
    step of the list apart. The paper counts three drops of the rate: the third coincides with the end.
    """
    return Recipe(
        name="two-stream-spatial",
        model="tsn-vgg16",
        options={"fc_dropout": [0.9, 0.9]},
        weights="imagenet",
        protocol="two-stream-25x10",
        citation=f"{TWO_STREAM}, section 2.2 and Table 1",
        paper_scores=scores_of(
            "tsn-vgg16",
            {
                "UCF101, mean class of splits 1, 2, 3": [79.8, 77.3, 77.8],
                "UCF101, mean class, average of 3 splits": 78.4,
            },
        ),
        data=DataSpec(frames=1, augmentation="multi-scale", resize=(256, 340), positions=5, max_distort=1),
        optim=OptimSpec(lr=0.001, momentum=0.9, weight_decay=5e-4),
        schedule=ScheduleSpec(kind="step", epochs=10, epoch_clips=ITERATIONS * BATCH, milestones=(4, 8)),
        train=TrainSpec(batch_size=BATCH, dropout=0.9, monitor="mean_class", validate_on="none"),
    )


def two_stream_temporal() -> Recipe:
    """VGG-16 on stacks of ten TV-L1 fields: 30,000 iterations at 0.005, divided by 10 at 10,000 and 20,000.

    The first layer starts as the average of ImageNet's over its three channels, copied to twenty. Dropout is 0.9 and
    0.8. Like the authors' code this one draws crops from 256, 224 and 192 pixels; the text has 168 as well.
    """
    spatial = two_stream_spatial()
    return replace(
        spatial,
        name="two-stream-temporal",
        options={"fc_dropout": [0.9, 0.8]},
        paper_scores=scores_of(
            "tsn-vgg16",
            {
                "UCF101, mean class of splits 1, 2, 3": [85.7, 88.2, 87.4],
                "UCF101, mean class, average of 3 splits": 87.0,
                "UCF101, with the spatial network 1:2, splits 1, 2, 3": [90.9, 91.6, 91.6],
                "UCF101, with the spatial network 1:2, average of 3 splits": 91.4,
            },
        ),
        data=replace(spatial.data, flow=STACKS, scales=(1.0, 0.875, 0.75)),
        optim=replace(spatial.optim, lr=0.005),
        schedule=replace(spatial.schedule, epochs=30, milestones=(10, 20)),
        train=replace(spatial.train, dropout=0.8),
    )


def two_stream_spatial_googlenet() -> Recipe:
    """GoogLeNet of 2014 in place of VGG-16; the iterations and crops of the spatial network.

    It has a single fully connected layer, whose input is dropped at the rate that VGG-16 has in front of its
    classifier; the paper does not say what it did. Weights must be given: torchvision's GoogLeNet is another network
    (batch norm), so the authors' starting point is a run on ImageNet of one's own.
    """
    return replace(
        two_stream_spatial(),
        name="two-stream-spatial-googlenet",
        model="tsn-googlenet",
        options={},
        weights=MUST_BE_GIVEN,
        paper_scores=scores_of(
            "tsn-googlenet",
            {
                "UCF101, mean class of splits 1, 2, 3": [77.1, 73.2, 75.6],
                "UCF101, mean class, average of 3 splits": 75.3,
            },
        ),
    )


def two_stream_temporal_googlenet() -> Recipe:
    """GoogLeNet of 2014 on stacks of flow, as ``two-stream-temporal``; see ``two-stream-spatial-googlenet``."""
    return replace(
        two_stream_temporal(),
        name="two-stream-temporal-googlenet",
        model="tsn-googlenet",
        options={},
        weights=MUST_BE_GIVEN,
        paper_scores=scores_of(
            "tsn-googlenet",
            {
                "UCF101, mean class of splits 1, 2, 3": [83.9, 86.5, 86.9],
                "UCF101, mean class, average of 3 splits": 85.8,
                "UCF101, with the spatial network 1:2, splits 1, 2, 3": [89.0, 89.3, 89.5],
                "UCF101, with the spatial network 1:2, average of 3 splits": 89.3,
            },
        ),
    )


def two_stream_original_spatial() -> Recipe:
    """VGG-16 on frames without the good practices: random crops, dropout 0.5, the original two-stream fine-tuning.

    20,000 iterations at 0.01, divided by 10 at 14,000; random 224 pixel crops of frames with a short side of 256;
    classes drawn equally often. Table 2 of the very deep paper is what this gave on the validation videos of THUMOS15,
    not on UCF101. Differs from the paper: no jitter of the colours, whose size the original paper does not print.
    """
    spatial = two_stream_spatial()
    return replace(
        spatial,
        name="two-stream-original-spatial",
        options={},
        citation=f"{ORIGINAL}; as the ablation of {TWO_STREAM}, Table 2",
        paper_scores=table_scores(ORIGINAL_SPATIAL, [THUMOS15]),
        data=DataSpec(frames=1, augmentation="short-side", short_side=(256, 256), balance="sampler"),
        optim=replace(spatial.optim, lr=0.01),
        schedule=replace(spatial.schedule, epochs=20, milestones=(14,)),
        train=replace(spatial.train, dropout=0.5),
    )


def two_stream_original_temporal() -> Recipe:
    """VGG-11 on stacks of flow without the good practices: from random weights, random crops, dropout 0.5.

    80,000 iterations at 0.01, divided by 10 at 50,000 and 70,000; the mean of each field is subtracted. VGG-11 is what
    Table 2 of the very deep paper trained like this, tested on THUMOS15; name ``tsn-vgg16`` on the command line to set
    one network's two trainings side by side. Differs from the paper: the mean is that of the crop, not of the whole
    field.
    """
    spatial = two_stream_original_spatial()
    return replace(
        spatial,
        name="two-stream-original-temporal",
        model="tsn-vgg11",
        weights="",
        paper_scores=table_scores(ORIGINAL_TEMPORAL, [THUMOS15]),
        data=replace(spatial.data, flow=f"{STACKS}-centred"),
        schedule=replace(spatial.schedule, epochs=80, milestones=(50, 70)),
    )
