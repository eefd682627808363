"""What is known about the checkpoints of one public code base: its networks, their keys, and what they are fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor

from kinema.models.action_model import ActionModel
from kinema.specs.preprocessing import Preprocessing

KeyMap: TypeAlias = Callable[[ActionModel], Mapping[str, str | tuple[str, ...]]]
"""From a model to the foreign key of each of its tensors; several keys are flattened and stacked on a new first axis.
A tensor without an entry has none in these files, and only ``num_batches_tracked`` may do without."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a file says of itself beside its tensors.

    Attributes:
        text: Its own words.
        temporal_pooling: Whether the network halves time, which leaves no trace in the tensors.
        frames: Frames that it was trained on.
    """

    text: str
    temporal_pooling: bool
    frames: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network of a family, and which of ours it is.

    Attributes:
        model: Our name for it. With ``*`` in it, it stands for every such network, and only a model that the user
            names is looked for there.
        keys: Its keys.
        preprocessing: What its published weights were trained on.
        options: Options that make our network the same; or a function that reads them off the tensors.
        classifier: A pattern for the key whose rows are the classes, where that key depends on their number.
        fills: What our tensors start from that these files never hold, by a pattern of the foreign key.
        of_images: Whether the published network is one of images, whose classes are those of no video data set.
        assumed: Options that leave no trace in the tensors, each with what is taken for granted.
    """

    model: str
    keys: KeyMap
    preprocessing: Preprocessing
    options: Mapping[str, Any] | Callable[[Mapping[str, Tensor]], Mapping[str, Any]] = field(default_factory=dict)
    classifier: str = ""
    fills: Mapping[str, float] = field(default_factory=dict)
    of_images: bool = False
    assumed: Mapping[str, str] = field(default_factory=dict)

    def options_for(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """The options of our network for a file."""
        return dict(self.options(tensors) if callable(self.options) else self.options)


@dataclass(frozen=True, kw_only=True)
class Family:
    """The checkpoints of one public code base.

    Attributes:
        name: What ``--from`` calls it.
        source: Where the code is.
        citation: What the authors ask to be cited, and the licence where it is stated.
        networks: Its networks; the order does not matter.
        ignored: Patterns of keys that our networks have no use for, each with the reason.
        refused: Patterns of keys of networks that kinema does not have, each with what those are.
        kinetics_names: Whether 400 classes of a network of videos are those of Kinetics-400 in alphabetical order.
        flow: Mean and deviation of flow stored as images, where the family has flow networks.
        prepare: Applied to each key and tensor first, such as a change of axes.
        describe: Reads what its files say beside their tensors; None where they say nothing, or the words are those of
            another project.
    """

    name: str
    source: str
    citation: str
    networks: tuple[Network, ...]
    ignored: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    kinetics_names: bool = False
    flow: tuple[float, float] | None = None
    prepare: Callable[[str, Tensor], tuple[str, Tensor]] | None = None
    describe: Callable[[Mapping[str, str]], Description | None] = lambda words: None
