"""Score files as they are named on the command line: one stream an argument, one or several splits in it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import UserError

if TYPE_CHECKING:
    from kinema.evaluation.scores import ScoreTable


_CHECKPOINTS = ("best", "last", "epoch")


def stream_paths(word: str) -> list[Path]:
    """The score files that one argument names: a file, several joined by commas, or those in a folder.

    Raises:
        UserError: A folder holds no score files, or a name between the commas is empty.
    """
    if Path(word).is_file():  # also a file with a comma in its name
        return [Path(word)]
    if Path(word).is_dir():
        found = sorted(Path(word).glob("*.npz"))
        if not found:
            raise UserError(f"{word}: the folder holds no score files (.npz).")
        return found
    parts = [part.strip() for part in word.split(",")]
    if not all(parts):
        raise UserError(f"{word!r} names no file between two commas or at an end.")
    return [Path(part) for part in parts]


def load_streams(words: Sequence[str]) -> list[list[ScoreTable]]:
    """Load the tables of every stream."""
    from kinema.evaluation.scores import ScoreTable

    return [[ScoreTable.load(path) for path in stream_paths(word)] for word in words]


def stream_names(words: Sequence[str]) -> list[str]:
    """Short names that tell streams apart: of the files, else of the folders they lie in, else both.

    A file that "kinema evaluate" named after its checkpoint goes by the name of its run, the folder.
    """
    paths = [stream_paths(word) for word in words]
    folders = [found[0].resolve().parent.name for found in paths]
    own = [
        Path(word).resolve().name if Path(word).is_dir() else _shared_stem(found)
        for word, found in zip(words, paths, strict=True)
    ]
    for names in (
        [folder if name.startswith(_CHECKPOINTS) else name for name, folder in zip(own, folders, strict=True)],
        own,
        folders,
        [f"{folder}/{found[0].stem}" for folder, found in zip(folders, paths, strict=True)],
        [str(found[0]) for found in paths],
    ):
        if all(names) and len(set(names)) == len(names):
            return names
    return [f"{place} {found[0].stem}" for place, found in enumerate(paths, start=1)]


def _shared_stem(paths: Sequence[Path]) -> str:
    """The name of a file; of several, what their names begin with, "split" and what leads to it left out."""
    if len(paths) == 1:
        return paths[0].stem
    alike = zip(*(path.stem for path in paths), strict=False)
    start = "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, alike))
    return start.rstrip("-_. ").removesuffix("split").rstrip("-_. ")
