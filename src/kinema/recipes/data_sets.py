"""Which data set each of the papers' recipes is meant for, by the name that ``kinema plan --dataset`` knows.

``kinema data make`` makes manifests of all of them but ``thumos15``, whose lists it does not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kinema.training.find_recipe import RECIPES

DATA_SET_OF: Final[Mapping[str, str]] = {
    "two-stream": "ucf101",
    "two-stream-original": "thumos15",
    "r2plus1d": "kinetics400",
    "r2plus1d-sports1m": "sports1m",
    "r2plus1d-ucf101": "ucf101",
    "r2plus1d-hmdb51": "hmdb51",
    "s3dg": "kinetics400",
    "s3dg-mini-kinetics": "mini-kinetics-200",
    "s3dg-something": "something-v1",
    "s3dg-ucf101": "ucf101",
    "s3dg-hmdb51": "hmdb51",
    "deep-analysis": "kinetics400",
    "deep-analysis-mini": "mini-ssv2",
    "deep-analysis-mini-kinetics": "mini-kinetics-ibm",
    "deep-analysis-mini-mit": "mini-mit",
    "deep-analysis-ssv2": "something-v2",
    "deep-analysis-moments": "moments",
    "deep-analysis-transfer-ucf101": "ucf101",
    "deep-analysis-transfer-hmdb51": "hmdb51",
    "deep-analysis-transfer-jester": "jester",
    "deep-analysis-transfer-mini-ssv2": "mini-ssv2",
    "multi-fiber-imagenet": "imagenet",
    "multi-fiber-kinetics": "kinetics400",
    "multi-fiber-ucf101": "ucf101",
    "multi-fiber-hmdb51": "hmdb51",
}
"""Data set of every recipe whose name begins like this; the longest beginning counts."""


def data_set_of(recipe: str) -> str:
    """The data set that a recipe is meant for; empty for recipes that are meant for one's own videos.

    Args:
        recipe: A name of ``RECIPES``; anything else is meant for one's own videos.
    """
    if recipe not in RECIPES:
        return ""
    beginnings = [start for start in DATA_SET_OF if recipe == start or recipe.startswith(f"{start}-")]
    return DATA_SET_OF[max(beginnings, key=len)] if beginnings else ""
