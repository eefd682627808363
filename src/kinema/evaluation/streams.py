"""Fusing streams, such as RGB and flow, over one or several official splits at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from kinema.errors import UserError
from kinema.evaluation.fusion import combine, fuse_tables, line_up, normalised_weights
from kinema.evaluation.score_files import score_paths, stream_names
from kinema.evaluation.scores import ScoreTable
from kinema.evaluation.splits import check_splits, match_splits, split_name
from kinema.evaluation.summary import average_over_splits
from kinema.evaluation.sweep import RightCount, Sweep, count_right, sweep

Stream = ScoreTable | str | Path | Sequence[ScoreTable] | Sequence[str | Path]
"""The scores of one model: a table, a file, a folder of files, or one of these for each split."""


@dataclass(frozen=True, eq=False)
class Fusion:
    """Streams and their fusion, split by split.

    Attributes:
        names: Of the streams.
        weights: Of the streams, as given; ones where none were.
        splits: For each split the streams' tables, with the same videos and classes in the same order.
        fused: The fusion of each split.
        split_names: What to call the splits.
        notes: What to know about the mean over several splits: sentences, none where all is well.
    """

    names: list[str]
    weights: list[float]
    splits: list[list[ScoreTable]]
    fused: list[ScoreTable]
    split_names: list[str]
    notes: list[str]

    @property
    def is_labelled(self) -> bool:
        """Whether there are accuracies at all."""
        return all(table.num_labelled for table in self.fused)

    @property
    def averaged(self) -> str:
        """The kind that was averaged and what it was made of, such as ``"z-scores of logits and margins"``."""
        kind = self.fused[0].kind
        saved = dict.fromkeys(table.meta["saved_kind"] for table in self.splits[0])
        if list(saved) == [kind]:
            return kind
        if kind == "probabilities":
            return "probabilities (logits through a softmax)"
        return f"{kind} of {' and '.join(saved)}"

    def stream(self, index: int) -> list[ScoreTable]:
        """The tables of one stream, split by split."""
        return [tables[index] for tables in self.splits]

    def accuracies(self) -> dict[str, float]:
        """The fusion's accuracies, 0 to 1, averaged over the splits; see ``kinema.evaluation.summary.summary``."""
        return average_over_splits(self.fused)

    def count_right(self) -> list[RightCount]:
        """Count the labelled videos by the streams that get them right, and how many of each the fusion does."""
        return count_right(self.splits, self.fused, self.names)

    def sweep(self) -> Sweep:
        """Accuracies at every hundredth of the weight between two streams.

        Raises:
            UserError: There are not two streams, or no labels.
        """
        return sweep(self.splits, normalised_weights(self.weights, len(self.names))[1])

    def files_in(self, out: str | Path) -> list[Path]:
        """Where ``save`` writes: ``out`` itself for one split, else a file in it for each, named after it.

        Raises:
            UserError: There are several splits, and ``out`` is no folder.
        """
        out = Path(out)
        if len(self.split_names) == 1:
            return [out]
        if out.suffix == ".npz" or out.is_file():
            raise UserError(f"--out must be a folder for {len(self.split_names)} splits; given {out}.")
        names = [re.sub(r"[^\w.-]+", "-", name).strip("-") for name in self.split_names]
        is_clear = len(set(names)) == len(names)
        return [
            out / f"{name if is_clear else f'{name}-{number}'}-fused.npz" for number, name in enumerate(names, start=1)
        ]

    def save(self, out: str | Path) -> list[Path]:
        """Write the fused scores; see ``files_in``. Returns the files."""
        return [table.save(path) for table, path in zip(self.fused, self.files_in(out), strict=True)]


@overload
def fuse(streams: Sequence[ScoreTable], weights: Sequence[float] = (), *, average: str = "") -> ScoreTable: ...
@overload
def fuse(
    streams: Sequence[Stream],
    weights: Sequence[float] = (),
    *,
    names: Sequence[str] = (),
    average: str = "",
    allow_different: bool = False,
) -> Fusion: ...
def fuse(
    streams: Sequence[Stream],
    weights: Sequence[float] = (),
    *,
    names: Sequence[str] = (),
    average: str = "",
    allow_different: bool = False,
) -> ScoreTable | Fusion:
    """Fuse the scores of streams, such as RGB and flow, on one or on each of several official splits.

    A table for each stream gives their weighted average, a table. Files, folders, or a list of tables for each stream
    give what ``kinema fuse`` prints: splits are matched by their videos, each is fused by itself, and accuracies are
    averaged.

    The weights are divided by their sum, which changes no accuracy. Videos and classes may be in another order in each
    table. Two-stream networks are fused like this: "Two-Stream Convolutional Networks for Action Recognition in Videos"
    (arXiv 1406.2199, section 2) averages probabilities; "Towards Good Practices for Very Deep Two-Stream ConvNets"
    (arXiv 1507.02159, section 4) gives flow the weight 2 and RGB 1.

    Args:
        streams: Two or more: score tables, files that ``kinema evaluate`` saved, or folders of them; for several splits
            a folder or a sequence for each stream, in any order.
        weights: One number of at least 0 for each stream; equal ones by default.
        names: What to call the streams; their files', folders' or models' names by default.
        average: ``"logits"``, ``"probabilities"`` (a softmax turns logits into them) or ``"z-scores"`` (any kind, each
            table divided by its spread); by default the one kind that all hold.
        allow_different: Accept splits that other models or protocols scored.

    Returns:
        Of tables a table, in the order of the first one; clips are not judged, and ``meta["fused"]`` says what went in.
        Otherwise the streams lined up, their fusion for each split, and what there is to say about it.

    Raises:
        UserError: Streams, splits, weights or names do not fit together; the message says which.
    """
    tables = [stream for stream in streams if isinstance(stream, ScoreTable)]
    if len(tables) == len(streams) and not names and not allow_different:
        return fuse_tables(tables, weights, average=average)
    _check_counts(weights, names, len(streams))
    fractions = normalised_weights(weights, len(streams))
    of_streams = [_tables(stream) for stream in streams]
    called = list(names) or _names(streams, of_streams)
    splits = _line_up(match_splits(of_streams, called), average)
    fused = [combine(lined, fractions) for lined in splits]
    notes = check_splits(fused, allow_different=allow_different) if len(fused) > 1 else []
    split_names = [split_name(table, f"split {number}") for number, table in enumerate(fused, start=1)]
    return Fusion(called, list(weights) or [1.0] * len(streams), splits, fused, split_names, notes)


def _check_counts(weights: Sequence[float], names: Sequence[str], num_streams: int) -> None:
    """Refuse before any file is read what cannot be fused."""
    if num_streams < 2:
        raise UserError(
            f"fusion needs at least two score tables, {num_streams} given; the accuracies of one are printed by: "
            "kinema scores show FILE (and those of splits with their mean by: kinema scores average FILE FILE ...)."
        )
    if len(weights) not in (0, num_streams):
        raise UserError(
            f"{num_streams} streams need as many weights, {len(weights)} given; a stream's files for several splits "
            "are joined by commas or lie in one folder."
        )
    if names and (len(names) != num_streams or len(set(names)) != num_streams):
        raise UserError(f"--names takes {num_streams} different names, one for each stream; given {', '.join(names)}.")


def _tables(stream: Stream) -> list[ScoreTable]:
    """The tables of a stream, one for each split, read where they are files."""
    if isinstance(stream, ScoreTable):
        return [stream]
    if isinstance(stream, str | Path):
        return [ScoreTable.load(path) for path in score_paths(stream)]
    return [one if isinstance(one, ScoreTable) else ScoreTable.load(one) for one in stream]


def _names(streams: Sequence[Stream], tables: Sequence[Sequence[ScoreTable]]) -> list[str]:
    """Names of files where all streams are files, else of models where these differ, else numbers."""
    files: list[str | Path | list[str | Path]] = []
    for stream in streams:
        if isinstance(stream, str | Path):
            files.append(stream)
        elif not isinstance(stream, ScoreTable):
            files.append([one for one in stream if not isinstance(one, ScoreTable)])
    if len(files) == len(streams) and all(files):
        return stream_names(files)
    models = [str(found[0].meta.get("model") or "") for found in tables]
    if all(models) and len(set(models)) == len(models):
        return models
    return [f"stream {number}" for number in range(1, len(streams) + 1)]


def _line_up(matched: Sequence[Sequence[ScoreTable]], average: str) -> list[list[ScoreTable]]:
    """Line up the streams of each split; an error says in which."""
    splits: list[list[ScoreTable]] = []
    for number, tables in enumerate(matched, start=1):
        try:
            splits.append(line_up(tables, average=average))
        except UserError as error:
            split = f"{split_name(tables[0], f'split {number}')}: " if len(matched) > 1 else ""
            raise UserError(f"{split}{error}") from None
    return splits
