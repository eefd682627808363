"""``kinema import``: checkpoints of other projects become checkpoints of kinema."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Positional

from kinema.errors import UserError
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.weights.importing.importer import Imported


def import_(
    file: Positional[Path],
    *,
    family: Annotated[
        str,
        tyro.conf.arg(
            name="from",
            metavar="FAMILY",
            help="Whose checkpoint it is: torchvision, vmz (also ig65m), ibm, tsm, mfnet, kinetics-i3d, piergiaj, "
            "hassony2, kylemin, howto100m, pyslowfast, pytorchvideo or mmaction2.",
            help_behavior_hint="(required)",
        ),
    ],
    out: Annotated[
        Path,
        tyro.conf.arg(
            aliases=("-o",), metavar="PATH", help="The checkpoint to write.", help_behavior_hint="(required)"
        ),
    ],
    model: str = "",
    options: str = "",
    classes: Path | None = None,
    preprocessing: str = "",
) -> None:
    """Turn another project's checkpoint into one of kinema, which load and every verb take.

    Every tensor of the file must find its place and every tensor of the network must be filled; otherwise the error
    lists those that do not fit. Nothing in the file is executed.

    Args:
        file: The checkpoint as its authors publish it; of a TensorFlow checkpoint the .index file.
        family: Whose checkpoint it is.
        out: The checkpoint to write.
        model: Which network it is, where networks with the same tensors differ in what they compute.
        options: Options of the network as JSON, such as '{"setting": "16x8"}', where the file does not show them.
        classes: Names of the classes in the order of the scores: a classes.csv, or a text file with one a line.
        preprocessing: What the weights want to be fed, where it is not what the family's usually want, as JSON:
            '{"frames": 16, "sampling": "uniform"}'.
    """
    from kinema.weights.importing.importer import import_checkpoint

    imported = import_checkpoint(
        file,
        family,
        model=model,
        options=_parsed("--options", options),
        classes=classes or (),
        preprocessing=_parsed("--preprocessing", preprocessing),
    )
    imported.save(out)
    wanted = imported.preprocessing
    print(f"{out}: {imported.model.name}, {counted(len(imported.classes), 'class', 'classes')}")
    print(
        f"wants: {counted(wanted.frames, 'frame')}, {wanted.sampling}, stride {wanted.stride}, crop {wanted.crop_size}"
    )
    _print_notes(imported)


def _print_notes(imported: Imported) -> None:
    """What of the file was not needed, and what it does not say."""
    reasons = sorted(set(imported.ignored.values()))
    for reason in reasons:
        count = sum(why == reason for why in imported.ignored.values())
        print(f"not needed: {count} tensors ({reason})", file=sys.stderr)
    assumed = [f"assumed, {subject}: {text}" for subject, text in imported.assumed.items()]
    for line in (*(f"note: {note}" for note in imported.notes), *assumed):
        print(line, file=sys.stderr)


def _parsed(option: str, text: str) -> dict[str, Any]:
    try:
        values = json.loads(text or "{}")
    except json.JSONDecodeError:
        values = None
    if not isinstance(values, dict):
        raise UserError(f"{option} takes a JSON object such as '{{\"frames\": 16}}', not {text}")
    return values
