"""The papers' studies, and a small one: what is compared, under which recipe and protocol."""

from __future__ import annotations

from dataclasses import replace

from kinema.recipes import multi_fiber as recipes
from kinema.recipes.deep_analysis import mini, mini_kinetics, mini_mit
from kinema.recipes.r2plus1d import r2plus1d_kinetics
from kinema.recipes.s3dg import s3dg_mini_kinetics
from kinema.recipes.scratch import scratch
from kinema.specs.protocol import DEEP_ANALYSIS, MULTI_FIBER, R2PLUS1D, S3DG
from kinema.study.grid import Study

LENGTHS = (8, 16, 32, 64)
INCEPTION_UNITS = 11
"""Units of the Inception of I3D that a placement counts: the paper's layers K = 0 to 10."""


def deep_analysis() -> Study:
    """The deep analysis: 4 modules x 3 backbones, 4 lengths, 3 data sets, with -tp or without: 288 models."""
    return Study(
        name="deep-analysis",
        citation=f"{DEEP_ANALYSIS}, section 6, Figures 4, 6, 7 and 10, Table 7",
        modules=("tsn", "tam", "i3d", "s3d"),
        backbones=("inceptionv1", "resnet18", "resnet50"),
        temporal_pooling=(False, True),
        recipes=tuple(mini(frames=frames) for frames in LENGTHS),
        recipes_of={
            "mini-kinetics": tuple(mini_kinetics(frames=frames) for frames in LENGTHS),
            "mini-mit": tuple(mini_mit(frames=frames) for frames in LENGTHS),
        },
        datasets=("mini-ssv2", "mini-kinetics", "mini-mit"),
        progressive=True,
    )


def deep_analysis_placement() -> Study:
    """Where temporal modules are needed: TAM in half of the blocks of ResNet-18, or in all (Table 6)."""
    return Study(
        name="deep-analysis-placement",
        citation=f"{DEEP_ANALYSIS}, Table 6",
        modules=("tam",),
        backbones=("resnet18",),
        placements=("bottomhalf", "tophalf", "uniformhalf", ""),
        recipes=(mini(),),
        recipes_of={"mini-kinetics": (mini_kinetics(),)},
        datasets=("mini-ssv2", "mini-kinetics"),
    )


def r2plus1d() -> Study:
    """R(2+1)D and its relatives of 18 layers, 8 frames (the paper's Tables 1 and 2)."""
    return Study(
        name="r2plus1d",
        citation=f"{R2PLUS1D}, Tables 1 and 2",
        models=(
            *("r2d-vresnet18", "f-r2d", "r3d-vresnet18"),
            *(f"mc{first}-vresnet18" for first in (2, 3, 4, 5)),
            *(f"rmc{first}-vresnet18" for first in (2, 3, 4, 5)),
            "r2plus1d-vresnet18",
        ),
        recipes=(r2plus1d_kinetics(),),
        protocols=("r2plus1d-10", "clip"),
    )


def r2plus1d_lengths() -> Study:
    """R(2+1)D of 18 layers on longer clips, each from random weights (Figure 5)."""
    return Study(
        name="r2plus1d-lengths",
        citation=f"{R2PLUS1D}, section 4.3 and Figure 5",
        models=("r2plus1d-vresnet18",),
        recipes=tuple(r2plus1d_kinetics(frames=frames) for frames in (8, 16, 24, 32, 40, 48)),
        protocols=("r2plus1d-10", "clip"),
    )


def s3dg() -> Study:
    """Which layers must see time: I3D and S3D with temporal convolutions in the top or bottom K units (Figure 4)."""
    some = range(1, INCEPTION_UNITS)
    return Study(
        name="s3dg",
        citation=f"{S3DG}, sections 4.2 to 4.4 and Figure 4",
        modules=("i3d", "s3d"),
        backbones=("inceptioni3d",),
        placements=("", *(f"top{count}" for count in some), *(f"bottom{count}" for count in some)),
        models=("i2d",),
        recipes=(s3dg_mini_kinetics(),),
        protocols=("all-frames-250",),
    )


def multi_fiber() -> Study:
    """Multi-fiber networks on ImageNet: fibers, multiplexer, and the idea in other networks (Table 1 and Figure 2)."""
    return Study(
        name="multi-fiber",
        citation=f"{MULTI_FIBER}, sections 3.2 and 4.1, Table 1 and Figure 2",
        own_recipes=(
            recipes.imagenet(),
            recipes.imagenet_12_fibers(),
            recipes.imagenet_24_fibers(),
            recipes.imagenet_no_multiplexer(),
            recipes.imagenet_wide(),
            recipes.imagenet_resnet18(),
            recipes.imagenet_mfresnet18(),
            recipes.imagenet_resnext26(),
            recipes.imagenet_mobilenetv2(),
            recipes.imagenet_mfmobilenetv2(),
        ),
    )


def small() -> Study:
    """Six modules on a small network from random weights, with and without temporal pooling: for one machine."""
    recipe = scratch()
    return Study(
        name="small",
        modules=("tsn", "tsm", "tam", "conv1d", "s3d", "i3d"),
        backbones=("resnettiny",),
        temporal_pooling=(False, True),
        recipes=(replace(recipe, schedule=replace(recipe.schedule, epochs=12)),),
        protocols=("dense-10x1", "clip"),
    )
