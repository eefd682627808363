"""The cells of anybody's table: columns by name or number, with or without a first line of names."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from kinema.data.folder import VIDEO_SUFFIXES
from kinema.data.table_text import DELIMITERS, HOW_TO_UTF8, TableFormat, find_format, not_utf8, open_table, readable
from kinema.errors import UserError, unknown_name
from kinema.wording import some_of


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of a table.

    Attributes:
        header: The names in the first line; empty where it has none.
        cells: For each column that was asked for its cells, without outer spaces.
        lines: For each row its line in the file, counted from 1.
        delimiter: What stood between the cells.
    """

    header: list[str]
    cells: dict[str, list[str]]
    lines: list[int]
    delimiter: str


def read_table(file: Path, columns: Mapping[str, str], *, delimiter: str = "", encoding: str = "") -> Table:
    """Read some columns of a table.

    Args:
        file: The table.
        columns: By what they mean, the names in the first line, or numbers counted from 1.
        delimiter: The character between cells, or its name; found from the first line by default.
        encoding: Of the text; UTF-8 by default, or UTF-16 where a byte order mark says so.

    Raises:
        UserError: There is no such file or column, rows have other numbers of cells than the first line, or the text is
            in another encoding.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file; give a CSV with a column of paths and one of labels.")
    found = find_format(file)
    table = TableFormat(_known(encoding) or found.encoding, _character(delimiter) or found.delimiter)
    lines, rows = [], []
    try:
        with open_table(file, table) as reader:
            for line, row in enumerate(reader, start=1):
                if any(map(str.strip, row)):
                    lines.append(line)
                    rows.append([cell.strip() for cell in row])
    except csv.Error as error:
        raise UserError(f"{file}: not a CSV file ({error}).") from None
    if not rows:
        raise UserError(f"{file}: the file is empty; give a CSV with a column of paths and one of labels.")
    _refuse_binary(file, rows[0])
    positions, has_header = _find_columns(file, rows[0], columns)
    header = rows[0] if has_header else []
    body, lines = (rows[1:], lines[1:]) if has_header else (rows, lines)
    if not body:
        raise UserError(f"{file}: there is nothing below the first line.")
    uneven = [f"line {line} has {len(row)}" for row, line in zip(body, lines, strict=True) if len(row) != len(rows[0])]
    if uneven:
        raise UserError(
            f"{file}: {len(uneven):,} rows do not have {len(rows[0])} cells: {some_of(uneven, 5)}. Put cells that "
            'contain the delimiter into double quotes ("), or give the right --delimiter'
        )
    cells = {name: [row[index] for row in body] for name, index in positions.items()}
    foreign = [text for name in cells if name != "path" for text in cells[name] if not_utf8(text)]
    if foreign or any(map(not_utf8, header)):
        shown = dict.fromkeys(map(readable, [*filter(not_utf8, header), *foreign]))
        raise UserError(
            f"{file}: not UTF-8 text: {some_of(list(shown), 5)}. Give its encoding, such as --encoding cp1252, or "
            f"{HOW_TO_UTF8}"
        )
    return Table(header, cells, lines, table.delimiter)


def _known(encoding: str) -> str:
    try:
        "".encode(encoding or "utf-8")
    except LookupError:
        raise UserError(f"unknown encoding {encoding!r}; usual ones are utf-8, utf-16, cp1252, latin-1") from None
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _character(delimiter: str) -> str:
    character = DELIMITERS.get(delimiter.lower(), delimiter.replace("\\t", "\t"))
    if len(character) > 1:
        raise unknown_name("delimiter", delimiter, DELIMITERS, "Or give the one character itself.")
    return character


def _refuse_binary(file: Path, first: list[str]) -> None:
    if not all(cell.isprintable() or not_utf8(cell) for cell in first):
        raise UserError(f"{file}: not a CSV file: the first line is not text.")


def _find_columns(file: Path, first: list[str], columns: Mapping[str, str]) -> tuple[dict[str, int], bool]:
    """Find the places of the columns, and whether the first line holds their names."""
    names_video = [cell for cell in first if PurePosixPath(cell).suffix.lower() in VIDEO_SUFFIXES]
    folded = [name.casefold() for name in first]
    positions, by_name = {}, False
    for meaning, column in columns.items():
        named = [index for index, name in enumerate(first) if name == column]
        named = named or [index for index, name in enumerate(folded) if name == column.casefold()]
        if len(named) > 1:
            raise UserError(f"{file}: two columns are called {column!r}; give --{meaning} by number, counted from 1.")
        by_name |= bool(named)
        if named:
            positions[meaning] = named[0]
        elif column.isdecimal() and 1 <= int(column) <= len(first):
            positions[meaning] = int(column) - 1
        elif column.isdecimal():
            raise UserError(f"{file} has {len(first)} columns; --{meaning} {column} is none of them.")
        elif len(first) == 1:
            raise UserError(
                f"{file}: no comma, semicolon or tab is in the first line, {readable(first[0])!r}; say what stands "
                "between the cells: --delimiter space, or the character itself"
            )
        elif names_video:
            raise UserError(
                f"{file}: the first line holds no names of columns but a video, {names_video[0]}. Give the columns by "
                "number, counted from 1, such as --path 1 --label 2"
            )
        else:
            hint = f"Say which column holds it: --{meaning} COLUMN"
            raise unknown_name(f"column of {file} for --{meaning}", readable(column), map(readable, first), hint)
    return positions, by_name or not names_video
