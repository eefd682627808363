"""``kinema analyze difference``: is one model better than another, or is it chance."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from kinema.errors import UserError
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.study.difference import Difference, Hits


def difference(
    models: Positional[tuple[str, ...]],
    *,
    data: Path | None = None,
    against: str = "",
    confidence: float = 95.0,
    allow_different: bool = False,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Test whether models differ by more than chance on the same videos.

    Prints each model's top-1 accuracy with its spread over seeds, and for each pair the difference, its interval by the
    bootstrap, and its p-value, corrected for the number of pairs (Holm). With --data, whole groups (the same actor,
    scene or recording) are resampled, since their videos are not independent.

    Args:
        models: Two or more files that "kinema evaluate" saved. NAME=FILE gives a model a name, NAME=FILE,FILE,... one
            with several seeds, whose accuracies are averaged.
        data: Manifest CSV of the videos; its groups are kept whole.
        against: Name of the model that all others are compared with; all pairs when not given.
        confidence: Of the intervals, in percent.
        allow_different: Accept results of other protocols, splits or manifests.
        plot: Draw the differences, as .png, .svg or .pdf.
        json: Print JSON instead of tables.
    """
    if plot is not None and plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UserError(f"--plot is {plot}; its name must end in .png, .svg or .pdf")
    if not 0 < confidence < 100:
        raise UserError(f"--confidence is in percent, above 0 and below 100; given {confidence:g}")
    from kinema.evaluation.scores import ScoreTable
    from kinema.study.difference import differences, hits, require_same_test

    tables = {name: [ScoreTable.load(path) for path in paths] for name, paths in parse_models(models).items()}
    if not allow_different:
        require_same_test(tables)
    judged = [hits(name, own) for name, own in tables.items()]
    groups = None if data is None else _groups(data, judged[0])
    rows = differences(judged, groups=groups, against=against, confidence=confidence / 100)
    if json:
        _print_json(judged, rows)
    else:
        _print(judged, rows, confidence)
    if plot is not None:
        from kinema.report.study_plots import plot_differences

        meta = next(iter(tables.values()))[0].meta
        title = ", ".join(str(meta[key]) for key in ("data", "split", "protocol") if meta.get(key))
        saved = plot_differences(rows, plot, confidence=confidence / 100, title=title)
        print(f"plot: {saved}", file=sys.stderr)


def parse_models(words: Sequence[str]) -> dict[str, list[Path]]:
    """Read ``FILE``, ``NAME=FILE`` and ``NAME=FILE,FILE`` into names and files.

    Raises:
        UserError: A name is empty or there twice, or a file is missing.
    """
    from kinema.evaluation.score_files import stream_names

    files: list[list[Path]] = []
    given: list[str] = []
    for word in words:
        name, equals, rest = ("", "", word) if Path(word).exists() else word.partition("=")
        if not equals and not Path(word).exists():
            raise UserError(f"{word}: there is no such file; give FILE, NAME=FILE or NAME=FILE,FILE,...")
        if equals and not name:
            raise UserError(f"{word}: the name before = is empty")
        paths = [Path(part) for part in rest.split(",")] if equals else [Path(word)]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise UserError(f"{word}: there is no file {missing[0]!r}; give FILE, NAME=FILE or NAME=FILE,FILE,...")
        files.append(paths)
        given.append(name)
    automatic = iter(stream_names([paths for name, paths in zip(given, files, strict=True) if not name]))
    names = [name or next(automatic) for name in given]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"two models are called {twice[0]}; seeds of one model go together: {twice[0]}=FILE,FILE")
    return dict(zip(names, files, strict=True))


def _groups(data: Path, first: Hits) -> dict[str, str]:
    from kinema.data.manifest import Manifest

    manifest = Manifest.open(data)
    groups = dict(zip(manifest.video_ids, manifest.groups, strict=True))
    missing = [video for video in first.ids.tolist() if video not in groups]
    if missing:
        raise UserError(
            f"{data} lacks {counted(len(missing), 'video')} of the scores, such as {missing[0]}; "
            "give the manifest that was evaluated"
        )
    if not any(groups[video] for video in first.ids.tolist()):
        print(f"{data} has no groups; videos are taken to be independent.", file=sys.stderr)
    return groups


def _print(models: Sequence[Hits], rows: Sequence[Difference], confidence: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from kinema.report.study_plots import format_p

    console = Console()
    first = rows[0]
    units = "groups" if first.num_units < first.num_videos else "videos"
    shown = Table(title=f"top-1 of {counted(first.num_videos, 'video')}, %")
    shown.add_column("model", overflow="fold")
    for heading in ("seeds", "top-1", "deviation over seeds"):
        shown.add_column(heading, justify="right")
    for model in models:
        values = 100 * model.accuracies
        spread = f"{values.std(ddof=1):.1f}" if len(values) > 1 else "-"
        shown.add_row(model.name, str(len(values)), f"{values.mean():.1f}", spread)
    console.print(shown)
    shown = Table(title="differences in percentage points")
    shown.add_column("pair", overflow="fold")
    headings = ["differ-\nence", f"{confidence:g} %\ninterval", "only one\nis right", "p"]
    for heading in (*headings, *["p\n(Holm)"] * (len(rows) > 1)):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        low, high = row.interval
        shown.add_row(
            f"{row.first} - {row.second}",
            f"{100 * row.difference:+.1f}",
            f"{100 * low:+.1f} {100 * high:+.1f}",
            f"{row.only_first:g} : {row.only_second:g}",
            format_p(row.p_value),
            *[format_p(row.p_adjusted)] * (len(rows) > 1),
        )
    console.print(shown)
    how = {
        "exact McNemar": "p by the exact McNemar test",
        "sign flips": "p by flipping the signs of their gains at random",
    }[first.test]
    print(f"intervals by resampling {first.num_units} {units}; {how}", file=sys.stderr)


def _print_json(models: Sequence[Hits], rows: Sequence[Difference]) -> None:
    import dataclasses
    import json

    shown: dict[str, Any] = {
        "models": [{"name": model.name, "top1": model.accuracies.tolist()} for model in models],
        "differences": [dataclasses.asdict(row) for row in rows],
    }
    print(json.dumps(shown))
