"""Moments in Time (Monfort et al., arXiv:1801.03150), of 2018 or its second version, and its small form Mini-MiT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from kinema.data.sources.listing import Entry, Listing, find_file, find_files, read_lines, read_rows
from kinema.errors import UserError, unknown_name


def moments(annotations: Path, videos: Path) -> list[Listing]:
    """Read ``moments_categories.txt`` and ``trainingSet.csv``, ``validationSet.csv`` (file, class, votes …)."""
    path = find_file(annotations, "moments_categories.txt", "category_moments*.txt", "label_map_mit.txt")
    lines = read_lines(path)
    # "clapping,0" or the name alone; the numbers count the lines, so they are only there to be left out
    classes = tuple(line.rpartition(",")[0] if line.rpartition(",")[2].isdecimal() else line for line in lines)
    entries = []
    for split, folder in (("train", "training"), ("val", "validation")):
        for listed in find_files(annotations, f"{folder}Set.csv")[:1]:
            for location, label, *_ in read_rows(listed):
                if label not in classes:
                    raise unknown_name(f"label of video {location} in {listed}", label, classes)
                video_id = PurePosixPath(location).with_suffix("").as_posix()
                entries.append(Entry(video_id, (f"{folder}/{location}", location), label, split))
    if not entries:
        raise UserError(f"{annotations}: no trainingSet.csv or validationSet.csv in it or below it.")
    return [Listing("moments", classes, entries)]


def mini_mit(annotations: Path, videos: Path) -> list[Listing]:
    """Read Mini-MiT, 200 classes and an eighth of the videos, which its authors hand out with the same lists."""
    return [replace(listing, name="mini-mit") for listing in moments(annotations, videos)]
