"""Checkpoints: what a trained network is, as one object, and its file: written whole or not at all, read without
running code from it.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from kinema import __version__
from kinema.errors import CheckpointError, UserError
from kinema.files import whole_file
from kinema.specs.preprocessing import Preprocessing

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel

FORMAT = 1
"""Version of the file's layout; a reader refuses newer ones."""

_Record = TypeVar("_Record", bound="Checkpoint | TrainingState | Provenance")

REQUIRED = (
    "kinema_version",
    "model",
    "options",
    "num_classes",
    "in_channels",
    "classes",
    "preprocessing",
    "recipe",
    "scores",
    "state_dict",
    "ema",
    "training",
)
"""What every file holds beside ``format``; ``ema`` and ``training`` may be None."""


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """What only a resumed run needs; all of it tensors and plain values.

    Attributes:
        optimizer: State of the optimiser.
        scaler: State of the loss scaling of 16-bit training, where there is any.
        average_updates: Updates of the moving average of the weights so far.
        position: How far the run has come; fields of ``training.position.Position``.
        data: Digest of the training videos.
        world: Number of processes.
        fc_gather: Whether the classifier saw the features of all processes.
    """

    optimizer: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] | None = None
    average_updates: int = 0
    position: dict[str, Any] = field(default_factory=dict)
    data: str = ""
    world: int = 1
    fc_gather: bool = False


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where imported weights come from.

    Attributes:
        family: The code base whose file it was, see ``weights.importing.families``.
        file: Name of the file.
        ignored: Tensors of the file that were not needed, each with the reason.
        assumed: What the file does not show and was taken for granted, by subject.
    """

    family: str = ""
    file: str = ""
    ignored: Mapping[str, str] = field(default_factory=dict)
    assumed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained network, as its file holds it.

    Attributes:
        model: Name of the network.
        named: Whether the name and the options build it; else it was given as an object.
        options: Settings of the network's parts.
        num_classes: Logits of the classifier.
        in_channels: Channels of a frame.
        classes: Class names; position is the index of a logit.
        preprocessing: How frames must be chosen, scaled and normalised.
        recipe: The training recipe as JSON types; empty where training had none.
        scores: What training measured, such as ``{"val_top1": 0.91, "epoch": 12}``.
        state_dict: Weights by name; in a file to resume from, those of the last step.
        ema: Their moving average, where training keeps one and the file is to be resumed from.
        training: What a resumed run needs besides; None in a file that is only to be used.
        imported: Where the weights come from, if from another project.
        kinema_version: The version that wrote the file.
    """

    model: str
    named: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int
    in_channels: int = 3
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    recipe: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    state_dict: dict[str, Tensor]
    ema: dict[str, Tensor] | None = None
    training: TrainingState | None = None
    imported: Provenance | None = None
    kinema_version: str = __version__

    @classmethod
    def of(
        cls,
        model: ActionModel,
        *,
        classes: tuple[str, ...],
        preprocessing: Preprocessing,
        state_dict: dict[str, Tensor] | None = None,
        num_classes: int | None = None,
        **entries: Any,
    ) -> Checkpoint:
        """Describe a network.

        Args:
            model: The network, which says its name, options and channels.
            classes: Class names, in the order of the logits.
            preprocessing: How frames must be chosen, scaled and normalised.
            state_dict: Weights other than the network's own.
            num_classes: Their number of classes, where it is not the network's.
            entries: Other attributes of ``Checkpoint``.
        """
        return cls(
            model=model.name,
            named=model.named,
            options=dict(model.options),
            num_classes=model.num_classes if num_classes is None else num_classes,
            in_channels=model.in_channels,
            classes=tuple(classes),
            preprocessing=preprocessing,
            state_dict=model.state_dict() if state_dict is None else state_dict,
            **entries,
        )

    @property
    def weights_in_use(self) -> dict[str, Tensor]:
        """The averaged weights where there are any, else those of the last step."""
        return self.ema or self.state_dict

    def write(self, path: str | Path) -> None:
        """Write the file so that ``path`` always holds either the old file or the complete new one.

        Args:
            path: The file to write; its folder must exist.

        Raises:
            CheckpointError: When the file cannot be written, as on a full disk; an earlier file is left as it was.
        """
        path = Path(path)
        try:
            with whole_file(path) as part, part.open("wb") as file:
                torch.save(self._payload(), file)
        except (OSError, RuntimeError) as error:  # torch reports a failed write of its zip archive as RuntimeError
            kept = "; the earlier file is unchanged" if path.exists() else ""
            raise CheckpointError(f"{path} could not be written ({_root_cause(error)}){kept}") from error

    def _payload(self) -> dict[str, Any]:
        """What the file holds: tensors, numbers, strings, and lists and dictionaries of these."""
        entries = {
            "format": FORMAT,
            "kinema_version": self.kinema_version,
            "model": self.model,
            "named": self.named,
            "options": dict(self.options),
            "num_classes": self.num_classes,
            "in_channels": self.in_channels,
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_dict(),
            "recipe": self.recipe,
            "scores": self.scores,
            "state_dict": self.state_dict,
            "ema": self.ema,
            "training": None if self.training is None else _plain(self.training),
        }
        return entries if self.imported is None else {**entries, "imported": _plain(self.imported)}

    @classmethod
    def read(cls, path: str | Path) -> Checkpoint:
        """Read a file that ``write`` made, of this version or an earlier one; nothing in the file is executed.

        Args:
            path: The file. Its tensors come to the CPU.

        Raises:
            CheckpointError: When the file is missing, truncated, not a checkpoint of kinema, of a newer format, or
                holds Python objects that could run code.
        """
        payload = _read_payload(Path(path))
        try:
            parts = {
                "classes": tuple(payload["classes"]),
                "preprocessing": Preprocessing.from_dict(payload["preprocessing"]),
                "training": _of_known(TrainingState, payload["training"]) if payload["training"] else None,
                "imported": _of_known(Provenance, payload["imported"]) if payload.get("imported") else None,
            }
            return _of_known(cls, {**payload, **parts})
        except (UserError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: {error}") from error


def _plain(record: TrainingState | Provenance) -> dict[str, Any]:
    """The fields by name; tensors are not copied."""
    return {entry.name: getattr(record, entry.name) for entry in fields(record)}


def _of_known(kind: type[_Record], entries: Mapping[str, Any]) -> _Record:
    """A record from those entries that it knows; files of other versions may lack some and have others."""
    return kind(**{entry.name: entries[entry.name] for entry in fields(kind) if entry.name in entries})


def _read_payload(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            bare_pickle = file.read(1) == pickle.PROTO
        if bare_pickle:
            raise CheckpointError(f"{path} is a bare Python pickle; loading it could run code, so it is refused")
        raise CheckpointError(f"{path} is truncated or not a checkpoint; copy it again, or use last.ckpt beside it")
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds Python objects beside tensors and plain values; loading could run code, so it is refused"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint of kinema ({_root_cause(error)})") from None
    if not isinstance(payload, dict) or not isinstance(payload.get("format"), int):
        raise CheckpointError(f"{path} is not a checkpoint of kinema: it has no 'format' entry")
    if payload["format"] > FORMAT:
        by = payload.get("kinema_version", "a newer version")
        raise CheckpointError(
            f"{path} has format {payload['format']}, written by kinema {by}; this version reads {FORMAT}"
        )
    missing = [key for key in REQUIRED if key not in payload]
    if missing:
        raise CheckpointError(f"{path} is incomplete: it lacks {', '.join(missing)}")
    return payload


def _root_cause(error: BaseException) -> str:
    """The first line of the error that started a chain: torch hides a full disk behind an error of its own."""
    while error.__context__ is not None:
        error = error.__context__
    return (str(error) or type(error).__name__).splitlines()[0]
