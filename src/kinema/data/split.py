"""Holding videos out: a share of every class, and never a part of a group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kinema.data.columns import SPLITS
from kinema.data.manifest import Manifest
from kinema.errors import UserError


def hold_out(
    manifest: Manifest,
    fraction: float = 0.2,
    *,
    seed: int = 0,
    by_group: bool = True,
    source: str = "train",
    into: str = "val",
) -> Manifest:
    """Move a share of the videos of one split into another, the same share of every class.

    A group moves as a whole, so each class comes as near to its share as exchanging one group for another can bring it.
    A class of two or more groups (or videos, where there are no groups) gives at least one and keeps at least one.

    Args:
        manifest: What to split; videos of other splits stay as they are.
        fraction: The share to hold out, between 0 and 1.
        seed: Decides which videos; the same seed and manifest give the same answer.
        by_group: Keep the videos of a group together.
        source: The split to take from.
        into: The split to give to; it must have no videos yet.

    Raises:
        UserError: The fraction is not between 0 and 1, ``source`` is empty, or ``into`` is not.
    """
    if not 0 < fraction < 1:
        raise UserError(f"the share to hold out must lie between 0 and 1, {fraction} was given.")
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
    return manifest.with_splits(splits)


def _choose(labels: Sequence[int], groups: Sequence[str], fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Tell for each video whether it is held out."""
    units = _units(labels, groups)
    balance = _Balance([Counter(labels[row] for row in unit) for unit in units], fraction)
    for unit in rng.permutation(len(units)).tolist():
        balance.take_if_nearer(unit)
    balance.exchange()
    balance.leave_none_empty()
    held = np.zeros(len(labels), bool)
    for unit, rows in enumerate(units):
        held[rows] = balance.held[unit]
    return held


def _units(labels: Sequence[int], groups: Sequence[str]) -> list[list[int]]:
    """Collect the rows that move together: those of a group, and each row without a group by itself."""
    together: dict[str, list[int]] = {}
    units: list[list[int]] = []
    for row, group in enumerate(groups):
        if not group:
            units.append([row])
        elif group in together:
            together[group].append(row)
        else:
            together[group] = [row]
            units.append(together[group])
    return units


class _Balance:
    """How far each class is from its share; ``sizes`` counts the videos of each class in each unit."""

    def __init__(self, sizes: list[Counter[int]], fraction: float) -> None:
        self.sizes = sizes
        self.held = [False] * len(sizes)
        self.by_class: dict[int, list[int]] = {}
        totals: Counter[int] = Counter()
        for unit, size in enumerate(sizes):
            totals.update(size)
            for label in size:
                self.by_class.setdefault(label, []).append(unit)
        self.lack = {label: fraction * total for label, total in totals.items()}

    def gain(self, *moves: int) -> float:
        """How much nearer all classes together get to their shares when these units change sides."""
        change: Counter[int] = Counter()
        for unit in moves:
            for label, size in self.sizes[unit].items():
                change[label] += -size if self.held[unit] else size
        return sum(abs(self.lack[label]) - abs(self.lack[label] - moved) for label, moved in change.items())

    def flip(self, unit: int) -> None:
        """Let one unit change sides."""
        sign = 1 if self.held[unit] else -1
        for label, size in self.sizes[unit].items():
            self.lack[label] += sign * size
        self.held[unit] = not self.held[unit]

    def take_if_nearer(self, unit: int) -> None:
        """Hold a unit out if that does not lead away from the shares."""
        if self.gain(unit) >= 0:
            self.flip(unit)

    def exchange(self) -> None:
        """Swap a held unit for one that is not, as long as that helps a class that is a video or more off its share."""
        for label, units in self.by_class.items():
            for _ in range(len(units)):
                if abs(self.lack[label]) < 1:
                    break
                pairs = ((a, b) for a in units if self.held[a] for b in units if not self.held[b])
                gain, a, b = max(((self.gain(a, b), a, b) for a, b in pairs), default=(0.0, 0, 0))
                if gain <= 1e-9:
                    break
                self.flip(a)
                self.flip(b)

    def leave_none_empty(self) -> None:
        """Give every class of two or more units at least one on either side."""
        for label, units in self.by_class.items():
            states = {self.held[unit] for unit in units}
            if len(units) > 1 and len(states) == 1:
                self.flip(min(units, key=lambda unit: (self.sizes[unit][label], unit)))
            elif len(units) == 1 and self.held[units[0]] and len(self.sizes[units[0]]) == 1:
                self.flip(units[0])  # the only group of its class: training must see the class
