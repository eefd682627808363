"""What every backbone is: a plan that builds it, and, once built, named stages of parts that a clip runs through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from kinema.models.backbones.network import Backbone
from kinema.models.temporal.base import PlacedModule


@dataclass(frozen=True)
class BackbonePlan(ABC):
    """A backbone before its temporal module is known.

    Attributes:
        num_units: Places that a placement counts: residual blocks, modules of an Inception, or convolutions.
        option_names: Fields that a user may set through ``options``.
    """

    option_names: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def num_units(self) -> int:
        """Number of places that a placement counts."""

    @abstractmethod
    def build(self, placed: PlacedModule, *, temporal_pooling: bool, in_channels: int) -> Backbone:
        """Build the network, asking the module for its parts.

        Args:
            placed: The temporal module with the places where it may sit.
            temporal_pooling: Whether time is halved at the last three spatial poolings.
            in_channels: Channels of a frame.
        """
