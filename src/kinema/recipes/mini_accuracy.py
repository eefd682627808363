"""Clip-level top-1 accuracies on the mini sets, in percent, that the authors of the deep analysis released.

For 8, 16, 32 and 64 frames. The paper's Figures 4 and 10 plot them; Tables 5 and 6 print some, and have the networks
that follow below, at 8 and 16 frames or at 8 alone. Source: "Deep Analysis of
CNN-based Spatio-temporal Representations for Action Recognition" (arXiv 2010.11757).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LENGTHS = (8, 16, 32, 64)
"""Frames of the four scores of a row."""

MINI_SSV2: Final[Mapping[str, tuple[float, ...]]] = {
    "tsn-inceptionv1": (33.1, 34.7, 34.5, 36.3),
    "tsn-inceptionv1-tp": (53.3, 54.6, 55.1, 57.4),
    "tsn-resnet18": (29.6, 30.9, 30.9, 32.1),
    "tsn-resnet18-tp": (50.1, 51.6, 52.4, 54.8),
    "tsn-resnet50": (33.9, 35.3, 36.3, 36.8),
    "tsn-resnet50-tp": (53.5, 55.9, 56.9, 59.3),
    "i3d-inceptionv1": (56.4, 61.8, 63.5, 67.9),
    "i3d-inceptionv1-tp": (50.8, 57.1, 61.6, 67.8),
    "i3d-resnet18": (55.4, 61.4, 62.8, 65.1),
    "i3d-resnet18-tp": (47.8, 53.8, 57.2, 64.4),
    "i3d-resnet50": (62.6, 66.2, 67.6, 69.0),
    "i3d-resnet50-tp": (53.5, 59.9, 63.9, 69.1),
    "s3d-inceptionv1": (57.1, 62.7, 65.1, 67.8),
    "s3d-inceptionv1-tp": (50.9, 57.1, 61.6, 67.2),
    "s3d-resnet18": (57.4, 63.5, 64.8, 68.0),
    "s3d-resnet18-tp": (49.3, 55.4, 60.0, 67.3),
    "s3d-resnet50": (61.3, 65.6, 67.2, 69.1),
    "s3d-resnet50-tp": (49.6, 56.7, 62.5, 68.4),
    "tam-inceptionv1": (59.7, 63.9, 65.3, 67.6),
    "tam-inceptionv1-tp": (50.7, 56.2, 60.2, 66.3),
    "tam-resnet18": (59.1, 62.1, 63.1, 64.6),
    "tam-resnet18-tp": (48.1, 53.2, 56.6, 63.4),
    "tam-resnet50": (65.4, 68.6, 69.3, 71.6),
    "tam-resnet50-tp": (54.5, 59.1, 63.0, 69.2),
}

TABLES_SSV2: Final[Mapping[str, tuple[float, ...]]] = {
    "conv1d-inceptionv1": (58.2, 63.7),
    "conv1d-resnet50": (61.6, 65.7),
    "tsm-resnet50": (64.1, 67.4),
    "nl-resnet50": (53.0, 55.0),
    "tam@tophalf-resnet18": (59.7,),
    "tam@bottomhalf-resnet18": (56.5,),
    "tam@uniformhalf-resnet18": (59.4,),
}
"""Mini-SSV2 in Tables 5 and 6."""

TABLES_KINETICS: Final[Mapping[str, tuple[float, ...]]] = {
    "conv1d-inceptionv1": (68.3, 70.7),
    "conv1d-resnet50": (71.5, 73.4),
    "tsm-resnet50": (74.1, 75.6),
    "nl-resnet50": (73.7, 74.5),
    "tam@tophalf-resnet18": (69.21,),
    "tam@bottomhalf-resnet18": (69.27,),
    "tam@uniformhalf-resnet18": (69.14,),
}
"""Mini-Kinetics in Tables 5 and 6."""

MINI_KINETICS: Final[Mapping[str, tuple[float, ...]]] = {
    "tsn-inceptionv1": (70.4, 70.5, 70.4, 70.2),
    "tsn-inceptionv1-tp": (64.7, 67.0, 71.1, 73.4),
    "tsn-resnet18": (67.9, 68.5, 69.1, 68.6),
    "tsn-resnet18-tp": (61.6, 64.2, 68.5, 71.1),
    "tsn-resnet50": (72.1, 72.5, 73.5, 73.5),
    "tsn-resnet50-tp": (66.9, 70.1, 72.9, 75.2),
    "i3d-inceptionv1": (68.1, 70.9, 73.7, 75.0),
    "i3d-inceptionv1-tp": (62.4, 66.3, 71.1, 73.1),
    "i3d-resnet18": (66.5, 70.4, 72.8, 73.4),
    "i3d-resnet18-tp": (58.6, 63.1, 66.7, 71.0),
    "i3d-resnet50": (73.3, 75.6, 77.2, 77.7),
    "i3d-resnet50-tp": (65.1, 70.1, 73.2, 75.9),
    "s3d-inceptionv1": (67.0, 69.7, 72.5, 74.7),
    "s3d-inceptionv1-tp": (61.5, 65.8, 69.8, 73.2),
    "s3d-resnet18": (67.8, 70.3, 72.9, 74.5),
    "s3d-resnet18-tp": (59.6, 63.3, 68.1, 71.1),
    "s3d-resnet50": (71.9, 73.7, 76.4, 77.2),
    "s3d-resnet50-tp": (64.5, 69.1, 72.3, 75.0),
    "tam-inceptionv1": (68.8, 70.0, 73.0, 74.1),
    "tam-inceptionv1-tp": (58.3, 61.4, 66.7, 70.4),
    "tam-resnet18": (69.1, 71.2, 72.6, 72.9),
    "tam-resnet18-tp": (59.2, 62.6, 67.2, 70.0),
    "tam-resnet50": (74.1, 76.4, 77.8, 78.3),
    "tam-resnet50-tp": (67.3, 70.4, 73.3, 75.9),
}

MINI_MIT: Final[Mapping[str, tuple[float, ...]]] = {
    "tsn-inceptionv1": (21.7, 23.3, 23.1, 23.1),
    "tsn-inceptionv1-tp": (22.9, 24.6, 25.6, 26.1),
    "tsn-resnet18": (20.6, 21.2, 20.9, 20.9),
    "tsn-resnet18-tp": (20.9, 23.5, 23.7, 24.8),
    "tsn-resnet50": (22.6, 23.6, 23.9, 23.9),
    "tsn-resnet50-tp": (23.5, 25.5, 27.2, 27.8),
    "i3d-inceptionv1": (22.4, 25.6, 26.2, 26.4),
    "i3d-inceptionv1-tp": (21.8, 24.7, 25.9, 26.7),
    "i3d-resnet18": (20.9, 22.3, 22.7, 22.7),
    "i3d-resnet18-tp": (19.4, 21.7, 22.3, 23.4),
    "i3d-resnet50": (24.6, 26.5, 27.5, 27.6),
    "i3d-resnet50-tp": (22.6, 25.4, 27.1, 27.8),
    "s3d-inceptionv1": (21.6, 24.4, 25.4, 26.6),
    "s3d-inceptionv1-tp": (20.5, 24.1, 25.8, 26.4),
    "s3d-resnet18": (22.1, 24.6, 25.6, 25.7),
    "s3d-resnet18-tp": (19.1, 22.1, 23.7, 24.9),
    "s3d-resnet50": (24.4, 27.0, 28.0, 27.9),
    "s3d-resnet50-tp": (21.1, 24.6, 26.6, 27.8),
    "tam-inceptionv1": (23.3, 25.9, 26.3, 26.8),
    "tam-inceptionv1-tp": (21.5, 23.9, 25.6, 26.6),
    "tam-resnet18": (22.1, 24.1, 24.4, 24.4),
    "tam-resnet18-tp": (21.6, 23.8, 24.8, 25.5),
    "tam-resnet50": (26.0, 28.2, 28.8, 28.9),
    "tam-resnet50-tp": (24.8, 26.9, 28.6, 29.3),
}


def clip_scores(rows: Mapping[str, tuple[float, ...]], *, data_set: str, frames: int) -> dict[str, float]:
    """The scores of one clip length, by the names that recipes give to scores of a single network.

    Args:
        rows: One of the tables above.
        data_set: How the names call it.
        frames: Frames of a clip; lengths that the authors did not train have no scores.
    """
    if frames not in LENGTHS:
        return {}
    index = LENGTHS.index(frames)
    long_enough = {model: scores for model, scores in rows.items() if len(scores) > index}
    return {f"{model}: {data_set}, clip top-1": scores[index] for model, scores in long_enough.items()}
