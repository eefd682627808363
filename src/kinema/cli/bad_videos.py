"""The videos of a data set that could not be read, listed and counted alike by every verb."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kinema.errors import UserError
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.data.bad_video import BadVideo


def print_bad(bad: Sequence[BadVideo], kind: str = "bad") -> None:
    """Print videos and what is wrong with them: a table on a terminal, else lines with tabs; nothing for none."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not bad:
        return
    if not sys.stdout.isatty():  # for grep and cut: no frame, no folded paths
        print("\n".join(["video_id\tpath\treason", *("\t".join(video) for video in bad)]))
        return
    table = Table(title=f"{counted(len(bad), f'{kind} video')}", title_justify="left")
    for name in ("video_id", "path", "reason"):
        table.add_column(name, overflow="fold")
    for video in bad:
        table.add_row(*map(escape, video))
    Console().print(table)


def refuse_bad(bad: Sequence[BadVideo], *, num_good: int, outcome: str) -> None:
    """End the command with an error where videos could not be read.

    Args:
        bad: Those videos.
        num_good: How many others there are.
        outcome: What became of the others, such as ``are packed``.

    Raises:
        UserError: ``bad`` is not empty.
    """
    if bad:
        raise UserError(f"{len(bad):,} of {counted(num_good + len(bad), 'video')} cannot be read; the others {outcome}")
