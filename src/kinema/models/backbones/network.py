"""The built form of every backbone: named stages of parts that a clip runs through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from kinema.models.head import Head, LinearHead
from kinema.shapes import Features


class Backbone(nn.Module):
    """The parts of a network before its head. ``ActionModel`` takes them over under their names and runs them.

    Attributes:
        stages: Stage names from the input to the output, each with the names of its parts in the order of running.
        num_features: Channels of the last map.
        temporal_stride: Frames in for every time step of the last map.
        head_name: What the head is called in the model, and so in the keys of its weights.
        input_parts: Names of the convolutions that read the clip, where it is not just the first one.
    """

    stages: Mapping[str, tuple[str, ...]]
    num_features: int
    temporal_stride: int
    head_name: str = "fc"
    input_parts: tuple[str, ...] = ()

    def build_head(self, num_classes: int, *, dropout: float) -> LinearHead | Head:
        """The head that belongs to this backbone, with dropout where its authors have it (``kinema.models.head``)."""
        return LinearHead(self.num_features, num_classes, dropout=dropout)

    def build_auxiliary(self, num_classes: int) -> Mapping[str, Head]:
        """Heads that help training alone, by the name of the part whose map each scores."""
        return {}

    @staticmethod
    def as_map(passed: Any) -> Features:
        """The feature map, ``b d t' h' w'``, of what runs from stage to stage, where that is more than one tensor."""
        return passed
