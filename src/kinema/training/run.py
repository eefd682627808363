"""``kinema.train``: from a model's name and videos to a run directory."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kinema.data.manifest import Manifest
from kinema.data.scan import BadVideo, without
from kinema.errors import UserError
from kinema.evaluation.run import progress_bar
from kinema.models import checkpoint_file
from kinema.models.names import ModelName
from kinema.training.assemble import assemble
from kinema.training.batch_size import batch_note, check_batch, with_batch
from kinema.training.directory import LAST, RECIPE, VIDEOS, describe_run, new_folder, removed_if_empty
from kinema.training.display import Display
from kinema.training.engine import Engine, Hardware
from kinema.training.find_recipe import load_recipe
from kinema.training.initial import with_initial
from kinema.training.launch import launch
from kinema.training.loop import fit
from kinema.training.own_network import OwnNetwork, copy_of, own_network, resumed_network, with_own
from kinema.training.recipe import Recipe
from kinema.training.state import Run, restore
from kinema.training.stopping import TrainingStopped
from kinema.training.videos import doubts_before_training, unusable_videos, videos_to_use
from kinema.video.decoder import announce_backend

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind.

    Attributes:
        path: Run directory, with ``best.ckpt``, ``last.ckpt``, ``recipe.json``, ``metrics.csv``, ``log.txt`` and
            TensorBoard events.
        best: Row of ``history`` with the best monitored score.
        history: One row per epoch, as in ``metrics.csv``.
        recipe: What was trained, with model, weights and batch filled in.
    """

    path: Path
    best: dict[str, Any]
    history: list[dict[str, Any]]
    recipe: Recipe

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {self.best[name]:.4f}" for name in ("val_top1", "train_top1") if name in self.best)
        best = f"best epoch {self.best.get('epoch')}: {scores}"
        return f"TrainResult({str(self.path)!r}, {len(self.history)} epochs, {best})"


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What every process of a run is given; picklable, since processes may be spawned."""

    manifest: Manifest
    recipe: Recipe
    out: str
    network: ActionModel | None = None
    resume: bool = False
    skip_bad: bool = False
    auto_batch: bool = False
    keep_lr: bool = False
    notes: tuple[str, ...] = ()
    quiet: bool = False


def train(
    model: str | OwnNetwork = "",
    data: str | Path | Manifest | None = None,
    *,
    recipe: Recipe | str | None = None,
    weights: str | Path | None = None,
    out: str | Path | None = None,
    batch: int | str | None = None,
    keep_lr: bool = False,
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = "auto",
    fc_gather: bool = False,
    num_workers: int | None = None,
    skip_bad: bool = False,
    resume: str | Path | None = None,
    quiet: bool = False,
) -> TrainResult:
    """Train a model on videos.

    Args:
        model: Model name, such as ``tsm-resnet50``; may be empty when the recipe names one. Or a network of your own:
            an ``ActionModel``, of which a copy is trained, or a function from the number of classes to one.
        data: Manifest CSV, folder with one sub-folder of videos per class, or a Manifest.
        recipe: A recipe, the name of one, or ``file.py:function`` (which runs that file); default ``finetune``.
        weights: ``random``, ``imagenet``, a tag or file of weights, a checkpoint or run; None leaves it to the recipe.
        out: Run directory; default ``runs/<date>-<model>``.
        batch: Clips of one step over all devices, or ``auto`` for the largest batch that fits; the recipe's learning
            rate is adjusted to it, see ``kinema.training.batch_size.with_batch``, and a note says so.
        keep_lr: Leave the learning rate alone whatever the batch.
        devices: Processes on this node, one per device; a script needs ``if __name__ == "__main__"`` around the call.
        nodes: Machines; more than one needs torchrun or srun to start the processes.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        fc_gather: Gather what enters large fully connected layers (arXiv 1507.02159), see ``Hardware``.
        num_workers: Processes that load clips, of this run on this machine; None leaves it to the recipe.
        skip_bad: Train without the videos that cannot be decoded, instead of stopping before the first epoch.
        resume: Run directory to continue; it brings model, data and recipe along, but for a model that was an object.
        quiet: Show nothing.

    Returns:
        Where the run is and what it reached.

    Raises:
        UserError: When anything given cannot be used; the message says what would do.
        VideoError: When a video fails in the middle of the run.
        TrainingStopped: After SIGTERM or Ctrl-C, when the state is saved.
    """
    if resume is not None:
        job = _resumed_job(Path(resume), model=model, data=data, recipe=recipe, quiet=quiet)
    else:
        job = _new_job(model, data, recipe=recipe, weights=weights, batch=batch, keep_lr=keep_lr)
        job = dataclasses.replace(job, out=str(out or ""), skip_bad=skip_bad, quiet=quiet)
    job = _with_workers(job, num_workers)
    precision = job.recipe.train.precision
    hardware = Hardware(devices=devices, nodes=nodes, accelerator=accelerator, precision=precision, fc_gather=fc_gather)
    with torch.random.fork_rng():  # the caller's random numbers are not ours to disturb
        result, signal = launch(hardware, _work, job)
    if signal:
        raise TrainingStopped(result.path, signal)
    return result


def _new_job(
    model: str | OwnNetwork,
    data: str | Path | Manifest | None,
    *,
    recipe: Recipe | str | None,
    weights: str | Path | None,
    batch: int | str | None,
    keep_lr: bool,
) -> _Job:
    if data is None:
        raise UserError("training needs data: a manifest CSV, or a folder with one sub-folder of videos per class")
    chosen = recipe
    if not isinstance(chosen, Recipe):
        chosen = load_recipe(chosen or "finetune")
    manifest, network, told = None, None, ""
    if isinstance(model, str):
        name = model or chosen.model
        if not name:
            raise UserError("name a model to train, such as tsm-resnet18; `kinema models` lists them")
        initial = None if weights is None else str(weights)
        chosen = with_initial(chosen, model=str(ModelName.parse(name)), weights=initial)
    else:
        manifest = Manifest.open(data)
        network = own_network(model, manifest.classes, chosen)
        chosen, told = with_own(chosen, network, weights)
    check_batch(batch)
    own, auto = chosen, batch == "auto"
    if batch and not auto:
        chosen = with_batch(own, int(batch), keep_lr=keep_lr)
    return _Job(
        manifest=manifest or Manifest.open(data),
        recipe=chosen,
        out="",
        network=network,
        auto_batch=auto,
        keep_lr=keep_lr,
        notes=tuple(text for text in (told, batch_note(own, chosen)) if text),
    )


def _resumed_job(folder: Path, *, model: str | OwnNetwork, data: object, recipe: object, quiet: bool) -> _Job:
    name, network = (model, None) if isinstance(model, str) else ("", model)
    given = [what for what, value in (("a model", name), ("data", data), ("a recipe", recipe)) if value]
    if given:
        raise UserError(f"a resumed run brings its own model, data and recipe; leave out {' and '.join(given)}")
    if not (folder / LAST).is_file() or not (folder / VIDEOS).is_file():
        raise UserError(f"{folder} is no run that can be resumed: it has no {LAST} with a {VIDEOS}")
    known = Recipe.from_json((folder / RECIPE).read_text(encoding="utf-8"))
    manifest = Manifest.read(folder / VIDEOS)
    return _Job(
        manifest=manifest,
        recipe=known,
        out=str(folder),
        network=resumed_network(network, folder / LAST, manifest.classes, known),
        resume=True,
        quiet=quiet,
    )


def _with_workers(job: _Job, num_workers: int | None) -> _Job:
    if num_workers is None:
        return job
    return dataclasses.replace(job, recipe=job.recipe.with_fields({"data.num_workers": num_workers}))


def _checked(manifest: Manifest, job: _Job) -> list[BadVideo]:
    """Look into every video before training, with a bar where somebody watches."""
    announce_backend(manifest[0].path)
    with progress_bar(len(manifest), "Checking videos", shown=not job.quiet) as progress:
        return unusable_videos(manifest, job.recipe, skip_bad=job.skip_bad, progress=progress)


def _work(engine: Engine, job: _Job) -> tuple[TrainResult, int]:
    """The whole run in one process; the number of the signal that stopped it, or 0, comes with the result."""
    notes = list(job.notes)
    manifest = job.manifest
    if not job.resume:
        manifest = videos_to_use(manifest, job.recipe, note=notes.append)
        bad, doubts = engine.from_main(lambda: (_checked(manifest, job), doubts_before_training(job.manifest)))
        notes += doubts
        if bad:
            manifest = without(manifest, bad)
            notes.append(f"training without {len(bad)} videos that cannot be decoded")
    folder = Path(job.out) if job.resume else engine.from_main(lambda: new_folder(job.out, job.recipe.model))
    display = Display(folder, main=engine.is_main, quiet=job.quiet)
    for text in notes:
        display.note(text)
    where = job.recipe.train.validate_on
    with removed_if_empty(folder):
        run = assemble(
            engine,
            job.recipe,
            folder=folder,
            training=manifest.select("train"),
            validation=manifest.select(where) if where in manifest.splits else None,
            display=display,
            is_new=not job.resume,
            auto_batch=job.auto_batch,
            keep_lr=job.keep_lr,
            own=None if job.network is None else copy_of(job.network),
        )
    display.note(_in_a_line(run))
    if job.resume:
        restore(run, checkpoint_file.read(folder / LAST))
        step = run.position.step_in_epoch
        here = f"in epoch {run.position.epoch + 1}, after step {step} of {run.steps_per_epoch}"
        display.note(f"resuming {folder} {here if step else f'after epoch {run.position.epoch}'}")
    else:
        engine.from_main(lambda: describe_run(run, manifest, source=job.manifest.name))
    with run.stop.watching(), display.running(run):
        stopped = fit(run)
    position = run.position
    return TrainResult(folder, position.best, position.history, run.recipe), stopped


def _in_a_line(run: Run) -> str:
    """What is trained, where, and on how much."""
    millions = sum(parameter.numel() for parameter in run.model.parameters()) / 1e6
    processes = f"{run.engine.world} processes, " if run.engine.world > 1 else ""
    validated = f", {len(run.validation)} to validate on" if run.validation else ""
    return (
        f"{run.recipe.model}, {millions:.2f} M parameters, on {processes}{run.engine.device.type}: "
        f"{len(run.training)} videos to train on{validated}"
    )
