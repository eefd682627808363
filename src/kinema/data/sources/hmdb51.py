"""HMDB51 (Kuehne et al., HMDB: A Large Video Database for Human Motion Recognition, ICCV 2011): three splits."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from kinema.data.sources.listing import Entry, Listing, find_files, read_lines
from kinema.errors import UserError

_NAME = re.compile(r"(.+)_test_split([123])\.txt")
_SPLITS = {"1": "train", "2": "test"}  # 0: in neither, so that both have 70 and 30 clips of each class


def hmdb51(annotations: Path, videos: Path) -> list[Listing]:
    """Read ``CLASS_test_splitN.txt``, whose codes are 1 train, 2 test, 0 unused.

    Clips of one class and one source recording (the first part of their names) form a group; no official split tears
    one apart.
    """
    lists = [
        (path, match) for path in find_files(annotations, "*_test_split?.txt") if (match := _NAME.match(path.name))
    ]
    if not lists:
        raise UserError(f"{annotations}: no annotation file named CLASS_test_split1.txt in it or below it.")
    classes = tuple(sorted({match.group(1) for _, match in lists}))
    entries: dict[str, list[Entry]] = {}
    for path, match in lists:
        label, number = match.groups()
        for line in read_lines(path):
            name, code = line.split()
            if code not in (*_SPLITS, "0"):
                raise UserError(f"{path}: the code of {name} must be 0, 1 or 2, it is {code}.")
            if code in _SPLITS:
                entries.setdefault(number, []).append(_entry(name, label, _SPLITS[code]))
    return [Listing(f"hmdb51-split{number}", classes, entries[number]) for number in sorted(entries)]


def _entry(name: str, label: str, split: str) -> Entry:
    source = name.rpartition(f"_{label}_")[0] or name  # the title of the recording may contain the class name too
    return Entry(
        video_id=f"{label}/{PurePosixPath(name).stem}",
        locations=(f"{label}/{name}",),
        label=label,
        split=split,
        group=f"{label}/{source}",
    )
