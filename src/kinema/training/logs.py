"""The numbers of a run on disk: ``metrics.csv`` and TensorBoard events."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path
from typing import Any

from kinema.errors import UserError
from kinema.files import whole_file
from kinema.training.directory import METRICS


class Logs:
    """Writes one row per epoch; a resumed run replaces what came after the point it resumes from.

    Args:
        folder: Run directory.
        num_epochs: Epochs that are already done.
    """

    def __init__(self, folder: Path, *, num_epochs: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # here, for only the main process of a run needs it

        self._csv = folder / METRICS
        self._events = SummaryWriter(str(folder), purge_step=num_epochs + 1 if num_epochs else None)

    def write(self, history: list[dict[str, Any]]) -> None:
        """Write all rows to the CSV (in one step, so that a reader never sees half a file) and the newest as events.

        Raises:
            UserError: They cannot be written, as on a full disk.
        """
        try:
            self._write(history)
        except OSError as error:
            folder = self._csv.parent
            raise UserError(
                f"the numbers of epoch {history[-1]['epoch']} could not be written to {folder} "
                f"({error.strerror or error}); make room and continue with: kinema train --resume {folder}"
            ) from error

    def _write(self, history: list[dict[str, Any]]) -> None:
        names = list(dict.fromkeys(name for row in history for name in row))
        with whole_file(self._csv) as part, part.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, names, restval="", lineterminator="\n")
            table.writeheader()
            table.writerows({name: _rounded(value) for name, value in row.items()} for row in history)
        for name, value in history[-1].items():
            if name != "epoch":
                self._events.add_scalar(name.replace("_", "/", 1), value, history[-1]["epoch"])
        self._events.flush()

    def close(self) -> None:
        """Finish the event file; on a full disk it stays as it is."""
        with suppress(OSError):
            self._events.close()


def _rounded(value: object) -> object:
    return f"{value:.8g}" if isinstance(value, float) else value
