"""Kinetics-400, -600 and -700 (Kay et al., arXiv:1705.06950; Carreira et al., arXiv:1808.01340, arXiv:1907.06987)."""

from __future__ import annotations

import csv
import dataclasses
import logging
import re
from pathlib import Path

from kinema.data.sources.listing import Entry, Listing, class_key, find_file, find_files, read_lines
from kinema.errors import UserError

_SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
log = logging.getLogger("kinema")


def kinetics400(annotations: Path, videos: Path) -> list[Listing]:
    """Read the official CSVs of Kinetics-400."""
    return [_kinetics(400, annotations)]


def kinetics600(annotations: Path, videos: Path) -> list[Listing]:
    """Read the official CSVs of Kinetics-600."""
    return [_kinetics(600, annotations)]


def kinetics700(annotations: Path, videos: Path) -> list[Listing]:
    """Read the official CSVs of Kinetics-700, of 2019 or 2020."""
    return [_kinetics(700, annotations)]


def mini_kinetics_200(annotations: Path, videos: Path) -> list[Listing]:
    """Read the id lists of Mini-Kinetics-200 (S3D-G, arXiv:1712.04851) and the labels from the CSVs of Kinetics-400."""
    labelled = {entry.locations[-1]: entry for entry in _kinetics(400, annotations, quiet=True).entries}
    entries, unlabelled = [], []
    for split in ("train", "val"):
        for youtube_id in read_lines(find_file(annotations, f"{split}_ytid_list.txt")):
            if youtube_id in labelled:
                entries.append(labelled[youtube_id]._replace(split=split))
            else:
                unlabelled.append(youtube_id)
    classes = tuple(sorted({entry.label for entry in entries}))
    return [Listing("mini-kinetics-200", classes, entries, unlabelled=tuple(unlabelled))]


def mini_kinetics_ibm(annotations: Path, videos: Path) -> list[Listing]:
    """Read the Mini-Kinetics of the deep analysis (arXiv:2010.11757): Kinetics-400 restricted to 200 listed classes."""
    names = read_lines(find_file(annotations, "*mini_kinetics400_classes.txt", "*mini_kinetics*classes*.txt"))
    return [keep_listed("mini-kinetics-ibm", _kinetics(400, annotations), names)]


def keep_listed(name: str, listing: Listing, names: list[str]) -> Listing:
    """Restrict a listing to the classes that a released list names, in the order of that list."""
    by_key = {class_key(label): label for label in listing.classes}
    strangers = [label for label in names if class_key(label) not in by_key]
    if strangers:
        raise UserError(f"{name}: the class list names {', '.join(strangers[:5])}, not a class of {listing.name}.")
    classes = tuple(by_key[class_key(label)] for label in names)
    kept = set(classes)
    entries = [entry for entry in listing.entries if entry.label in kept]
    return dataclasses.replace(listing, name=name, classes=classes, entries=entries, no_flip=listing.no_flip & kept)


def _kinetics(num_classes: int, annotations: Path, *, quiet: bool = False) -> Listing:
    """Read every CSV with the official columns ``label, youtube_id, time_start, time_end, split``.

    Videos are files named ``ID_000010_000020`` or ``ID``, which hold the labelled seconds alone, so that a record needs
    no start and end. The classes come from a label map when one lies there, else in alphabetical order, which is the
    order of the official label maps.
    """
    entries = [
        entry
        for path in find_files(annotations, "*.csv")
        if _fits(path, annotations, num_classes)
        for entry in _read(path)
    ]
    if not entries:
        raise UserError(
            f"{annotations}: no CSV of Kinetics-{num_classes}, with label, youtube_id, time_start, time_end, split."
        )
    map_name = f"label_map_k{num_classes}.txt"
    maps = find_files(annotations, map_name)
    classes = tuple(read_lines(maps[0])) if maps else tuple(sorted({entry.label for entry in entries} - {""}))
    strangers = sorted({entry.label for entry in entries} - set(classes) - {""})
    if strangers:
        raise UserError(f"{maps[0]}: has no class {', '.join(strangers[:5])}, which the lists use.")
    if len(classes) != num_classes and not quiet:
        log.warning(
            f"kinetics{num_classes}: the lists have {len(classes)} classes; a label_map_k{num_classes}.txt adds all."
        )
    return Listing(f"kinetics{num_classes}", classes, entries)


def _fits(path: Path, annotations: Path, num_classes: int) -> bool:
    """Leave out the lists of the other two sets, if their names tell."""
    numbers = set(re.findall(r"(?<!\d)[467]00(?!\d)", path.relative_to(annotations).as_posix()))
    return not numbers or str(num_classes) in numbers


def _read(path: Path) -> list[Entry]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"youtube_id", "time_start", "time_end"} <= set(reader.fieldnames or ()):
            return []
        return [_entry(row, path) for row in reader]


def _entry(row: dict[str, str], path: Path) -> Entry:
    youtube_id = row["youtube_id"]
    given = (row.get("split") or "").strip().lower()
    split = _SPLITS.get(given) or next((value for word, value in _SPLITS.items() if word in path.stem.lower()), "")
    if not split:
        raise UserError(
            f"{path}: neither the column split ({given!r}) of {youtube_id} nor the file's name says the split."
        )
    try:
        start, end = round(float(row["time_start"])), round(float(row["time_end"]))
    except (ValueError, TypeError):
        raise UserError(f"{path}: time_start and time_end of {youtube_id} must be seconds.") from None
    name = f"{youtube_id}_{start:06d}_{end:06d}"
    return Entry(name, (name, youtube_id), (row.get("label") or "").strip(), split)
