"""UCF101 (Soomro et al., UCF101: A Dataset of 101 Human Actions Classes, arXiv:1212.0402): three splits."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from kinema.data.sources.listing import Entry, Listing, at_index, find_file, find_files, read_lines
from kinema.errors import UserError

_GROUP = re.compile(r"_(g\d+)_c\d+$")


def ucf101(annotations: Path, videos: Path) -> list[Listing]:
    """Read ``classInd.txt`` (numbered from 1), ``trainlist01.txt`` and ``testlist01.txt`` to 03.

    The clips of a group are cut from one recording; a group belongs to one class.
    """
    index = find_file(annotations, "classInd.txt")
    classes = tuple(line.split()[-1] for line in read_lines(index))
    folder = index.parent
    listings = []
    for number in (1, 2, 3):
        entries = []
        for split, pattern in (("train", f"trainlist{number:02d}.txt"), ("test", f"testlist{number:02d}.txt")):
            if find_files(folder, pattern):
                path = find_file(folder, pattern)
                entries += [_entry(line, split, classes, path) for line in read_lines(path)]
        if entries:
            listings.append(Listing(f"ucf101-split{number}", classes, entries))
    if not listings:
        raise UserError(f"{folder}: trainlist01.txt and testlist01.txt must lie beside {index.name}.")
    return listings


def _entry(line: str, split: str, classes: tuple[str, ...], path: Path) -> Entry:
    location, *number = line.split()
    label = PurePosixPath(location).parts[0]
    if label not in classes:
        raise UserError(f"{path}: {location} lies in no folder of a class of classInd.txt.")
    if number and at_index(classes, number[0], path, first=1) != label:
        raise UserError(f"{path}: {location} has the label {number[0]}, which is not {label} in classInd.txt.")
    video_id = PurePosixPath(location).stem
    group = _GROUP.search(video_id)
    return Entry(video_id, (location,), label, split, group=f"{label}_{group.group(1)}" if group else "")
