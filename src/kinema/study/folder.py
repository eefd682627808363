"""The folder of a study: what is to be done, as files, so that it can be gone on with whatever happens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinema.data.manifest import Manifest
from kinema.data.manifest_writer import write_manifests
from kinema.errors import UserError
from kinema.files import write_text
from kinema.specs.recipe import Recipe
from kinema.study.grid import Cell, Study
from kinema.wording import counted, some_of

STUDY, MANIFESTS = "study.json", "manifests"
RESULT, FAILURE, PROCESSES = "cell.json", "failed.json", "processes"


@dataclass(frozen=True, kw_only=True)
class StudyFolder:
    """A study on disk.

    Attributes:
        path: Its folder.
        name: Of the study.
        citation: Where it comes from.
        protocols: Test protocols.
        cells: Every training, by its name.
    """

    path: Path
    name: str
    citation: str
    protocols: tuple[str, ...]
    cells: Mapping[str, Cell]

    def manifest_path(self, dataset: str) -> Path:
        """Where the videos of a data set are listed, as they were when the study began."""
        return self.path / MANIFESTS / f"{dataset}.csv"

    def cell_path(self, cell: Cell) -> Path:
        """The folder of a cell, a run directory once its training has begun."""
        return self.path / cell.name

    def process_path(self, cell: Cell) -> Path:
        """The folder of a cell's process: how it stands, and what it prints."""
        return self.path / PROCESSES / cell.name

    def console_path(self, cell: Cell) -> Path:
        """Where what a cell's process prints is kept."""
        return self.process_path(cell) / "console.txt"

    def scores_path(self, cell: Cell, protocol: str) -> Path:
        """Where the scores of a cell's test videos go."""
        return self.cell_path(cell) / f"test-{protocol}.npz"

    @classmethod
    def read(cls, path: str | Path) -> StudyFolder:
        """Read a study.

        Raises:
            UserError: The folder holds none, or another version of kinema wrote it and the recipes have changed.
        """
        path = Path(path)
        try:
            plan: dict[str, Any] = json.loads((path / STUDY).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise UserError(f"{path} holds no study: {STUDY} cannot be read ({error})") from None
        cells = [
            Cell(
                dataset=one["dataset"],
                recipe=Recipe.from_dict(one["recipe"]),
                after=one["after"],
                is_own=one["is_own"],
            )
            for one in plan["cells"]
        ]
        return cls(
            path=path,
            name=plan["name"],
            citation=plan["citation"],
            protocols=tuple(plan["protocols"]),
            cells={cell.name: cell for cell in cells},
        )

    @classmethod
    def prepare(cls, path: str | Path, study: Study, data: Mapping[str, Manifest]) -> tuple[StudyFolder, list[str]]:
        """Write what a study is to do, or go on with it; a study that has grown gets its new cells.

        Args:
            path: The folder; new, empty or that of the same study.
            study: What to do.
            data: Data sets by name.

        Returns:
            The study, and sentences about what has changed since it began.

        Raises:
            UserError: The folder holds another study, or cells, protocols or data of this one have changed.
        """
        path = Path(path)
        cells = {cell.name: cell for cell in study.cells(list(data))}
        own = cls(path=path, name=study.name, citation=study.citation, protocols=study.protocols, cells=cells)
        notes: list[str] = []
        if (path / STUDY).exists():
            before = cls.read(path)
            notes = _refuse_changes(own, before, data)
            own = replace(own, cells={**before.cells, **cells})
        elif path.exists() and any(path.iterdir()):
            raise UserError(f"{path} is not empty and holds no study; choose another --out")
        own._write(data)
        return own, notes

    def _write(self, data: Mapping[str, Manifest]) -> None:
        """Store manifests and plan; the plan last, so that where it is everything is."""
        from kinema import __version__

        (self.path / MANIFESTS).mkdir(parents=True, exist_ok=True)
        write_manifests({self.manifest_path(name): one for name, one in data.items()})
        cells = [{**cell.__dict__, "recipe": cell.recipe.to_dict()} for cell in self.cells.values()]
        plan = {"kinema_version": __version__, "name": self.name, "citation": self.citation}
        plan |= {"protocols": list(self.protocols), "cells": cells}
        write_text(self.path / STUDY, json.dumps(plan, indent=1) + "\n")


def _refuse_changes(now: StudyFolder, before: StudyFolder, data: Mapping[str, Manifest]) -> list[str]:
    """Hold a study to what it was; new cells are welcome."""
    if now.name != before.name:
        raise UserError(f"{now.path} holds the study {before.name}, not {now.name}; choose another --out")
    if now.protocols != before.protocols:
        raise UserError(
            f"{now.path} is tested with {', '.join(before.protocols)}, not {', '.join(now.protocols)}; a study keeps "
            "its protocols. Choose another --out, or evaluate its cells with kinema evaluate"
        )
    for name, manifest in data.items():
        stored = now.manifest_path(name)
        if stored.exists() and Manifest.read(stored).digest() != manifest.digest():
            raise UserError(
                f"the videos of {name} have changed since the study in {now.path} began ({stored} has what they were); "
                "choose another --out"
            )
    changed = [cell for name, cell in now.cells.items() if name in before.cells and before.cells[name] != cell]
    if changed:
        first = changed[0]
        old, new = before.cells[first.name].recipe.flat(), first.recipe.flat()
        fields = [f"{key} {old.get(key)!r} -> {new[key]!r}" for key in new if old.get(key) != new[key]]
        fields = fields or [f"after {before.cells[first.name].after!r} -> {first.after!r}"]
        raise UserError(
            f"{counted(len(changed), 'cell')} of {now.name} have changed since the study began, such as {first.name}: "
            f"{some_of(fields, 3)}. Only new cells can be added; choose another --out"
        )
    added = [name for name in now.cells if name not in before.cells]
    gone = [name for name in before.cells if name not in now.cells]
    notes = [f"{counted(len(added), 'new cell')}: {some_of(added, 3)}"] if added else []
    return notes + ([f"{counted(len(gone), 'cell')} no longer named stay: {some_of(gone, 3)}"] if gone else [])


def open_data(given: Sequence[str]) -> dict[str, Manifest]:
    """Open data sets given as ``CSV`` or ``NAME=CSV``; without a name they are called after their file.

    Raises:
        UserError: Nothing is given, a name is there twice or cannot be that of a folder, or the data cannot be read.
    """
    if not given:
        raise UserError("a study needs data: --data CSV, or NAME=CSV for each of several data sets")
    opened: dict[str, Manifest] = {}
    for word in given:
        name, equals, path = ("", "", word) if Path(word).exists() else word.partition("=")
        manifest = Manifest.open(path if equals else word)
        name = name or Path(path if equals else word).resolve().stem
        if name in opened or name in ("", ".", "..", MANIFESTS, PROCESSES) or "/" in name:
            raise UserError(
                f"--data {word}: its results would lie in a folder {name!r}; give NAME=CSV with a name of its own"
            )
        manifest.validate()
        opened[name] = manifest
    return opened
