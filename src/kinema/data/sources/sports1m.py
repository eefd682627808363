"""Sports-1M (Karpathy et al., Large-scale Video Classification with Convolutional Neural Networks, CVPR 2014)."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from kinema.data.sources.listing import Entry, Listing, at_index, find_file, read_lines
from kinema.errors import UserError

_ID = re.compile(r"[?&]v=([\w-]{11})")
log = logging.getLogger("kinema")


def sports1m(annotations: Path, videos: Path) -> list[Listing]:
    """Read ``labels.txt``, ``train_partition.txt`` and ``test_partition.txt`` (address, label numbers from 0).

    Differs from the data set: a video with several labels gets the first one; the number of such videos is reported.
    """
    classes = tuple(read_lines(find_file(annotations, "labels.txt")))
    entries, num_several = [], 0
    for split in ("train", "test"):
        path = find_file(annotations, f"{split}_partition.txt")
        for line in read_lines(path):
            address, _, numbers = line.partition(" ")
            found = _ID.search(address)
            if not found:
                raise UserError(f"{path}: no video id in {address!r}.")
            labels = [at_index(classes, number.strip(), path) for number in numbers.split(",")]
            num_several += len(labels) > 1
            entries.append(Entry(found.group(1), (found.group(1),), labels[0], split))
    if num_several:
        log.warning(f"sports1m: {num_several:,} videos have several labels; the first one is used.")
    return [Listing("sports1m", classes, entries)]
