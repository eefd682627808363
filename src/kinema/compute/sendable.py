"""Whether something can be sent to the processes that a run starts; said before they are started."""

from __future__ import annotations

import pickle
import sys
from types import FunctionType
from typing import Any

from kinema.errors import UserError


def require_sendable(what: str, value: object) -> None:
    """Refuse what a started process could not rebuild: it imports classes and functions by module and name.

    Args:
        what: What it is, for the message.
        value: The object.

    Raises:
        UserError: It, or something inside it, has no name that can be imported.
    """
    try:
        _Trial(_Nowhere()).dump(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(
            f"{what} cannot be sent to several processes: {error}. Define its classes and functions at the top level "
            "of a file; or take one device; or start the processes with torchrun, where each runs your script itself"
        ) from error


class _Nowhere:
    """A file that keeps nothing, so that a large network is not copied for the trial."""

    def write(self, data: Any) -> int:
        return len(data)


class _Trial(pickle.Pickler):
    """Pickles as usual, but refuses what was typed into an interactive session, which no other process sees."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type | FunctionType) and value.__module__ == "__main__":
            main = sys.modules["__main__"]
            if getattr(main, "__file__", None) is None and getattr(main, "__spec__", None) is None:
                raise pickle.PicklingError(f"{value.__qualname__} is defined in an interactive session")
        return NotImplemented
