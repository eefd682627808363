"""Error types and helpers that write good messages: what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

FEW_NAMES = 8
"""Up to this many names are listed in full, even when one is a near match."""


class UserError(ValueError):
    """A mistake in what the user gave. The command line prints its message alone, without a traceback.

    Attributes:
        by_all: Whether every process of a job raises it, so that it is enough when the first one says so.
    """

    by_all = False


class VideoError(UserError):
    """A video that cannot be read: missing, empty, truncated, without a picture, or not a video at all."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str]]:
        """Pickle with both arguments, so that the error survives the way out of a worker process."""
        return type(self), (self.path, self.reason)


class StorageError(VideoError):
    """Remote storage that does not answer at all, so that its other videos need not be tried."""


class CheckpointError(UserError):
    """A checkpoint that cannot be used: truncated, unsafe to load, or made for something else."""


class MissingExtraError(UserError, ImportError):
    """An optional package is absent; the message names the extra that installs it."""


def nearest(given: str, allowed: Iterable[str], count: int = 3) -> list[str]:
    """Names of ``allowed`` that look like ``given``, best first."""
    return difflib.get_close_matches(given, list(allowed), n=count, cutoff=0.5)


def unknown_name(kind: str, given: str, allowed: Iterable[str], hint: str = "") -> UserError:
    """Build the error for a name that is not in a table.

    Args:
        kind: What the name stands for, such as ``"backbone"``.
        given: The name as the user wrote it.
        allowed: Every name that would do.
        hint: A sentence to add at the end, such as the command that lists the names.
    """
    names = list(allowed)
    close = nearest(given, names)
    if close:
        advice = f"did you mean {' or '.join(close)}?"
        if len(close) < len(names) <= FEW_NAMES:
            advice += f" Allowed: {', '.join(names)}."
    elif len(names) <= 40:
        advice = f"allowed: {', '.join(names) if names else 'none'}."
    else:
        advice = f"{len(names)} names are known."
    return UserError(f"unknown {kind} {given!r}; {advice}{' ' + hint if hint else ''}")


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """Build the error for an optional package that is not installed or does not load."""
    return MissingExtraError(f"{purpose} needs the package {package}; install it with: pip install 'kinema[{extra}]'")


def one_of(kind: str, given: str, allowed: Iterable[str]) -> str:
    """Return ``given`` if it is allowed, else raise the error that names the choices."""
    names = list(allowed)
    if given not in names:
        raise unknown_name(kind, given, names)
    return given
