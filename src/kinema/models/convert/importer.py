"""Checkpoints of other projects turned into kinema's: found out, fitted exactly, and given what they want to be fed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kinema.models import checkpoint_file
from kinema.models.action_model import ActionModel
from kinema.models.build import build_model
from kinema.models.convert.choosing import Choice, choose, refuse_other_networks
from kinema.models.convert.class_names import class_names
from kinema.models.convert.families import find_family
from kinema.models.convert.family import Family
from kinema.models.convert.reading import read_foreign, tensors_of
from kinema.models.published import PublishedWeights
from kinema.models.tags import published_as
from kinema.models.weights import Preprocessing


@dataclass(frozen=True)
class Imported:
    """A network with another project's weights, and what is needed to use it.

    Attributes:
        model: The network, in evaluation mode.
        classes: Class names; position is the index of a logit. Numbers where the names are not known.
        preprocessing: How frames must be chosen, scaled and normalised.
        family: Where the weights come from.
        source: The file.
        ignored: Tensors of the file that were not needed, each with the reason.
        notes: What the user should know, such as names of classes that are not known.
        scores: Published accuracies in percent, where the file is a known one.
    """

    model: ActionModel
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    family: str
    source: str
    ignored: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)

    def save(self, path: str | Path) -> Path:
        """Write a checkpoint that ``load`` and every verb take.

        Raises:
            CheckpointError: The file cannot be written.
        """
        from kinema import __version__

        payload = {
            "kinema_version": __version__,
            "model": self.model.name,
            "options": dict(self.model.options),
            "num_classes": self.model.num_classes,
            "in_channels": self.model.in_channels,
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_dict(),
            "recipe": {},
            "scores": {f"published_{name}": value for name, value in self.scores.items()},
            "state_dict": self.model.state_dict(),
            "ema": None,
            "training": None,
            "imported": {"family": self.family, "file": Path(self.source).name, "ignored": dict(self.ignored)},
        }
        checkpoint_file.write(path, payload)
        return Path(path)


def import_checkpoint(
    file: str | Path | Mapping[str, Any],
    family: str,
    *,
    model: str = "",
    options: Mapping[str, Any] | None = None,
    classes: Sequence[str] | str | Path = (),
    preprocessing: Mapping[str, Any] | None = None,
) -> Imported:
    """Read a checkpoint of another project; every tensor finds its place, or the error lists those that do not.

    Args:
        file: The file, or its content where it was read otherwise.
        family: Whose it is, see ``FAMILIES``.
        model: Our name of the network; needed only where files of several networks look alike.
        options: Options of the network that the file does not show.
        classes: Names in the order of the logits, or a file with them (``classes.csv``, or one a line).
        preprocessing: Fields of ``Preprocessing`` that differ from what the family's weights usually want.

    Raises:
        UserError: An argument is wrong, or the family has no network of ours.
        CheckpointError: The file cannot be read, or does not fit; the message lists every tensor that does not.
    """
    known = find_family(family)
    if isinstance(file, Mapping):
        source, tensors = "the given tensors", tensors_of(file, source="the given tensors")
    else:
        source, tensors = str(file), read_foreign(file)
    if known.prepare is not None:
        tensors = dict(known.prepare(key, value) for key, value in tensors.items())
    refuse_other_networks(known, tensors, source)
    record = None if model or isinstance(file, Mapping) else published_as(Path(file).name, known.name)
    given = {**(record.options if record else {}), **(options or {})}
    chosen = choose(known, tensors, source, model=model or (record.model if record else ""), options=given)
    network = build_model(
        chosen.shell.name,
        num_classes=chosen.shell.num_classes,
        in_channels=chosen.shell.in_channels,
        options=chosen.shell.options,
    )
    network.load_state_dict(chosen.fit.state)
    wanted = _wanted(known, chosen, record, preprocessing or {})
    names, notes = class_names(known, network.num_classes, classes)
    if record is None and not preprocessing:
        notes += (f"assumed: {wanted.frames} frames, {wanted.sampling}, stride {wanted.stride}; the file does not say",)
    network.weights, network.preprocessing = record.tag if record else known.name, wanted
    return Imported(
        model=network.eval(),
        classes=names,
        preprocessing=wanted,
        family=known.name,
        source=source,
        ignored=chosen.fit.ignored,
        notes=notes,
        scores=record.scores if record else {},
    )


def _wanted(
    family: Family, chosen: Choice, record: PublishedWeights | None, changes: Mapping[str, Any]
) -> Preprocessing:
    wanted = record.preprocessing if record else chosen.network.preprocessing
    channels = chosen.shell.in_channels
    if channels != len(wanted.mean) and family.flow is not None:
        mean, std = family.flow
        wanted = replace(wanted, mean=(mean,) * channels, std=(std,) * channels, modality="flow")
    own = {"frames": chosen.shell.options["frames"]} if "frames" in chosen.shell.options else {}  # R2D's
    return Preprocessing.from_dict({**wanted.to_dict(), **own, **changes})
