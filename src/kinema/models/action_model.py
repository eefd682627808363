"""The network that every name stands for: a backbone that has asked its temporal module, then a head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import nn

from kinema.errors import UserError, one_of, unknown_name
from kinema.models.backbones.base import Backbone, BackbonePlan
from kinema.models.head import Head, LinearHead
from kinema.models.layers import to_layout
from kinema.models.placement import placed_units
from kinema.models.temporal.base import PlacedModule, TemporalModule
from kinema.shapes import Clip, Features, Logits
from kinema.specs.preprocessing import Preprocessing


class TrainingScores(NamedTuple):
    """What a network says in training.

    Attributes:
        logits: Scores of the head, axes ``b classes``.
        auxiliary: Scores of each auxiliary head, of the same axes; most networks have none.
    """

    logits: Logits
    auxiliary: tuple[Logits, ...] = ()

    @classmethod
    def of(cls, answer: Logits | TrainingScores) -> TrainingScores:
        """The answer of any network in training, with auxiliary scores or without."""
        return answer if isinstance(answer, TrainingScores) else cls(answer)


class ActionModel(nn.Module):
    """A network from clips to class scores.

    The backbone's parts are children of the model under their own names, beside the head; so the keys of
    ``tsn-resnet50`` are exactly those of torchvision's ResNet.

    Attributes:
        name: The model's name, such as ``"tsm-resnet50"``.
        options: Options that were given beside the name.
        num_classes: Number of classes.
        in_channels: Channels of a frame: 3 for RGB, 2 for flow, 2 L for a stack of flow.
        temporal_stride: Frames in for every time step of the last map.
        order_blind: Whether shuffling the frames leaves the scores unchanged.
        num_frames: Frames of every clip, where the network takes one length only; 0 for clips of any length.
        weights: Tag or path of the weights that were loaded; empty before.
        preprocessing: What the loaded weights want to be given; None before.
        named: Whether ``build_model`` has built it, so that its name and options say all about it.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: LinearHead | Head,
        *,
        name: str = "",
        in_channels: int = 3,
        order_blind: bool = False,
        num_frames: int = 0,
        auxiliary: Mapping[str, Head] | None = None,
    ) -> None:
        super().__init__()
        for child_name, child in backbone.named_children():
            # not add_module, which refuses the name of a method: torchvision calls some networks' body "features"
            setattr(self, child_name, child)
        self.head_name = backbone.head_name
        self.add_module(self.head_name, head)
        self._auxiliary = {part: f"aux{number}" for number, part in enumerate(auxiliary or {}, start=1)}
        for part, auxiliary_head in (auxiliary or {}).items():
            self.add_module(self._auxiliary[part], auxiliary_head)
        self._stages: Mapping[str, tuple[str, ...]] = dict(backbone.stages)
        self._as_map: Callable[[Any], Features] = backbone.as_map
        self._input_parts = backbone.input_parts
        self.name = name
        self.options: dict[str, Any] = {}
        self.num_classes = len(head.classifier.weight)
        self.in_channels = in_channels
        self.num_features = backbone.num_features
        self.temporal_stride = num_frames or backbone.temporal_stride
        self.order_blind = order_blind
        self.num_frames = num_frames
        self.weights = ""
        self.preprocessing: Preprocessing | None = None
        self.named = False

    @classmethod
    def compose(
        cls,
        backbone: BackbonePlan,
        module: TemporalModule,
        *,
        num_classes: int,
        placement: str = "",
        temporal_pooling: bool = False,
        in_channels: int = 3,
        dropout: float = 0.5,
        name: str = "",
    ) -> ActionModel:
        """Build a model from objects; a module of your own needs no name and no registration.

        Args:
            backbone: Plan of the network, such as ``RESNETS["resnet18"]``.
            module: The temporal module.
            num_classes: Number of classes.
            placement: Where the module sits; empty for everywhere.
            temporal_pooling: Whether time is halved at the last three spatial poolings.
            in_channels: Channels of a frame.
            dropout: Dropout before the classifier.
            name: What the model is called; by default the names of the classes.

        Raises:
            UserError: A value is out of range, or an option names a block that the backbone does not have.
        """
        if in_channels < 1:
            raise UserError(f"in_channels must be 1 or more, got {in_channels}")
        plan = module.network(backbone)
        placed = PlacedModule(module, placed_units(placement, plan.num_units))
        body = plan.build(placed, temporal_pooling=temporal_pooling, in_channels=in_channels)
        for block in module.named_blocks:
            one_of("block", block, placed.blocks)
        return cls(
            body,
            body.build_head(num_classes, dropout=dropout),
            name=name or f"{type(module).__name__}-{type(body).__name__}".lower(),
            in_channels=in_channels,
            order_blind=body.temporal_stride == 1 and not placed.sees_order,
            num_frames=module.num_frames,
            auxiliary=body.build_auxiliary(num_classes),
        )

    @property
    def tag(self) -> str:
        """The name with the weights behind a dot; the name alone where there are none."""
        return f"{self.name}.{self.weights}" if self.weights else self.name

    def forward(self, clip: Clip) -> Logits | TrainingScores:
        """Score clips; ``b c t h w`` of any size and number of frames to ``b classes``, before the softmax.

        A model with auxiliary heads answers with ``TrainingScores`` while it is in training mode.
        """
        return self.training_scores(clip) if self.training and self._auxiliary else self.head(self.features(clip))

    def training_scores(self, clip: Clip) -> TrainingScores:
        """Score clips with the head and with the auxiliary heads."""
        passed: Any = self._checked(clip)
        auxiliary: list[Logits] = []
        for part in (part for parts in self._stages.values() for part in parts):
            passed = self.get_submodule(part)(passed)
            if part in self._auxiliary:
                auxiliary.append(self.get_submodule(self._auxiliary[part])(self._as_map(passed)))
        return TrainingScores(self.head(self._as_map(passed)), tuple(auxiliary))

    def features(self, clip: Clip) -> Features:
        """The last feature map, ``b d t' h' w'``."""
        passed: Any = self._checked(clip)
        for stage in self._stages:
            passed = self._run(stage, passed)
        return self._as_map(passed)

    def stage_maps(self, clip: Clip) -> Iterator[tuple[str, Features]]:
        """Run the stages one by one, giving each one's name and map, ``b d t' h' w'``.

        Stop when enough has been seen: later stages are not computed.

        Raises:
            UserError: The clip does not have five axes, or not the channels that the model was built for.
        """
        passed: Any = self._checked(clip)
        for stage in self._stages:
            passed = self._run(stage, passed)
            yield stage, self._as_map(passed)

    def get_submodule(self, target: str) -> nn.Module:
        """Find a part by its dotted name, also in a body that is called as the method ``features`` is."""
        first, _, rest = target.partition(".")
        child = dict(self.named_children()).get(first)
        return super().get_submodule(target) if child is None else child.get_submodule(rest)

    def stage_names(self) -> list[str]:
        """Names of the stages from the input to the output; the head is not among them."""
        return list(self._stages)

    def stage(self, name: str) -> nn.ModuleList:
        """The parts of one stage; their parameters and norms are the model's own.

        Raises:
            UserError: The model has no stage of that name.
        """
        if name not in self._stages:
            raise unknown_name("stage", name, self._stages)
        return nn.ModuleList(self.get_submodule(part) for part in self._stages[name])

    @property
    def head(self) -> LinearHead | Head:
        """What turns the last map into scores."""
        head = self.get_submodule(self.head_name)
        assert isinstance(head, LinearHead | Head)
        return head

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of the layer whose rows are the classes, auxiliary heads' included."""
        for name in (self.head_name, *self._auxiliary.values()):
            head = self.get_submodule(name)
            assert isinstance(head, LinearHead | Head)
            yield from head.classifier.parameters(recurse=False)  # a gate inside the head has no rows of classes

    def classifier_keys(self) -> frozenset[str]:
        """Keys, in the state dictionary, of the layers whose rows are the classes."""
        own = {id(parameter) for parameter in self.head_parameters()}
        return frozenset(key for key, parameter in self.named_parameters() if id(parameter) in own)

    def input_keys(self) -> frozenset[str]:
        """Keys, in the state dictionary, of the weights that multiply the clip's channels."""
        first = next(key for key, value in self.state_dict().items() if value.ndim >= 4)
        return frozenset(f"{part}.weight" for part in self._input_parts) or frozenset([first])

    def _run(self, stage: str, passed: Any) -> Any:
        for part in self._stages[stage]:
            passed = self.get_submodule(part)(passed)
        return passed

    def _checked(self, clip: Clip) -> Clip:
        if clip.ndim != 5 or clip.shape[1] != self.in_channels or not clip.is_floating_point():
            raise UserError(
                f"{self.name} takes floating-point clips with axes b c t h w and c = {self.in_channels}, "
                f"got {clip.dtype} of shape {tuple(clip.shape)}"
            )
        num_frames = clip.shape[2]
        if self.num_frames not in (0, num_frames):
            raise UserError(
                f"{self.name} was built for clips of {self.num_frames} frames, which its first layer joins, and got "
                f'{num_frames}; sample {self.num_frames}, or build it anew with options={{"frames": {num_frames}}}'
            )
        return to_layout(clip)
