"""How the videos of a piece of work are read."""

from __future__ import annotations

from dataclasses import dataclass

from kinema.errors import UserError, one_of
from kinema.specs.data import BACKENDS

NUM_WORKERS = 2
"""Processes that decode, by default."""


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How videos are decoded and put into batches.

    Attributes:
        num_workers: Processes that decode, for each process with a network; 0 decodes in that process.
        backend: Decoder: ``auto``, ``pyav``, ``torchcodec`` or ``frames``.
        skip_bad: Leave out videos that cannot be read; otherwise they are an error, after all others were tried.
        batch_views: Views in a batch; None fits it to the memory.

    Raises:
        UserError: A value is not allowed.
    """

    num_workers: int = NUM_WORKERS
    backend: str = "auto"
    skip_bad: bool = False
    batch_views: int | None = None

    def __post_init__(self) -> None:
        one_of("backend", self.backend, BACKENDS)
        if self.num_workers < 0:
            raise UserError(f"num_workers is {self.num_workers}; it must be 0 or more")
        if self.batch_views is not None and self.batch_views < 1:
            raise UserError(f"batch_views is {self.batch_views}; it must be at least 1.")
