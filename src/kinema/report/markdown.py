"""Markdown for reports: tables that line up in a plain editor too."""

from __future__ import annotations

from collections.abc import Sequence


def percent(fraction: float, digits: int = 1) -> str:
    """Print a fraction (0..1) as a percentage; an unknown one (nan) as a dash."""
    return "–" if fraction != fraction else f"{100 * fraction:.{digits}f} %"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Build a pipe table; the first column is set left, all others right.

    Args:
        columns: Headings.
        rows: Cells of each row, as many as there are headings.

    Raises:
        ValueError: A row has another number of cells.
    """
    lines = [[str(cell).replace("|", "\\|") for cell in line] for line in [columns, *rows]]
    if any(len(line) != len(columns) for line in lines):
        raise ValueError(f"every row of this table needs {len(columns)} cells")
    widths = [max(3, *(len(line[index]) for line in lines)) for index in range(len(columns))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def pad(line: Sequence[str]) -> str:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(cells)} |"

    return "\n".join([pad(lines[0]), pad(rule), *(pad(line) for line in lines[1:])])
