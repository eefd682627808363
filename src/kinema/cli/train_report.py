"""What ``kinema train`` prints at its end: what was reached, beside the paper, and what to type next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.wording import SCORE_NAMES

if TYPE_CHECKING:
    from rich.table import Table

    from kinema.specs.recipe import Recipe
    from kinema.training.run import TrainResult
    from kinema.training.run_series import SeriesResult


def report(result: TrainResult | SeriesResult) -> None:
    """Print the end of a run or of a series."""
    from kinema.training.run import TrainResult

    if isinstance(result, TrainResult):
        _report_run(result)
    else:
        _report_series(result)


def _report_run(result: TrainResult) -> None:
    best = result.best
    print(f"best epoch {best['epoch']} of {len(result.history)}:")
    own = _validation(result)
    if result.recipe.own_scores:
        _print(beside_paper(own, result.recipe, heading="validation"))
    else:
        for name, value in own.items():
            print(f"  validation {SCORE_NAMES[name]}: {_percent(value)} %")
    _say_if_paper_is_silent([result.recipe])
    _print_next(result.path, result.recipe)


def _report_series(result: SeriesResult) -> None:
    """Print the runs; for official splits their test scores and the mean beside the paper's."""
    recipe = result.runs[-1].recipe
    if any(_validation(run) for run in result.runs) or not result.tables:
        _print(_runs_table(result, with_paper=not result.tables))
    if result.tables:
        from kinema.cli.score_tables import print_tables
        from kinema.evaluation.summary import average_over_splits

        title = f"{recipe.model}, test videos, protocol {recipe.protocol}"
        print_tables(result.tables, result.names, title=title, average=True)
        if recipe.own_scores:
            own = {name: value for name, value in average_over_splits(result.tables).items() if name in SCORE_NAMES}
            _print(beside_paper(own, recipe, heading=f"average of\n{len(result.tables)} splits"))
        print(f"scores: {', '.join(f'{result.path / name}/test-{recipe.protocol}.npz' for name in result.names)}")
    _say_if_paper_is_silent([run.recipe for run in result.runs])
    _print_next(result.runs[-1].path, recipe)


def _say_if_paper_is_silent(recipes: Sequence[Recipe]) -> None:
    """Tell whoever looks for the paper's numbers that it has none of this network."""
    recipe = recipes[-1]
    if recipe.paper_scores and not any(one.own_scores for one in recipes):
        print(f"  the paper has no score of {recipe.model} ({recipe.citation})")


def beside_paper(own: Mapping[str, float], recipe: Recipe, *, heading: str) -> Table:
    """Make a table of a run's accuracies (0 to 1, by the names of ``SCORE_NAMES``) and the paper's, by metric.

    A score whose name says no metric is taken for a top-1.
    """
    from rich.table import Table

    from kinema.recipes.overview import score_text

    table = Table(title=recipe.model, caption=recipe.citation or None, title_justify="left", caption_justify="left")
    table.add_column("%")
    table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("the paper", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for metric, shown in SCORE_NAMES.items():
        theirs = [(score_text(score), name) for name, score in recipe.own_scores.items() if _metric(name) == metric]
        first, *more = theirs or [("", "")]
        if metric in own or theirs:
            table.add_row(shown, _percent(own[metric]) if metric in own else "-", *first)
        for score, name in more:
            table.add_row("", "", score, name)
    return table


def _runs_table(result: SeriesResult, *, with_paper: bool) -> Table:
    from rich.table import Table

    from kinema.recipes.overview import score_text

    scores = {run.path: _validation(run) for run in result.runs}
    shown_metrics = [metric for metric in SCORE_NAMES if any(metric in own for own in scores.values())]
    with_paper = with_paper and any(run.recipe.own_scores for run in result.runs)
    shown_best = ", validation of the best epoch" if shown_metrics else ""
    table = Table(title=f"Runs in {result.path}{shown_best}", title_justify="left")
    table.add_column("run", overflow="fold")
    for heading in ("best\nepoch", *(SCORE_NAMES[metric].replace(" ", "\n") for metric in shown_metrics)):
        table.add_column(heading, justify="right", no_wrap=True)
    if with_paper:
        table.add_column("the paper", overflow="fold")
        table.caption = result.runs[-1].recipe.citation or None
    for run in result.runs:
        own = scores[run.path]
        cells = [_percent(own[metric]) if metric in own else "-" for metric in shown_metrics]
        theirs = "\n".join(f"{score_text(score)} {name}" for name, score in run.recipe.own_scores.items())
        epochs = f"{run.best['epoch']}/{len(run.history)}"
        table.add_row(str(run.path.relative_to(result.path)), epochs, *cells, *([theirs] if with_paper else []))
    return table


def _validation(result: TrainResult) -> dict[str, float]:
    """The accuracies of the best epoch that say something; with five classes or fewer the top-5 is always 100 %."""
    from kinema.data.classes_file import CLASSES_FILE, read_classes
    from kinema.evaluation.summary import FEW_CLASSES

    classes = read_classes(result.path / CLASSES_FILE)
    best: Mapping[str, Any] = result.best
    void = {"top5"} if classes and len(classes[0]) <= FEW_CLASSES else set()
    return {metric: best[f"val_{metric}"] for metric in SCORE_NAMES if f"val_{metric}" in best and metric not in void}


def _metric(name: str) -> str:
    known: Iterable[str] = (metric for metric, shown in SCORE_NAMES.items() if shown in name)
    return next(iter(known), "top1")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _print(table: Table) -> None:
    from rich.console import Console

    Console(highlight=False).print(table)


def _print_next(run: Path, recipe: Recipe) -> None:
    protocol = "" if recipe.protocol == "clip" else f" --protocol {recipe.protocol}"
    print(f"saved: {run / 'best.ckpt'}")
    print(f"next:  kinema evaluate {run} --data CSV{protocol}    or    kinema predict {run} VIDEO")
