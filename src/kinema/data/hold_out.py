"""Holding videos out: a fraction of every class, and never a part of a group."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from kinema.data.columns import SPLITS
from kinema.data.manifest_table import ManifestTable
from kinema.errors import UserError
from kinema.wording import some_of

Table = TypeVar("Table", bound=ManifestTable)

log = logging.getLogger("kinema")

HOLDOUT = 0.2
"""The fraction of every class that is held out of a data set that names no splits."""
EXACT = 1000
"""Of a class with more groups than this, the others are taken as they come; the exact search costs their square."""


def hold_out(
    manifest: Table,
    fraction: float = 0.2,
    *,
    seed: int = 0,
    by_group: bool = True,
    source: str = "train",
    into: str = "val",
) -> Table:
    """Move a fraction of the videos of one split into another, the same of every class.

    A group moves as a whole; each class comes as near to it as its groups allow. Groups that span classes are
    chosen greedily, so the result may not be optimal.
    A class of two or more groups (or videos, where there are no groups) gives at least one and keeps at least one.

    Args:
        manifest: What to split; videos of other splits stay as they are.
        fraction: The fraction to hold out, between 0 and 1.
        seed: Decides which videos; the same seed and manifest give the same answer.
        by_group: Keep the videos of a group together. Otherwise groups may be torn apart, and the answer has none.
        source: The split to take from.
        into: The split to give to; it must have no videos yet.

    Raises:
        UserError: The fraction is not between 0 and 1, ``source`` is empty, or ``into`` is not.
    """
    if not 0 < fraction < 1:
        raise UserError(f"the fraction to hold out must lie between 0 and 1, {fraction} was given.")
    if into == source:
        raise UserError(f"cannot hold out of {source!r} into itself; name another split.")
    if into in manifest.splits:
        raise UserError(
            f"{manifest.name} already has {manifest.count(into):,} {into} videos; hold out into another split."
        )
    part = manifest.select(source)
    groups = part.groups if by_group else [""] * len(part)
    held = _choose(part.labels.tolist(), groups, fraction, np.random.default_rng(seed))
    if not held.any():
        raise UserError(f"{manifest.name}: nothing can be held out, every class has a single video or group.")
    splits = [SPLITS[code] for code in manifest.columns.split[manifest.rows].tolist()]
    candidates = np.flatnonzero([name == source for name in splits])
    for row in candidates[held].tolist():
        splits[row] = into
    divided = manifest.with_splits(splits)
    return divided if by_group else divided.without_groups()


def hold_out_of_unsplit(manifest: Table, fraction: float, because: str) -> Table:
    """Hold out validation videos of a data set that names no splits, and say so.

    Args:
        manifest: What may have training videos only; whatever has other splits comes back as it is.
        fraction: How much; 0 leaves every video in ``train``.
        because: Why that is done, as the beginning of a sentence.
    """
    if manifest.splits != ("train",) or not manifest.classes or not fraction:
        return manifest
    if len(manifest) <= len(manifest.classes):
        return manifest  # one video for each class leaves nothing to hold out
    divided = hold_out(manifest, fraction)
    groups = " whole groups at a time," if any(manifest.groups) else ""
    log.warning(
        f"{because}, so {fraction:.0%} of each class are held out as val,"
        f"{groups} {divided.count('val'):,} of {len(divided):,} videos; `kinema data split` chooses otherwise."
    )
    far = far_from_fraction(divided, fraction)
    if far:
        log.warning(far)
    return divided


def held_out_counts(divided: ManifestTable, *, source: str = "train", into: str = "val") -> list[tuple[str, int, int]]:
    """For each class that has videos in either split: its name, how many are left, and how many are held out."""
    labels, splits = divided.labels, divided.columns.split[divided.rows]
    counts = [
        np.bincount(labels[(labels >= 0) & (splits == SPLITS.index(split))], minlength=len(divided.classes)).tolist()
        for split in (source, into)
    ]
    return [(name, left, held) for name, left, held in zip(divided.classes, *counts, strict=True) if left + held]


def far_from_fraction(divided: ManifestTable, fraction: float, *, source: str = "train", into: str = "val") -> str:
    """Say which classes are far from the fraction that was asked for, since a group moves as a whole; "" for none.

    Far is a video or more, and ten points of a hundred.
    """
    far = [
        f"{name} {held / (left + held):.0%} ({held} of {left + held})"
        for name, left, held in held_out_counts(divided, source=source, into=into)
        if abs(held - fraction * (left + held)) >= 1 and abs(held / (left + held) - fraction) > 0.1
    ]
    if not far:
        return ""
    return (
        f"{divided.name}: far from the {fraction:.0%} asked for, as whole groups move: {some_of(far)}. "
        "Smaller groups or more videos come nearer"
    )


def _choose(labels: Sequence[int], groups: Sequence[str], fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Tell for each video whether it is held out.

    Groups that span several classes (an actor who does everything) come first, each taken when that brings the classes
    nearer to the fraction; then the groups of a single class fill up what the class lacks, as exactly as they can.
    """
    units = _units(labels, groups)
    sizes = [Counter(labels[row] for row in unit) for unit in units]
    held = np.zeros(len(units), bool)
    lack: dict[int, float] = {label: fraction * total for label, total in Counter(labels).items()}
    order = rng.permutation(len(units)).tolist()
    _take_spanning([unit for unit in order if len(sizes[unit]) > 1], sizes, held, lack)
    own: dict[int, list[int]] = {label: [] for label in lack}
    members: dict[int, list[int]] = {label: [] for label in lack}
    for unit in order:
        for label in sizes[unit]:
            members[label].append(unit)
            if len(sizes[unit]) == 1:
                own[label].append(unit)
    for label in sorted(own):
        chosen = nearest_subset([sizes[unit][label] for unit in own[label]], lack[label])
        held[[own[label][index] for index in chosen]] = True
    for label in sorted(members):
        _leave_none_empty(members[label], [sizes[unit][label] for unit in members[label]], held)
    answer = np.zeros(len(labels), bool)
    for unit in np.flatnonzero(held).tolist():
        answer[units[unit]] = True
    return answer


def _units(labels: Sequence[int], groups: Sequence[str]) -> list[list[int]]:
    """Collect the rows that move together: those of a group, and each row without a group by itself."""
    together: dict[str, list[int]] = {}
    units: list[list[int]] = []
    for row, group in enumerate(groups):
        if group and group in together:
            together[group].append(row)
            continue
        units.append([row])
        if group:
            together[group] = units[-1]
    return units


def _take_spanning(order: list[int], sizes: list[Counter[int]], held: np.ndarray, lack: dict[int, float]) -> None:
    """Let groups change sides, in random order and as long as that helps."""
    for _ in range(20):  # each change lowers the distance; in practice two or three rounds are enough
        changed = False
        for unit in order:
            sign = -1 if held[unit] else 1
            gain = sum(abs(lack[label]) - abs(lack[label] - sign * size) for label, size in sizes[unit].items())
            if gain > 1e-9:
                held[unit] = not held[unit]
                for label, size in sizes[unit].items():
                    lack[label] -= sign * size
                changed = True
        if not changed:
            break


def nearest_subset(sizes: Sequence[int], target: float) -> list[int]:
    """Choose places of ``sizes`` whose sum is as near to ``target`` as any choice can be; earlier places first.

    Of two sums equally near, the smaller one is taken. Neither nothing nor everything is chosen where there are two
    sizes or more and the target is positive.
    """
    if len(sizes) < 2 or target <= 0:
        return []
    if max(sizes) == 1:
        return list(range(min(max(math.ceil(target - 0.5), 1), len(sizes) - 1)))
    chosen = []
    exact = list(range(min(len(sizes), EXACT)))
    near = sum(sizes[index] for index in exact) * target / sum(sizes)
    for index in range(EXACT, len(sizes)):
        if target - sizes[index] >= near:
            chosen.append(index)
            target -= sizes[index]
    reach = [1]  # bit n of reach[k] tells whether some of the first k sizes add up to n
    for index in exact:
        reach.append(reach[-1] | reach[-1] << sizes[index])
    total = sum(sizes[index] for index in exact)
    left = min((n for n in range(1, total) if reach[-1] >> n & 1), key=lambda n: (abs(n - target), n))
    for index in reversed(exact):
        if not reach[index] >> left & 1:
            chosen.append(index)
            left -= sizes[index]
    return sorted(chosen)


def _leave_none_empty(units: list[int], sizes: list[int], held: np.ndarray) -> None:
    """Give a class of two or more groups at least one on either side; training sees every class."""
    states = set(held[units].tolist())
    if len(states) == 1 and (len(units) > 1 or held[units[0]]):
        smallest = min(range(len(units)), key=sizes.__getitem__)
        held[units[smallest]] = not held[units[smallest]]
