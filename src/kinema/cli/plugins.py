"""``--plugin FILE.py``: a file of the user that registers modules and backbones before a verb runs."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from kinema.errors import UserError

OPTION = "--plugin"


def without_plugins(words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Take the plugins out of a command line; they may stand anywhere in it, for every verb.

    Returns:
        The other words, and the files.

    Raises:
        UserError: The last word is the option, without a file.
    """
    others: list[str] = []
    files: list[Path] = []
    rest = iter(words)
    for word in rest:
        if word == OPTION:
            file = next(rest, None)
            if file is None:
                raise UserError(f"{OPTION} needs the path of a Python file")
            files.append(Path(file))
        elif word.startswith(f"{OPTION}="):
            files.append(Path(word.partition("=")[2]))
        else:
            others.append(word)
    return others, files


def load_plugin(path: Path) -> None:
    """Import a Python file, which is run, by its own name; so processes that are started later can import it as well.

    Raises:
        UserError: There is no such file, or another module has its name.
    """
    if not path.is_file() or path.suffix != ".py":
        raise UserError(f"{path}: no such Python file to load with {OPTION}")
    path, name = path.resolve(), path.stem
    if not name.isidentifier():
        raise UserError(f"{path}: a module cannot be called {name!r}; rename the file, such as my_modules.py")
    found = importlib.util.find_spec(name)
    if found is not None and (found.origin is None or Path(found.origin).resolve() != path):
        raise UserError(f"{path}: Python has another module {name!r} ({found.origin}); rename the file")
    if found is None:
        sys.path.append(str(path.parent))
        importlib.invalidate_caches()
    importlib.import_module(name)
