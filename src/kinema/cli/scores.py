"""``kinema scores show | average | import``: look at saved scores, average them over splits, bring others in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from kinema.cli.confusion import check_confusion, save_confusion
from kinema.errors import UserError
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.evaluation.scores import ScoreTable


def show_scores(
    scores: Positional[tuple[str, ...]],
    *,
    classes: bool = False,
    confusion: Path | None = None,
    json: bool = False,
) -> None:
    """Print the accuracies of saved scores again, side by side.

    Args:
        scores: Files that "kinema evaluate" or "kinema fuse" saved, or folders of them.
        classes: Print the accuracy of each class too.
        confusion: Draw which classes are taken for which, as .png, or count it, as .csv.
        json: Print JSON instead of tables.
    """
    check_confusion(confusion)
    tables, names = _print(scores, is_average=False, allow_different=False, classes=classes, json=json)
    if confusion is not None:
        print(f"confusion: {save_confusion(tables, names, confusion)}", file=sys.stderr)


def average(
    scores: Positional[tuple[str, ...]],
    *,
    allow_different: bool = False,
    classes: bool = False,
    json: bool = False,
) -> None:
    """Average accuracies over the official splits of a data set, as papers report them.

    Args:
        scores: A file of scores for each split, or the folder that holds them.
        allow_different: Accept splits that other models or protocols scored.
        classes: Print the accuracy of each class too.
        json: Print JSON instead of tables.
    """
    _print(scores, is_average=True, allow_different=allow_different, classes=classes, json=json)


def import_scores(
    file: Positional[Path],
    *,
    kind: Annotated[
        Literal["logits", "probabilities", "margins"],
        tyro.conf.arg(
            help="What the numbers are: logits (their softmax is a probability), probabilities, or margins (of SVMs or "
            "anything else on a scale of its own).",
            help_behavior_hint="(required)",
        ),
    ],
    out: Annotated[
        Path,
        tyro.conf.arg(aliases=("-o",), metavar="PATH", help="The .npz file to write.", help_behavior_hint="(required)"),
    ],
    classes: Path | None = None,
    data: Path | None = None,
    split: Literal["train", "val", "test", "all"] = "test",
    model: str = "",
) -> None:
    """Bring in scores that another program made, so that they can be judged and fused.

    A CSV has the columns video_id, one for each class under its name, and optionally label. An .npz has the arrays
    scores (videos x classes), video_id (or ids or names) and optionally labels and classes.

    Args:
        file: The .csv or .npz.
        kind: What the numbers are.
        out: The .npz file to write.
        classes: Names in the order of the columns, where an .npz does not hold them: a classes.csv, UCF101's
            classInd.txt, or a text file with one a line.
        data: Keep the videos and classes of this manifest and take its labels.
        split: Which of the manifest's videos.
        model: What to call the method; the name of the file when not given.
    """
    from kinema.data.manifest import Manifest
    from kinema.evaluation.foreign import read_scores, restrict

    if out.suffix != ".npz":
        raise UserError(f"scores are saved as .npz; name it {out.with_suffix('.npz').name}.")
    table = read_scores(file, kind, classes=_class_names(classes) if classes else (), model=model)
    kept = table
    if data is not None:
        manifest = Manifest.open(data)
        chosen = manifest if split == "all" else manifest.select(split)
        kept = restrict(table, chosen)
        print(
            f"kept {len(kept)} of {counted(len(table), 'video')} and {len(kept.classes)} of "
            f"{counted(len(table.classes), 'class', 'classes')}",
            file=sys.stderr,
        )
    print(f"{kept.save(out)}: {kept}")


def _print(
    words: Sequence[str], *, is_average: bool, allow_different: bool, classes: bool, json: bool
) -> tuple[list[ScoreTable], list[str]]:
    """Print tables; gives them and their names."""
    from kinema.cli.fuse import stream_of
    from kinema.cli.score_tables import print_classes, print_json, print_tables
    from kinema.evaluation.score_files import score_paths, stream_names
    from kinema.evaluation.scores import ScoreTable
    from kinema.evaluation.splits import check_splits, split_name

    paths = [path for word in words for path in score_paths(stream_of(word))]
    tables = [ScoreTable.load(path) for path in paths]
    notes: list[str] = []
    if is_average:
        if len(tables) < 2:
            raise UserError(f"an average needs the scores of at least two splits; {len(tables)} given.")
        notes = check_splits(tables, allow_different=allow_different)
    names = stream_names(paths)
    if is_average:
        names = [split_name(table, name) for table, name in zip(tables, names, strict=True)]
    if json:
        print_json(tables, with_classes=classes)
    else:
        origins = [_origin(table) for table in tables]
        is_alike = len(set(origins)) == 1
        rows = names if is_alike else [f"{name}\n{origin}" for name, origin in zip(names, origins, strict=True)]
        title = origins[0] if is_alike else f"{len(tables)} files of scores"
        print_tables(tables, rows, title=title, average=is_average)
        for table, name in zip(tables, names, strict=True):
            if classes and table.num_labelled:
                print_classes(table, title=name)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return tables, names


def _origin(table: ScoreTable) -> str:
    """What was scored how, in a few words."""
    model, protocol = (str(table.meta.get(key, f"unknown {key}")) for key in ("model", "protocol"))
    return f"{model}, {protocol}{', reversed' if table.meta.get('reverse') else ''}, {table.kind}"


def _class_names(path: Path) -> list[str]:
    """Names of classes, also from lists that number them from 1."""
    from kinema.weights.importing.class_names import read_class_names

    names = read_class_names(path)
    parts = [name.split(maxsplit=1) for name in names]
    if all(len(part) == 2 and part[0] == str(number) for number, part in enumerate(parts, start=1)):
        return [part[1] for part in parts]
    return names
