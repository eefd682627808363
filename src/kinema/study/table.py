"""The table of a study: one row of results for each model that was trained and tested in the same way."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinema.errors import UserError
from kinema.wording import some_of

KEYS = ("dataset", "module", "backbone", "temporal_pooling", "frames")
"""Columns that a row must have: what was trained."""
EXTRA_KEYS = ("placement", "sampling", "seed", "protocol", "variant")
"""Columns that it may have besides."""
LABELS = ("cell", "model", "recipe_sha256", "manifest_sha256", "protocol_sha256")
"""Columns that say again, or more exactly, what the others do; every other column holds a result."""

_BOOLEANS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One model of a study, and its results.

    Attributes:
        dataset: The data that it was trained and tested on.
        module: Its temporal module, such as ``tsm``.
        backbone: Its spatial network, such as ``resnet50``.
        temporal_pooling: Whether time is halved at poolings.
        frames: Frames of a clip.
        placement: Where the module sits; empty for everywhere.
        sampling: How frames were sampled; empty where nothing says so.
        seed: Of the training; 0 where nothing says so.
        protocol: How it was tested; empty where nothing says so.
        variant: What sets it apart beside all this, such as the name of a recipe of its own; usually empty.
        results: Numbers by their column, such as ``clip_top1`` (accuracies in percent, as papers print them) or
            ``parameters``; a result that is not known is missing.
    """

    dataset: str
    module: str
    backbone: str
    temporal_pooling: bool
    frames: int
    placement: str = ""
    sampling: str = ""
    seed: int = 0
    protocol: str = ""
    variant: str = ""
    results: dict[str, float] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model's name, such as ``tsm@top4-resnet50-tp``."""
        where = f"@{self.placement}" if self.placement else ""
        return f"{self.module}{where}-{self.backbone}{'-tp' if self.temporal_pooling else ''}"

    def __str__(self) -> str:
        variant = f" ({self.variant})" if self.variant else ""
        return f"{self.model}{variant} with {self.frames} frames on {self.dataset}"


@dataclass(frozen=True)
class StudyTable:
    """The rows of a study.

    Attributes:
        rows: One for each model, data set, length, sampling and seed; none twice.
        name: What to call the table in errors, such as its path.
    """

    rows: tuple[StudyRow, ...]
    name: str = "the table"

    def __post_init__(self) -> None:
        if not self.rows:
            raise UserError(f"{self.name} has no rows.")
        seen: set[tuple[object, ...]] = set()
        for row in self.rows:
            key = (*(getattr(row, name) for name in (*KEYS, *EXTRA_KEYS)),)
            if key in seen:
                raise UserError(f"{self.name} has two rows of {row}; keep one of them, or tell them apart by seed.")
            seen.add(key)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[StudyRow]:
        return iter(self.rows)

    @classmethod
    def read(cls, path: str | Path) -> StudyTable:
        """Read a CSV with a header.

        The columns ``dataset, module, backbone, temporal_pooling, frames`` are needed, ``EXTRA_KEYS``
        and ``LABELS`` may be there, and all others are results: numbers, or empty.

        Raises:
            UserError: The file is missing, lacks a column, or holds a value that is none.
        """
        path = Path(path)
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                columns = tuple(reader.fieldnames or ())
                lines = list(reader)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path} cannot be read as a CSV: {error}") from None
        missing = [name for name in KEYS if name not in columns]
        if missing:
            raise UserError(f"{path} is no table of a study: it lacks the columns {', '.join(missing)}.")
        return cls(tuple(_row(line, columns, f"{path}, line {at}") for at, line in enumerate(lines, 2)), str(path))

    def metrics(self) -> list[str]:
        """Names of the results that any row has."""
        return list(dict.fromkeys(name for row in self.rows for name in row.results))

    def require_metric(self, metric: str) -> None:
        """Refuse a result that is not in every row.

        Raises:
            UserError: No row has it, or some rows lack it.
        """
        lacking = [str(row) for row in self.rows if metric not in row.results]
        if len(lacking) == len(self.rows):
            raise UserError(f"{self.name} has no results called {metric!r}; it has {', '.join(self.metrics())}.")
        if lacking:
            raise UserError(f"{self.name} has no {metric} for {some_of(lacking, 3)}.")

    def select(self, **wanted: object) -> StudyTable:
        """The rows whose attributes have these values.

        Raises:
            UserError: No row does.
        """
        rows = tuple(row for row in self.rows if all(getattr(row, name) == value for name, value in wanted.items()))
        return StudyTable(
            rows, f"{self.name}, where {', '.join(f'{key} is {value}' for key, value in wanted.items())},"
        )


def _row(line: dict[str, str], columns: Sequence[str], where: str) -> StudyRow:
    texts = {name: (line.get(name) or "").strip() for name in columns}
    pooling = texts["temporal_pooling"].lower()
    if pooling not in _BOOLEANS:
        raise UserError(f"{where}: temporal_pooling must be 0 or 1; given {texts['temporal_pooling']!r}.")
    results = {
        name: _number(text, name, where)
        for name, text in texts.items()
        if name not in (*KEYS, *EXTRA_KEYS, *LABELS) and text
    }
    return StudyRow(
        dataset=texts["dataset"],
        module=texts["module"],
        backbone=texts["backbone"],
        temporal_pooling=_BOOLEANS[pooling],
        frames=_whole_number(texts["frames"], "frames", where),
        placement=texts.get("placement", ""),
        sampling=texts.get("sampling", ""),
        seed=_whole_number(texts.get("seed") or "0", "seed", where),
        protocol=texts.get("protocol", ""),
        variant=texts.get("variant", ""),
        results=results,
    )


def _number(text: str, name: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{where}: {name} must be a number; given {text!r}.") from None


def _whole_number(text: str, name: str, where: str) -> int:
    if not text.isdecimal():
        raise UserError(f"{where}: {name} must be a whole number of at least 0; given {text!r}.")
    return int(text)
