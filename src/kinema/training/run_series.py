"""Doing a series of runs: each stage from the one before it, each official split tested, resumable anywhere."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kinema.compute.environment import is_first_process, processes_from_outside
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.run import evaluate
from kinema.evaluation.scores import ScoreTable
from kinema.specs.compute import Compute
from kinema.specs.recipe import Recipe
from kinema.training.directory import LAST, new_folder
from kinema.training.result import TrainResult
from kinema.training.resuming import where_it_stands
from kinema.training.run import train
from kinema.training.series import Series, Stage, is_series, plan_series, read_series
from kinema.training.stopping import TrainingStopped

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class _RunOptions:
    """How each run of a series is done, which its plan does not say; see ``kinema.train``."""

    compute: Compute
    fc_gather: bool
    num_workers: int | None
    quiet: bool


@dataclass(frozen=True)
class SeriesResult:
    """The result of a series.

    Attributes:
        path: Its folder.
        runs: What each run reached, in order; their ``path`` says where they are.
        tables: Scores of the test videos of each official split under the recipe's protocol, by the final network of
            that split; empty when there was one data set.
        names: Names of the data sets.
    """

    path: Path
    runs: list[TrainResult]
    tables: list[ScoreTable]
    names: list[str]


def train_series(
    model: str,
    data: str | Path | Manifest | Sequence[str | Path | Manifest],
    *,
    recipes: Sequence[Recipe],
    out: str | Path | None = None,
    weights: str = "",
    batch: str = "",
    keep_lr: bool = False,
    skip_bad: bool = False,
    devices: int = 1,
    nodes: int = 1,
    device: str = "auto",
    fc_gather: bool = False,
    num_workers: int | None = None,
    quiet: bool = False,
) -> SeriesResult:
    """Train a run for every recipe on every data set, and test each of several official splits.

    With several recipes each run starts from the one before it: progressive training is
    ``recipes=[load_recipe("deep-analysis-mini", frames=frames) for frames in (8, 16, 32, 64)]``.

    Args:
        model: Model name; may be empty when the recipes name one.
        data: One data set, or the official splits of one; each as ``kinema.train`` takes it.
        recipes: The stages, in clips of different lengths.
        out: Folder of the series; default ``runs/<date>-<model>``. Its runs lie in ``frames-8``, ``frames-16``, ... or,
            of several splits, in a folder called after each split.
        weights: Where the first stage starts; empty leaves it to its recipe.
        batch: Clips of one step, or ``auto``; empty for the recipes' own.
        keep_lr: Leave the learning rate alone whatever the batch.
        skip_bad: Leave out videos that cannot be decoded, instead of stopping.
        devices: Processes on this node, one per device; see ``kinema.train``.
        nodes: Machines; more than one needs torchrun or srun to start the processes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        fc_gather: Gather what enters large fully connected layers.
        num_workers: Processes that load clips; None leaves it to the recipes.
        quiet: Show nothing.

    Returns:
        What each run reached, and the scores of each split.

    Raises:
        UserError: What is given does not go together; nothing has been written then.
        VideoError: A video fails in the middle of a run.
        TrainingStopped: After SIGTERM or Ctrl-C; ``resume_series`` goes on.
    """
    listed = [data] if isinstance(data, str | Path | Manifest) else list(data)
    series, manifests = plan_series(
        model, listed, recipes=recipes, weights=weights, batch=batch, keep_lr=keep_lr, skip_bad=skip_bad
    )
    series = replace(series, folder=_new_series_folder(out, series))
    if is_first_process():
        series.write(manifests)
    compute = Compute(device=device, devices=devices, nodes=nodes)
    options = _RunOptions(compute=compute, fc_gather=fc_gather, num_workers=num_workers, quiet=quiet)
    return _run_stages(series, manifests, options)


def resume_series(
    folder: str | Path,
    *,
    skip_bad: bool = False,
    devices: int = 1,
    nodes: int = 1,
    device: str = "auto",
    fc_gather: bool = False,
    num_workers: int | None = None,
    quiet: bool = False,
) -> SeriesResult:
    """Go on with a series that was stopped: finished runs and tests are left alone, the others continue or begin.

    Args:
        folder: Of the series.
        skip_bad: From now on leave out videos that cannot be decoded.
        devices: Processes on this node, one per device; see ``kinema.train``.
        nodes: Machines; more than one needs torchrun or srun to start the processes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        fc_gather: Gather what enters large fully connected layers.
        num_workers: Processes that load clips; None leaves it to the recipes.
        quiet: Show nothing.

    Raises:
        UserError: The folder holds no series; and as ``train_series``.
    """
    series = read_series(folder)
    series = replace(series, skip_bad=series.skip_bad or skip_bad)
    compute = Compute(device=device, devices=devices, nodes=nodes)
    options = _RunOptions(compute=compute, fc_gather=fc_gather, num_workers=num_workers, quiet=quiet)
    return _run_stages(series, {name: series.manifest(name) for name in series.data}, options)


def _new_series_folder(out: str | Path | None, series: Series) -> Path:
    if out is None and processes_from_outside() > 1:
        raise UserError("processes that torchrun or srun has started must agree on a folder; give --out")
    if out is not None and not is_first_process():
        return Path(out)  # the first process looks whether it is free, and may have begun to fill it
    if out is not None and is_series(out):
        raise UserError(f"{out} already holds a series; continue it with --resume {out} or choose another --out")
    return new_folder(str(out or ""), series.stages[0].recipe.model)


def _run_stages(series: Series, manifests: dict[str, Manifest], options: _RunOptions) -> SeriesResult:
    """Train and test data set by data set, so that the first split has its score before the second begins."""
    runs: list[TrainResult] = []
    tables: list[ScoreTable] = []
    final = series.final_stages
    for number, stage in enumerate(series.stages, start=1):
        folder = series.folder / stage.folder
        done = _finished(folder)
        if done is None:
            start = f", from {stage.after}" if stage.after else ""
            _note(f"run {number} of {len(series.stages)}: {stage.folder}{start}", options)
            done = _train_stage(series, stage, manifests[stage.data], options)
        runs.append(done)
        if len(manifests) > 1 and stage in final:
            tables.append(_test(series, stage, manifests[stage.data], options))
    return SeriesResult(series.folder, runs, tables, list(series.data))


def _train_stage(series: Series, stage: Stage, manifest: Manifest, options: _RunOptions) -> TrainResult:
    """Continue the run of a stage, or begin it."""
    folder = series.folder / stage.folder
    begun = (folder / LAST).is_file()
    if not begun and is_first_process():
        shutil.rmtree(folder, ignore_errors=True)  # it was stopped before anything was worth saving
    try:
        return train(
            data=None if begun else manifest,
            recipe=None if begun else stage.recipe,
            weights=(series.folder / stage.after).resolve() if stage.after and not begun else None,
            out=None if begun else folder,
            batch=None if begun else series.batch,
            keep_lr=series.keep_lr,
            skip_bad=series.skip_bad,
            resume=folder if begun else None,
            devices=options.compute.devices,
            nodes=options.compute.nodes,
            device=options.compute.device,
            fc_gather=options.fc_gather,
            num_workers=options.num_workers,
            quiet=options.quiet,
        )
    except TrainingStopped as stopped:
        raise TrainingStopped(series.folder, stopped.signal) from None


def _finished(folder: Path) -> TrainResult | None:
    """Read what a run reached that has come to its end; None for any other."""
    if not (folder / LAST).is_file():
        return None
    now = where_it_stands(folder)
    return TrainResult.of(folder, now.recipe, now.position) if now.is_finished else None


def _test(series: Series, stage: Stage, manifest: Manifest, options: _RunOptions) -> ScoreTable:
    """Score the test videos of a split under the recipe's protocol, or read the scores of an earlier time."""
    protocol = stage.recipe.protocol
    path = series.folder / stage.data / f"test-{protocol}.npz"
    if path.is_file():
        return ScoreTable.load(path)
    _note(f"testing {stage.folder} with protocol {protocol}", options)
    table = evaluate(
        series.folder / stage.folder,
        manifest,
        protocol=protocol,
        device=options.compute.device,
        devices=options.compute.devices,
        backend=stage.recipe.data.backend,
        num_workers=stage.recipe.data.num_workers if options.num_workers is None else options.num_workers,
        skip_bad=series.skip_bad,
        progress=not options.quiet,
    )
    if is_first_process():
        table.save(path)
    return table


def _note(text: str, options: _RunOptions) -> None:
    if not options.quiet and is_first_process():
        log.info(text)
