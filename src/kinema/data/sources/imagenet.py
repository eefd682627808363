"""ImageNet's classification set (Russakovsky et al., arXiv:1409.0575) as videos of one frame."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

from kinema.data.folder import IMAGE_SUFFIXES
from kinema.data.sources.listing import Entry, Listing, find_file, find_files, read_lines, read_rows
from kinema.data.validate import same_name
from kinema.errors import UserError

_WNID = re.compile(r"n\d{8}")


def imagenet(annotations: Path, videos: Path) -> list[Listing]:
    """List the images in ``train/WNID/*.JPEG`` and ``val/WNID/*.JPEG``; classes in the order of their WordNet ids.

    A flat ``val`` folder takes its labels from ``LOC_val_solution.csv``. Class names come from
    ``imagenet_class_index.json`` or ``LOC_synset_mapping.txt`` when one lies there, else they are the WordNet ids; two
    classes that share a name (crane, maillot, cardigan) get their WordNet id behind it.
    """
    names = _class_names(annotations)
    found = {split: _images(videos / split) for split in ("train", "val")}
    present = {wnid for images in found.values() for wnid, _ in images if wnid}
    order = sorted(names or present)
    strangers = sorted(present - set(order))
    if strangers:
        raise UserError(
            f"{videos}: the folders {', '.join(strangers[:5])} are not among the {len(order)} listed classes."
        )
    labels = _unique({wnid: names.get(wnid, wnid) for wnid in order})
    solution = _val_labels(annotations) if any(not wnid for wnid, _ in found["val"]) else {}
    entries = []
    for split, images in found.items():
        for wnid, location in images:
            known = wnid or solution.get(Path(location).stem, "")
            if known not in labels:
                raise UserError(f"{videos / split / location}: no class known; LOC_val_solution.csv must name it.")
            path = f"{split}/{location}"
            entries.append(Entry(path.rpartition(".")[0], (path,), labels[known], split, num_frames=1))
    if not entries:
        raise UserError(f"{videos}: no images in train/WNID or val/WNID, such as train/n01440764/n01440764_10026.JPEG.")
    return [Listing("imagenet", tuple(labels[wnid] for wnid in order), entries, images=True)]


def _images(folder: Path) -> list[tuple[str, str]]:
    """List the images of a split folder as (WordNet id, path in it); images in no class folder have no id."""
    if not folder.is_dir():
        return []
    found = []
    for location, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if _WNID.fullmatch(name))
        inside = Path(location).relative_to(folder)
        images = sorted(name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES and name[0] != ".")
        found += [(inside.name, (inside / name).as_posix()) for name in images]
    return found


def _class_names(annotations: Path) -> dict[str, str]:
    index = find_files(annotations, "imagenet_class_index.json")
    if index:
        return {wnid: name.replace("_", " ") for wnid, name in json.loads(index[0].read_text()).values()}
    mapping = find_files(annotations, "LOC_synset_mapping.txt")
    if mapping:
        rows = [line.partition(" ") for line in read_lines(mapping[0])]
        return {wnid: names.split(",")[0].strip() for wnid, _, names in rows}
    return {}


def _unique(names: dict[str, str]) -> dict[str, str]:
    times = Counter(same_name(name) for name in names.values())
    return {wnid: f"{name} ({wnid})" if times[same_name(name)] > 1 else name for wnid, name in names.items()}


def _val_labels(annotations: Path) -> dict[str, str]:
    rows = read_rows(find_file(annotations, "LOC_val_solution.csv"))
    return {image: boxes.split()[0] for image, boxes, *_ in rows if boxes.split()}
