"""Something-Something V1 and V2 (Goyal et al., arXiv:1706.04261) and Jester (Materzynska et al., ICCVW 2019)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from kinema.data.sources.kinetics import keep_listed
from kinema.data.sources.listing import Entry, Listing, find_file, find_files, mirrored, read_lines, read_rows
from kinema.errors import UserError, unknown_name

Json = TypeVar("Json", dict, list)
FRAMES_PER_SEC = 12.0
"""The rate at which V1 and Jester were extracted into folders of JPEG files, as their authors say."""


def something_v1(annotations: Path, videos: Path) -> list[Listing]:
    """Read ``something-something-v1-labels.csv``, ``-train.csv``, ``-validation.csv`` and ``-test.csv``."""
    return [_semicolon_lists("something-v1", "something-something-v1", annotations)]


def jester(annotations: Path, videos: Path) -> list[Listing]:
    """Read ``jester-v1-labels.csv``, ``-train.csv``, ``-validation.csv`` and ``-test.csv``."""
    return [_semicolon_lists("jester", "jester-v1", annotations)]


def something_v2(annotations: Path, videos: Path) -> list[Listing]:
    """Read the JSON files of V2: ``labels``, ``train``, ``validation`` and ``test``.

    Templates mark the objects with square brackets, which the labels leave out.
    """
    path = find_file(annotations, "something-something-v2-labels.json", "labels.json")
    numbers = {name: int(number) for name, number in _json(path, dict).items()}
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise UserError(f"{path}: must number its {len(numbers)} classes from 0 without gaps.")
    classes = tuple(sorted(numbers, key=numbers.__getitem__))
    entries = []
    for split, word in (("train", "train"), ("val", "validation"), ("test", "test")):
        for listed in find_files(annotations, f"something-something-v2-{word}.json", f"{word}.json")[:1]:
            entries += [_entry(item, split, numbers, listed) for item in _json(listed, list)]
    if not entries:
        raise UserError(f"{annotations}: no something-something-v2-train.json or -validation.json in it or below it.")
    return [Listing("something-v2", classes, entries, no_flip=mirrored(classes))]


def mini_ssv2(annotations: Path, videos: Path) -> list[Listing]:
    """Read Mini-SSv2 of the deep analysis (arXiv:2010.11757): V2 restricted to 87 listed classes, in that order."""
    names = read_lines(find_file(annotations, "*mini_ssv2_classes.txt", "*mini*ssv2*.txt"))
    return [keep_listed("mini-ssv2", something_v2(annotations, videos)[0], names)]


def _semicolon_lists(name: str, prefix: str, annotations: Path) -> Listing:
    """Read lists of ``id;label`` (``id`` alone for the test set); each video is a folder of frames named by its id."""
    labels = find_file(annotations, f"{prefix}-labels.csv")
    classes = tuple(read_lines(labels))
    known = {"", *classes}
    entries = []
    for split, word in (("train", "train"), ("val", "validation"), ("test", "test")):
        for path in find_files(annotations, f"{prefix}-{word}.csv")[:1]:
            for video_id, *rest in read_rows(path, delimiter=";"):
                label = rest[0].strip() if rest else ""
                if label not in known:
                    raise unknown_name(f"label of video {video_id} in {path}", label, classes)
                entries.append(Entry(video_id, (video_id,), label, split, fps=FRAMES_PER_SEC))
    if not entries:
        raise UserError(f"{annotations}: no {prefix}-train.csv or -validation.csv in it or below it.")
    return Listing(name, classes, entries, no_flip=mirrored(classes))


def _entry(item: dict, split: str, numbers: dict[str, int], path: Path) -> Entry:
    label = str(item.get("template", "")).replace("[", "").replace("]", "")
    if label and label not in numbers:
        raise unknown_name(f"label of video {item.get('id')} in {path}", label, numbers)
    return Entry(str(item["id"]), (str(item["id"]),), label, split)


def _json(path: Path, kind: type[Json]) -> Json:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not a JSON file ({error}).") from None
    if not isinstance(content, kind):
        raise UserError(f"{path}: must hold a JSON {'object' if kind is dict else 'array'}.")
    return content
