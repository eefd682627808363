"""Names of the classes of an imported network: given, known, or numbers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from kinema.errors import UserError
from kinema.weights.importing.family import Family, Network


def class_names(
    family: Family, network: Network, num_classes: int, given: Sequence[str] | str | Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the classes, and a note where they are not known.

    Those of Kinetics-400 are known by the number of classes alone, see ``known_by_count``.
    """
    names = tuple(read_class_names(given) if isinstance(given, str | Path) else given)
    if names:
        if len(names) != num_classes:
            raise UserError(f"the file has {num_classes} classes, {len(names)} names are given")
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise UserError(f"class names must differ; given more than once: {', '.join(twice)}")
        return names, ()
    if known_by_count(family, network, num_classes):
        from torchvision.models.video import R3D_18_Weights

        return tuple(R3D_18_Weights.KINETICS400_V1.meta["categories"]), ()
    note = f"the names of the {num_classes} classes are not in the file, so they are numbers; give --classes FILE"
    return tuple(str(index) for index in range(num_classes)), (note,)


def known_by_count(family: Family, network: Network, num_classes: int) -> bool:
    """Whether a network of the family with so many classes is taken to know those of Kinetics-400."""
    return family.kinetics_names and not network.of_images and num_classes == 400


def read_class_names(path: str | Path) -> list[str]:
    """Read class names from a ``classes.csv`` of kinema, or from a text file with one a line.

    Raises:
        UserError: The file is missing or empty.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of class names ({error})") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0] in ("name", "name,no_flip"):
        lines = [row[0] for row in csv.reader(lines[1:])]
    if not lines:
        raise UserError(f"{path}: holds no class names")
    return [line.strip() for line in lines]
