"""Scores in the tables of "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (arXiv 1711.11248)."""

from __future__ import annotations

from kinema.recipes.model_scores import scores_of

DEEP = "r2plus1d-vresnet34"
"""The network of Tables 3, 4 and 5."""
FUSED = ("Sports-1M, averaged with RGB, top-1", "Sports-1M, averaged with RGB, top-5")
TABLE_2 = {
    "r2d-vresnet18": (57.5, 45.4),
    "f-r2d": (58.0, 46.8),
    "r3d-vresnet18": (61.2, 49.3),
    "mc2-vresnet18": (60.6, 49.2),
    "mc3-vresnet18": (62.2, 50.4),
    "mc4-vresnet18": (61.3, 49.6),
    "mc5-vresnet18": (61.3, 49.4),
    "rmc2-vresnet18": (60.8, 49.0),
    "rmc3-vresnet18": (60.6, 48.9),
    "rmc4-vresnet18": (60.7, 49.2),
    "rmc5-vresnet18": (60.5, 48.5),
    "r2plus1d-vresnet18": (63.9, 52.4),
}
"""Kinetics at 8 frames, 18 layers: video top-1, clip top-1."""


def sports1m_scores(scores: tuple[float, float, float] | None, model: str = DEEP) -> dict[str, float]:
    """Name the three columns of the paper's Table 3, in its order clip@1, video@1, video@5; the video's come first."""
    if scores is None:
        return {}
    clip, video, video_top5 = scores
    named = {"Sports-1M, video top-1": video, "Sports-1M, video top-5": video_top5, "Sports-1M, clip top-1": clip}
    return scores_of(model, named)


def kinetics_scores(top1: float, top5: float) -> dict[str, float]:
    """Name the two columns of the paper's Table 4, for the network of 34 layers."""
    return scores_of(DEEP, {"Kinetics-400, video top-1": top1, "Kinetics-400, video top-5": top5})


def split_scores(data_set: str, from_kinetics: float, from_sports1m: float) -> dict[str, float]:
    """Name what the paper's Table 5 has of one data set, by the set that training began with."""
    starts = {"Kinetics": from_kinetics, "Sports-1M": from_sports1m}
    return scores_of(DEEP, {f"{data_set}, from {start}, average of 3 splits": score for start, score in starts.items()})
