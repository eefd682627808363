"""What a training run is made of, as plain data: a recipe goes to JSON and back, and travels in every checkpoint."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from kinema.errors import UserError, one_of, unknown_name
from kinema.specs.aliases import ALIASES
from kinema.specs.compute import PRECISIONS
from kinema.specs.data import DataSpec
from kinema.specs.from_dict import spec_from_dict

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "step", "exponential", "cosine")
AUTO = "auto"
"""As ``train.precision``: what is faster."""
MONITORS = ("top1", "top5", "mean_class", "loss")
VALIDATION_SPLITS = ("val", "test", "none")
MUST_BE_GIVEN = "?"
"""Initial weights of a recipe that goes on from an earlier run, which only its user can name."""


@dataclass(frozen=True, kw_only=True)
class OptimSpec:
    """The optimiser, and which parameters learn at which rate.

    Attributes:
        optimizer: ``sgd`` or ``adamw``.
        lr: Peak learning rate for one step of ``train.batch_size`` clips.
        momentum: Of SGD; for AdamW the first decay rate (beta1).
        nesterov: Use Nesterov momentum (SGD).
        weight_decay: Weight decay; decoupled in AdamW, a term of the gradient in SGD.
        decay_all: Weight decay for biases and normalisation weights too; otherwise 1-D tensors are not decayed.
        base_lr_scale: Learning rate factor of all layers but the head (the Multi-Fiber paper fine-tunes with 0.2).
        head_lr_scale: Learning rate factor of the head (temporal segment networks use 5).
        frozen_stages: Freeze this many stages, from the input on, weights and statistics; temporal parts in them
            that start as the identity learn (model option train_temporal).
        linear_probe: Train the head alone.
        clip_norm: Gradient clipping: largest norm of the whole gradient; 0 does not clip.
    """

    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay_all: bool = False
    base_lr_scale: float = 1.0
    head_lr_scale: float = 1.0
    frozen_stages: int = 0
    linear_probe: bool = False
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        for name in ("weight_decay", "base_lr_scale", "head_lr_scale", "frozen_stages", "clip_norm"):
            _at_least(f"optim.{name}", getattr(self, name), 0)
        _require(self.lr > 0, "optim.lr", self.lr, "a number above 0")
        _require(0 <= self.momentum < 1, "optim.momentum", self.momentum, "a number in [0, 1)")
        _require(self.momentum > 0 or not self.nesterov, "optim.nesterov", True, "false when optim.momentum is 0")


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """How long a run lasts and how the learning rate moves; all times are epochs, all changes happen per step.

    Attributes:
        kind: ``constant``, ``step`` (x gamma at each of ``milestones``), ``exponential`` (x gamma in the course of
            every epoch) or ``cosine`` (half a period, down to 0, a little with every step).
        epochs: Epochs of the run.
        epoch_clips: Clips that count as one epoch, rounded up to full batches; 0 for one pass over the training
            videos. For papers that count iterations: 1000 of them with a batch of 256 are 256000 clips.
        min_steps: Least optimiser steps of the run: where few videos make shorter epochs, ``epoch_clips`` grows.
        warmup_epochs: Length of the linear rise at the start; fractions are allowed.
        warmup_scale: Factor of the rate at the first step of the rise.
        milestones: Epochs at which ``step`` drops the rate.
        gamma: Factor of one drop, or of one epoch of ``exponential``.
    """

    kind: str = "cosine"
    epochs: int = 30
    epoch_clips: int = 0
    min_steps: int = 0
    warmup_epochs: float = 0.0
    warmup_scale: float = 0.01
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1

    def __post_init__(self) -> None:
        one_of("schedule", self.kind, SCHEDULES)
        _at_least("schedule.epochs", self.epochs, 1)
        for name in ("epoch_clips", "min_steps", "warmup_epochs", "warmup_scale", "gamma"):
            _at_least(f"schedule.{name}", getattr(self, name), 0)
        ordered = list(self.milestones) == sorted(self.milestones)
        _require(ordered, "schedule.milestones", self.milestones, "epochs in rising order")
        enough = self.kind != "step" or bool(self.milestones)
        _require(enough, "schedule.milestones", self.milestones, "at least one epoch when schedule.kind is step")


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """The loop itself: batches, arithmetic, regularisation, validation and how often the state is saved.

    Attributes:
        batch_size: Clips of one optimiser step, over all devices and all accumulated parts.
        accumulate: Gradient accumulation: parts into which each device splits its clips of a step, to save memory.
        precision: Mixed precision ``bf16`` or ``fp16``, or ``fp32`` or ``fp64``; ``auto`` times fp32 and bf16 when the
            run begins and takes the faster.
        sync_bn: Synchronised batch norm: statistics over all devices (CUDA only).
        frozen_bn: Frozen batch norm: running statistics are kept and its weights are not trained.
        compile: Pass the network through ``torch.compile``.
        dropout: Dropout rate before the classifier.
        label_smoothing: Label smoothing: the part of the target that is spread evenly over all classes.
        mixup: Mixup: alpha of the Beta distribution that blends pairs of clips (arXiv:1710.09412); 0 is off.
        ema_decay: Exponential moving average of the weights: its decay per step; the average is then what is
            validated and saved for use; 0 is off.
        monitor: What ``best.ckpt`` is best in: ``top1``, ``top5``, ``mean_class`` (higher is better) or ``loss``.
        patience: Stop after so many validations without a better score; 0 never stops early.
        validate_on: Split scored after every epoch: ``val``, ``test``, or ``none``. When the manifest has no such
            split, part of the training videos is held out.
        validate_every: Epochs between two validations; the last epoch is always validated.
        save_minutes: Save ``last.ckpt`` inside an epoch after so many minutes; 0 only between epochs.
    """

    batch_size: int = 16
    accumulate: int = 1
    precision: str = "fp32"
    sync_bn: bool = False
    frozen_bn: bool = False
    compile: bool = False
    dropout: float = 0.5
    label_smoothing: float = 0.0
    mixup: float = 0.0
    ema_decay: float = 0.0
    monitor: str = "top1"
    patience: int = 0
    validate_on: str = "val"
    validate_every: int = 1
    save_minutes: float = 10.0

    @property
    def first_precision(self) -> str:
        """The precision in which a run begins: fp32 where it has not chosen yet."""
        return "fp32" if self.precision == AUTO else self.precision

    def __post_init__(self) -> None:
        one_of("precision", self.precision, (*PRECISIONS, AUTO))
        one_of("monitored score", self.monitor, MONITORS)
        one_of("split to validate on", self.validate_on, VALIDATION_SPLITS)
        for name in ("batch_size", "accumulate", "validate_every"):
            _at_least(f"train.{name}", getattr(self, name), 1)
        for name in ("mixup", "patience", "save_minutes"):
            _at_least(f"train.{name}", getattr(self, name), 0)
        for name in ("dropout", "label_smoothing", "ema_decay"):
            _require(0 <= getattr(self, name) < 1, f"train.{name}", getattr(self, name), "a number in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a run computes, apart from the data set and the initial weights.

    Attributes:
        name: What the recipe is called in tables.
        model: Model name, as ``kinema models`` lists it; empty when it is chosen on the command line.
        options: Options of the model's parts, as ``build_model`` takes them.
        weights: Where training starts: empty (random), ``imagenet``, a weights tag, or a checkpoint file; ``?`` when it
            has to be given.
        protocol: Test protocol that the recipe's authors report; validation always uses ``clip``.
        seed: Of initial weights, data order, augmentation and dropout.
        citation: Where the recipe comes from.
        paper_scores: Scores printed beside a run's own, percent by name; ``MODEL: what`` is that model's alone.
        data: Frames, crops and loading.
        optim: Optimiser and parameter groups.
        schedule: Length and learning rate.
        train: The loop.
    """

    name: str
    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    protocol: str = "clip"
    seed: int = 0
    citation: str = ""
    paper_scores: dict[str, Any] = field(default_factory=dict)
    data: DataSpec = field(default_factory=DataSpec)
    optim: OptimSpec = field(default_factory=OptimSpec)
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    train: TrainSpec = field(default_factory=TrainSpec)

    def __post_init__(self) -> None:
        _at_least("seed", self.seed, 0)

    @property
    def own_scores(self) -> dict[str, Any]:
        """The paper's scores that belong to the recipe's model, without the model's name."""
        parted = {name: name.partition(": ") for name in self.paper_scores}
        return {
            what or model: self.paper_scores[name]
            for name, (model, _, what) in parted.items()
            if not what or ALIASES.get(model, model) == ALIASES.get(self.model, self.model)
        }

    def to_dict(self) -> dict[str, Any]:
        """Turn the recipe into nested dictionaries of JSON types."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """Write the recipe as indented JSON; ``from_json`` gives an equal recipe back."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Build a recipe from nested dictionaries.

        Raises:
            UserError: For an unknown field, a value of the wrong type, or one out of range.
        """
        return spec_from_dict(cls, values)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what ``to_json`` wrote, with the errors of ``from_dict``."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"a recipe must be JSON: {error}") from None
        return cls.from_dict(values)

    def flat(self) -> dict[str, Any]:
        """List every field under its dotted name, such as ``optim.lr``."""
        flat: dict[str, Any] = {}
        for own in dataclasses.fields(self):
            value = getattr(self, own.name)
            if dataclasses.is_dataclass(value):
                flat |= {f"{own.name}.{inner.name}": getattr(value, inner.name) for inner in dataclasses.fields(value)}
            else:
                flat[own.name] = value
        return flat

    def with_fields(self, changes: dict[str, Any]) -> Recipe:
        """Return a copy with the given dotted fields changed, such as ``{"optim.lr": 0.02}``.

        Whoever changes ``schedule.epochs`` counts in epochs: ``schedule.min_steps`` becomes 0 unless it is given too.

        Raises:
            UserError: For an unknown field, a value of the wrong type, or one out of range.
        """
        values: dict[str, Any] = dataclasses.asdict(self)
        counted = {"schedule.min_steps": 0} if "schedule.epochs" in changes else {}
        for name, value in (counted | changes).items():
            if name not in self.flat():
                raise unknown_name("recipe field", name, self.flat())
            part, _, leaf = name.rpartition(".")
            (values[part] if part else values)[leaf] = value
        return self.from_dict(values)


def _require(holds: bool, name: str, given: object, allowed: str) -> None:
    if not holds:
        raise UserError(f"recipe field {name} is {given!r}; it must be {allowed}")


def _at_least(name: str, given: float, least: float) -> None:
    _require(given >= least, name, given, f"at least {least}")
