"""The progress bar on standard error, of every work that shows one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class ProgressBar:
    """A bar that somebody may be looking at; without one every method does nothing.

    Args:
        bar: The drawn bar with its single task, or None.
    """

    def __init__(self, bar: Progress | None = None) -> None:
        self._bar = bar

    @property
    def is_shown(self) -> bool:
        """Whether a terminal shows it."""
        return self._bar is not None and not self._bar.disable

    @property
    def console(self) -> Console | None:
        """Where lines above the bar are printed; None without one."""
        return None if self._bar is None else self._bar.console

    @property
    def elapsed_sec(self) -> float:
        """Seconds since it appeared."""
        return (self._bar.tasks[0].elapsed or 0.0) if self._bar is not None else 0.0

    @property
    def per_sec(self) -> float:
        """Recent speed, in what the bar counts; 0 where it is not known yet."""
        return (self._bar.tasks[0].speed or 0.0) if self._bar is not None else 0.0

    def __call__(self, count: int = 1) -> None:
        """Move on, by one or by several."""
        if self._bar is not None:
            self._bar.advance(self._bar.tasks[0].id, count)

    def show(
        self,
        numbers: str | None = None,
        *,
        title: str | None = None,
        completed: int | None = None,
        total: int | None = None,
    ) -> None:
        """Change what is written beside the bar, how far it is or how far it goes; None leaves a thing alone."""
        if self._bar is not None:
            fields = {"title": title, "numbers": numbers}
            given: dict[str, Any] = {name: text for name, text in fields.items() if text is not None}
            self._bar.update(self._bar.tasks[0].id, completed=completed, total=total, **given)


@contextmanager
def progress_bar(
    total: int,
    title: str,
    *,
    shown: bool = True,
    counts: bool = True,
    width: int | None = 40,
    completed: int = 0,
    speed_sec: float = 30.0,
) -> Iterator[ProgressBar]:
    """Show a bar with the time left inside the block, where standard error is a terminal.

    Args:
        total: How far it goes.
        title: What is done, before the bar.
        shown: Draw nothing when False.
        counts: Write ``done/total`` behind the bar.
        width: Columns of the bar itself; None leaves it out, for narrow terminals.
        completed: Where it begins.
        speed_sec: Seconds whose speed decides about the time left.
    """
    if not shown:
        yield ProgressBar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    console = Console(stderr=True)
    columns: list[ProgressColumn] = [TextColumn("{task.fields[title]}")]
    columns += [BarColumn(bar_width=width)] if width is not None else []
    columns += [MofNCompleteColumn()] if counts else []
    columns += [TextColumn("{task.fields[numbers]}"), TextColumn("left"), TimeRemainingColumn()]
    is_off = not console.is_terminal
    with RichProgress(
        *columns, console=console, transient=True, disable=is_off, speed_estimate_period=speed_sec
    ) as bar:
        bar.add_task(title, total=total, completed=completed, title=title, numbers="")
        yield ProgressBar(bar)
