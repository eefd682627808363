"""Imports checkpoints of other projects: recognises the network, fits every tensor, and adds the preprocessing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.models.build import build_network
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.checkpoint import Checkpoint, Provenance
from kinema.weights.importing.assumed import Evidence, assumptions, file_names, silent_parts
from kinema.weights.importing.choosing import Choice, choose, refuse_other_networks
from kinema.weights.importing.class_names import class_names, known_by_count
from kinema.weights.importing.families import FAMILIES, find_family
from kinema.weights.importing.family import Description, Family
from kinema.weights.importing.reading import parts_of, read_foreign
from kinema.weights.published import PublishedWeights
from kinema.weights.state_dicts import refuse_bad_values
from kinema.weights.tags import published_as


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
        assumed: What the file does not show and was taken for granted, by subject; the checkpoint says it too.
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
    assumed: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: str | Path) -> Path:
        """Write a checkpoint that ``load`` and every verb take.

        Raises:
            CheckpointError: The file cannot be written.
        """
        provenance = Provenance(
            family=self.family,
            file=Path(self.source).name,
            ignored=dict(self.ignored),
            assumed=dict(self.assumed),
        )
        Checkpoint.of(
            self.model,
            classes=self.classes,
            preprocessing=self.preprocessing,
            scores={f"published_{name}": value for name, value in self.scores.items()},
            imported=provenance,
        ).write(path)
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
        CheckpointError: The file cannot be read, or does not fit; the message lists every tensor that does not. Or it
            holds what no trained network has: values that are not finite, negative variances, zeros in the way.
    """
    known = find_family(family)
    source = "the given tensors" if isinstance(file, Mapping) else str(file)
    tensors, words = parts_of(file, source=source) if isinstance(file, Mapping) else read_foreign(file)
    _refuse_other_families(known, words, source)
    if known.prepare is not None:
        tensors = dict(known.prepare(key, value) for key, value in tensors.items())
    refuse_other_networks(known, tensors, source)
    record = None if model or isinstance(file, Mapping) else published_as(Path(file).name, known.name)
    described = None if record else known.describe(words)
    given = {**(record.options if record else {}), **(options or {})}
    name = model or (record.model if record else "")
    pools = described.temporal_pooling if described else None
    chosen = choose(known, tensors, source, model=name, options=given, temporal_pooling=pools)
    network = _filled(chosen, source)
    wanted = _wanted(known, chosen, record, described, preprocessing or {})
    assumed = silent_parts(network, num_frames=wanted.frames, source=source, names=_names(chosen))
    names, notes = class_names(known, chosen.network, network.num_classes, classes)
    if record is None:
        guessed = not classes and known_by_count(known, chosen.network, network.num_classes)
        evidence = Evidence(options=given, described=described, names_by_count=guessed, input_given=bool(preprocessing))
        assumed |= assumptions(chosen, wanted, evidence)
    network.weights, network.preprocessing = record.tag if record else known.name, wanted
    return Imported(
        model=network,
        classes=names,
        preprocessing=wanted,
        family=known.name,
        source=source,
        ignored=chosen.fit.ignored,
        notes=notes,
        scores=record.scores if record else {},
        assumed=assumed,
    )


def _refuse_other_families(family: Family, words: Mapping[str, str], source: str) -> None:
    """Stop at a file that says whose it is, where it is said to be another's: their tensors may have the same names."""
    for other in FAMILIES.values():
        described = other.describe(words) if other.name != family.name else None
        if described is not None:
            raise UserError(
                f"{source} calls itself {described.text}, a run of {other.source}; import it with --from {other.name}"
            )


def _filled(chosen: Choice, source: str) -> ActionModel:
    """The chosen network with the file's tensors, in evaluation mode."""
    refuse_bad_values(chosen.fit.state, source=source, names=_names(chosen))
    shell = chosen.shell
    network = build_network(
        shell.name, num_classes=shell.num_classes, in_channels=shell.in_channels, options=shell.options
    )
    network.load_state_dict(chosen.fit.state)
    return network.eval()


def _names(chosen: Choice) -> dict[str, str]:
    """What the file calls each tensor of the chosen network."""
    return file_names(chosen.network.keys(chosen.shell))


def _wanted(
    family: Family,
    chosen: Choice,
    record: PublishedWeights | None,
    described: Description | None,
    changes: Mapping[str, Any],
) -> Preprocessing:
    wanted = record.preprocessing if record else chosen.network.preprocessing
    if described is not None:
        wanted = replace(wanted, frames=described.frames)
    channels = chosen.shell.in_channels
    if channels != len(wanted.mean) and family.flow is not None:
        mean, std = family.flow
        wanted = replace(wanted, mean=(mean,) * channels, std=(std,) * channels, modality="flow")
    own = {"frames": chosen.shell.options["frames"]} if "frames" in chosen.shell.options else {}  # R2D's
    return Preprocessing.from_dict({**wanted.to_dict(), **own, **changes})
