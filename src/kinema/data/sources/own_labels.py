"""The classes of anybody's list: names as they are, or numbers that a list of names goes with."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from kinema.data.manifest import Record
from kinema.data.table_text import HOW_TO_UTF8
from kinema.errors import UserError, unknown_name
from kinema.wording import some_of

log = logging.getLogger("kinema")
_NUMBER = re.compile(r"(\d+)(?:\.0+)?")  # 3.0 is what spreadsheets and data frames make of 3
_NUMBERED = re.compile(r"(\d+)[\s,;:]+(\S.*)")


def name_classes(source: str, records: list[Record], classes: Sequence[str]) -> tuple[list[Record], list[str]]:
    """Give the records of a list their classes.

    Args:
        source: The list, for messages.
        records: Its rows.
        classes: Only these classes, in this order; for labels that are numbers, their names. Empty takes the labels as
            they are, in alphabetical order, numbers in theirs.

    Returns:
        The records that are left, with class names for labels, and the classes in order.

    Raises:
        UserError: No label is among ``classes``, or a number has no name.
    """
    labels = dict.fromkeys(record.label for record in records if record.label)
    numbers = {label: int(match.group(1)) for label in labels if (match := _NUMBER.fullmatch(label))}
    if labels and len(numbers) == len(labels) and not set(labels) & set(classes):
        names = _names_of_numbers(source, sorted(set(numbers.values())), classes)
        named = [r._replace(label=names[numbers[r.label]]) if r.label else r for r in records]
        return named, list(classes) or list(names.values())
    if not classes:
        return records, sorted(labels)
    if not set(labels) & set(classes):
        raise unknown_name(f"class for the labels of {source}", classes[0], labels)
    kept = [record for record in records if record.label in classes]
    if len(kept) < len(records):
        others = [label for label in labels if label not in classes]
        log.warning(
            f"{source}: {len(records) - len(kept):,} of {len(records):,} rows have other classes and were left out: "
            f"{some_of(others, 5)}"
        )
    return kept, list(classes)


def read_class_list(file: Path) -> list[str]:
    """Read names of classes, one a line, in order; numbers before them ("0 wave, 1 jump", or from 1) are left away.

    A classes file of kinema (``name,no_flip``) is read too.

    Raises:
        UserError: The file is not UTF-8.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise UserError(f"{file}: not UTF-8 text; {HOW_TO_UTF8}") from None
    if lines and lines[0] in ("name", "name,no_flip"):
        return [row[0] for row in csv.reader(lines[1:])]
    numbered = [match for line in lines if (match := _NUMBERED.fullmatch(line))]
    numbers = [int(match.group(1)) for match in numbered]
    if len(numbers) == len(lines) and numbers in (list(range(len(lines))), list(range(1, len(lines) + 1))):
        return [match.group(2).strip() for match in numbered]
    return lines


def _names_of_numbers(source: str, numbers: list[int], classes: Sequence[str]) -> dict[int, str]:
    """The name of each number; the names count from 0, or from 1 where only that fits."""
    if not classes:
        log.warning(
            f"{source}: the labels are numbers, and so are the names of the classes; --classes FILE names them, one a "
            "line, in the order of the numbers"
        )
        return {number: str(number) for number in numbers}
    first = 1 if numbers[-1] == len(classes) and numbers[0] > 0 else 0
    if numbers[-1] >= len(classes) + first:
        raise UserError(
            f"{source}: the labels reach from {numbers[0]} to {numbers[-1]}, but there are {len(classes)} names of "
            "classes; the first name is that of 0, or of 1 where the labels begin there"
        )
    log.warning(f"{source}: the labels are numbers; {first} is {classes[0]}, {first + 1} is {(*classes, '-')[1]}, ...")
    return {number: classes[number - first] for number in numbers}
