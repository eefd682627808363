"""Files of saved scores: those of one stream, and short names that tell streams apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from kinema.errors import UserError

_CHECKPOINTS = ("best", "last", "epoch")


def score_paths(files: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the score files of one stream: a file, several for its splits, or those in a folder.

    Raises:
        UserError: A folder holds no score files.
    """
    if not isinstance(files, str | Path):
        return [Path(path) for path in files]
    if not Path(files).is_dir():
        return [Path(files)]
    found = sorted(Path(files).glob("*.npz"))
    if not found:
        raise UserError(f"{files}: the folder holds no score files (.npz).")
    return found


def stream_names(streams: Sequence[str | Path | Sequence[str | Path]]) -> list[str]:
    """Short names that tell streams apart: of the files, else of the folders they lie in, else both.

    A file that "kinema evaluate" named after its checkpoint goes by the name of its run, the folder.
    """
    paths = [score_paths(files) for files in streams]
    folders = [found[0].resolve().parent.name for found in paths]
    own = [_own_name(files, found) for files, found in zip(streams, paths, strict=True)]
    for names in (
        [folder if name.startswith(_CHECKPOINTS) else name for name, folder in zip(own, folders, strict=True)],
        own,
        folders,
        [f"{folder}/{found[0].stem}" for folder, found in zip(folders, paths, strict=True)],
        [str(found[0]) for found in paths],
    ):
        if all(names) and len(set(names)) == len(names):
            return names
    return [f"{number} {found[0].stem}" for number, found in enumerate(paths, start=1)]


def _own_name(files: str | Path | Sequence[str | Path], paths: Sequence[Path]) -> str:
    """The name of a folder or file; of several, what their names begin with, without "split" and what leads to it."""
    if isinstance(files, str | Path) and Path(files).is_dir():
        return Path(files).resolve().name
    if len(paths) == 1:
        return paths[0].stem
    alike = zip(*(path.stem for path in paths), strict=False)
    start = "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, alike))
    return start.rstrip("-_. ").removesuffix("split").rstrip("-_. ")
