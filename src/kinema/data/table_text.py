"""How a CSV somebody saved is to be read: its encoding and its delimiter, found from its beginning."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kinema.data.columns import ENCODING_ERRORS
from kinema.errors import UserError

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " ", "pipe": "|"}
"""Delimiters by the names that stand for them on a command line."""
_RECOGNISED = (",", ";", "\t")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
HOW_TO_UTF8 = (
    "save the file as UTF-8 (in a spreadsheet: the format CSV UTF-8), or convert it: "
    "iconv -f latin1 -t utf-8 OLD.csv > NEW.csv"
)


class TableFormat(NamedTuple):
    """What a table's text is: the name of its encoding, and the character between its cells."""

    encoding: str
    delimiter: str


def find_format(path: Path) -> TableFormat:
    """Look at the first line of a table.

    It is UTF-8, or UTF-16 where a byte order mark says so, as spreadsheets write "Unicode text". Comma, semicolon and
    tab are recognised: whichever the first line has most of, outside quotes.
    """
    with path.open("rb") as file:
        start = file.read(65536)
    encoding = "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    first = start.decode(encoding, "replace").partition("\n")[0]
    bare = re.sub('"[^"]*"', "", first)
    return TableFormat(encoding, max(_RECOGNISED, key=bare.count))


@contextmanager
def open_table(path: Path, table: TableFormat) -> Iterator[Iterator[list[str]]]:
    """Open a table and give its rows; bytes that are not UTF-8 become lone surrogates, see ``not_utf8``.

    Raises:
        UserError: It cannot be decoded.
    """
    errors = ENCODING_ERRORS if table.encoding == "utf-8-sig" else "strict"
    try:
        with path.open(newline="", encoding=table.encoding, errors=errors) as file:
            yield csv.reader(file, delimiter=table.delimiter)
    except UnicodeError as error:
        raise UserError(f"{path}: not {table.encoding} text ({error})") from None


def not_utf8(text: str) -> bool:
    """Whether a text was read from bytes that are not UTF-8."""
    return not text.isascii() and _NOT_UTF8.search(text) is not None


def readable(text: str) -> str:
    """A text with bytes that are not UTF-8, for a message: as what they most likely are, Latin-1."""
    return text.encode("utf-8", ENCODING_ERRORS).decode("latin-1") if not_utf8(text) else text
