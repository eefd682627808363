"""``kinema.train``: from a model's name and videos to a run directory."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kinema.compute.devices import one_device
from kinema.compute.engine import Engine
from kinema.compute.environment import is_first_process
from kinema.compute.launch import launch, starts_processes
from kinema.compute.progress import progress_bar
from kinema.data.bad_video import BadVideo
from kinema.data.manifest import Manifest
from kinema.data.scan import without
from kinema.errors import UserError
from kinema.models.names import ModelName
from kinema.specs.compute import Compute
from kinema.specs.recipe import Recipe
from kinema.training.assemble import assemble
from kinema.training.batch_size import batch_note, check_batch, with_batch
from kinema.training.classification import Classification
from kinema.training.description import facts, headline
from kinema.training.directory import LAST, VIDEOS, describe_run, free_folder, new_folder, removed_if_empty
from kinema.training.display import Display
from kinema.training.ending import describe_position, fit_and_note_end
from kinema.training.fc_gather import GatheringEngine
from kinema.training.find_recipe import load_recipe
from kinema.training.initial import with_initial
from kinema.training.own_network import OwnNetwork, copy_of, own_network, resumed_network, with_own
from kinema.training.result import TrainResult
from kinema.training.resuming import Standing, go_on_longer, note_kill, where_it_stands, with_epochs
from kinema.training.state import restore
from kinema.training.status import note_end, read_status
from kinema.training.stopping import TrainingStopped, supervised
from kinema.training.task import Task
from kinema.training.videos import doubts_before_training, unusable_videos, videos_to_use
from kinema.video.open import announce_backend
from kinema.weights.checkpoint import Checkpoint
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel


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
    task_type: type[Task] = Classification
    before: Recipe | None = None
    """Of a resumed run that is to last longer or shorter: its recipe up to now."""


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
    device: str = "auto",
    accelerator: str | None = None,
    fc_gather: bool = False,
    num_workers: int | None = None,
    epochs: int | None = None,
    skip_bad: bool = False,
    resume: str | Path | None = None,
    quiet: bool = False,
    task: type[Task] = Classification,
) -> TrainResult:
    """Train a model on videos.

    Args:
        model: Model name, such as ``tsm-resnet50``; may be empty when the recipe names one. Or a network of your own:
            an ``ActionModel``, of which a copy is trained, or a function from the number of classes to one.
        data: Manifest CSV, folder with one sub-folder of videos per class, or a Manifest.
        recipe: A recipe, the name of one, or ``file.py:function`` (which runs that file); default ``finetune``.
        weights: ``random``, ``imagenet``, a tag or file of weights, a checkpoint or run; None leaves it to the recipe.
        out: Run directory; default ``runs/<date>-<model>``.
        batch: Clips of one step over all devices, or ``auto``: the most that fit; the learning rate follows it.
        keep_lr: Leave the learning rate alone whatever the batch.
        devices: Processes on this node, one per device; a script needs ``if __name__ == "__main__"`` around the call.
        nodes: Machines; more than one needs torchrun or srun to start the processes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` (that GPU alone) or ``mps``.
        accelerator: Another name of ``device``.
        fc_gather: With several processes, gather what enters large fully connected layers (arXiv 1507.02159).
        num_workers: Processes that load clips, of this run on this machine; None leaves it to the recipe.
        epochs: Epochs of the whole run; None leaves it to the recipe. With ``resume``, more of them train a run longer.
        skip_bad: Train without the videos that cannot be decoded, instead of stopping before the first epoch.
        resume: Run directory to continue; it brings model, data and recipe along, but for a model that was an object.
        quiet: Show nothing.
        task: What is learnt, a subclass of ``kinema.training.task.Task``; a resumed run needs it again.

    Returns:
        Where the run is and what it reached.

    Raises:
        UserError: When anything given cannot be used, or a video fails in the middle; the message says what would do.
        TrainingStopped: After SIGTERM or Ctrl-C, when the state is saved.
    """
    if resume is not None:
        job = _resumed_job(Path(resume), epochs, model=model, data=data, recipe=recipe, quiet=quiet)
        if isinstance(job, TrainResult):
            return job
    else:
        job = _new_job(model, data, recipe=recipe, weights=weights, batch=batch, keep_lr=keep_lr, epochs=epochs)
    job = dataclasses.replace(job, out=str(resume or out or ""), skip_bad=skip_bad, quiet=quiet, task_type=task)
    compute = Compute(device=one_device(device, accelerator), devices=devices, nodes=nodes)
    return _launched(GatheringEngine if fc_gather else Engine, compute, _with_workers(job, num_workers))


def _launched(kind: type[Engine], compute: Compute, job: _Job) -> TrainResult:
    """Do the job in this process or in several."""
    compute = dataclasses.replace(compute, precision=job.recipe.train.first_precision)
    kind.require(compute)
    several = starts_processes(kind, compute)
    with torch.random.fork_rng():  # the caller's random numbers are not ours to disturb
        result, signal = _in_several(kind, compute, job) if several else launch(kind, compute, _run_in_process, job)
    if signal:
        raise TrainingStopped(result.path, signal)
    return result


def _in_several(kind: type[Engine], compute: Compute, job: _Job) -> tuple[TrainResult, int]:
    """Do the job in processes of its own, which cannot all say themselves why they ended."""
    folder = Path(job.out) if job.out else free_folder(job.recipe.model)
    job = dataclasses.replace(job, out=str(folder))

    def note(state: str, reason: str) -> None:
        if read_status(folder).state in ("running", "killed"):
            note_end(folder, state, reason)

    supervision = supervised(folder, quiet=job.quiet, when_ended=lambda reason: note("stopped", reason))
    try:
        return launch(kind, compute, _run_in_process, job, supervision=supervision)
    except UserError as error:
        note("failed", str(error))
        raise


def _new_job(
    model: str | OwnNetwork,
    data: str | Path | Manifest | None,
    *,
    recipe: Recipe | str | None,
    weights: str | Path | None,
    batch: int | str | None,
    keep_lr: bool,
    epochs: int | None,
) -> _Job:
    if data is None:
        raise UserError("training needs data: a manifest CSV, or a folder with one sub-folder of videos per class")
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe or "finetune")
    if epochs is not None:
        chosen = chosen.with_fields({"schedule.epochs": epochs})
    manifest, network, explanation = None, None, ""
    if isinstance(model, str):
        name = model or chosen.model
        if not name:
            raise UserError("name a model to train, such as tsm-resnet18; `kinema models` lists them")
        initial = None if weights is None else str(weights)
        chosen = with_initial(chosen, model=str(ModelName.parse(name)), weights=initial)
    else:
        network = own_network(model, (manifest := Manifest.open(data)).classes, chosen)
        chosen, explanation = with_own(chosen, network, weights)
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
        notes=tuple(text for text in (explanation, batch_note(own, chosen)) if text),
    )


def _resumed_job(
    folder: Path, epochs: int | None, *, model: str | OwnNetwork, data: object, recipe: object, quiet: bool
) -> _Job | TrainResult:
    """The rest of a run; what it has reached where nothing is left to do."""
    name, network = (model, None) if isinstance(model, str) else ("", model)
    given = [what for what, value in (("a model", name), ("data", data), ("a recipe", recipe)) if value]
    if given:
        raise UserError(f"a resumed run brings its own model, data and recipe; leave out {' and '.join(given)}")
    now = where_it_stands(folder)
    if now.is_finished and epochs in (None, now.recipe.schedule.epochs):
        return _as_it_is(folder, now, quiet=quiet)
    manifest = Manifest.read(folder / VIDEOS)
    return _Job(
        manifest=manifest,
        recipe=now.recipe if epochs is None else with_epochs(folder, now, epochs),
        out=str(folder),
        network=resumed_network(network, folder / LAST, manifest.classes, now.recipe),
        resume=True,
        quiet=quiet,
        before=None if epochs is None else now.recipe,
    )


def _as_it_is(folder: Path, now: Standing, *, quiet: bool) -> TrainResult:
    """What a finished run has reached, after a line about training longer."""
    if not quiet and is_first_process():
        longer = 2 * now.recipe.schedule.epochs
        how = f"to train longer: kinema train --resume {folder} --epochs {longer}"
        print(f"{folder} is finished, {now.how_it_ended()}; {how}", file=sys.stderr)
    return TrainResult.of(folder, now.recipe, now.position)


def _with_workers(job: _Job, num_workers: int | None) -> _Job:
    if num_workers is None:
        return job
    return dataclasses.replace(job, recipe=job.recipe.with_fields({"data.num_workers": num_workers}))


def _checked(manifest: Manifest, job: _Job) -> list[BadVideo]:
    """Look into every video before training, with a bar where somebody watches."""
    announce_backend(manifest[0].path)
    with progress_bar(len(manifest), "Checking videos", shown=not job.quiet) as progress:
        return unusable_videos(manifest, job.recipe, skip_bad=job.skip_bad, progress=progress)


def _run_in_process(engine: Engine, job: _Job) -> tuple[TrainResult, int]:
    """The whole run in one process; the number of the signal that stopped it, or 0, comes with the result."""
    notes = list(job.notes)
    manifest = job.manifest
    if not job.resume:
        manifest = videos_to_use(manifest, job.recipe, note=notes.append)
        bad, doubts = engine.from_main(lambda: (_checked(manifest, job), doubts_before_training(job.manifest)))
        notes += doubts
        if bad:
            manifest = without(manifest, bad)
            notes.append(f"training without {counted(len(bad), 'video')} that cannot be decoded")
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
            task_type=job.task_type,
        )
    display.note(headline(run))
    if job.resume:
        if word := engine.from_main(lambda: note_kill(folder)):
            display.note(word)
        restore(run, Checkpoint.read(folder / LAST))
        display.note(f"resuming {folder} {describe_position(run)}")
        go_on_longer(run, job.before or run.recipe)
    else:
        engine.from_main(lambda: describe_run(folder, run.recipe, manifest, facts(run, source=job.manifest.name)))
    stopped = fit_and_note_end(run)
    return TrainResult.of(folder, run.recipe, run.position), stopped
