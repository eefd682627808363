"""``kinema train``: fit a model to a folder or a list of videos, in one run or in a series of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from kinema.cli.argument_kinds import check_model
from kinema.cli.waiting import loading
from kinema.errors import UserError
from kinema.training.overrides import Overrides, given_fields

if TYPE_CHECKING:
    from kinema.training.run import TrainResult
    from kinema.training.run_series import SeriesResult


def train(
    model: tyro.conf.Positional[str] = "",
    *,
    data: tuple[str, ...] = (),
    recipe: str = "",
    frames: str = "",
    weights: str = "",
    options: str = "",
    out: str = "",
    batch: str = "",
    devices: int = 1,
    nodes: int = 1,
    device: Annotated[str, tyro.conf.arg(aliases=["--accelerator"], metavar="TEXT")] = "auto",
    fc_gather: bool = False,
    skip_bad: bool = False,
    resume: str = "",
    overrides: Annotated[Overrides, tyro.conf.arg(name="")] = Overrides(),  # noqa: B008  (frozen)
) -> None:
    """Train a model on videos.

    --epochs, --lr, --workers, --seed and the options with a dot change fields of the recipe; its other fields need a
    recipe file.

    Args:
        model: Model name, such as tsm-resnet18; "kinema models" lists them.
        data: Manifest CSV, or a folder with one sub-folder of videos per class. On each of several official splits a
            network is trained and tested.
        recipe: finetune (used when none is given), or another that "kinema recipes" lists; file.py:function, which
            runs that file; or the recipe.json of a run.
        frames: Frames of a clip. Several, such as 8,16,32, are trained one after the other, each from the one before.
        weights: Where to start: random, imagenet, a tag such as k400-f32, a weights file, a checkpoint or a run
            directory.
        options: Options of the model's parts as JSON, such as '{"tam_init": "kaiming"}'.
        out: Run directory. When none is given, runs/DATE-MODEL.
        batch: Clips of one step over all devices, or auto for the largest batch that fits; the learning rate changes
            with it unless --optim.lr is given.
        devices: Processes on this machine, one per device.
        nodes: Machines; more than one needs torchrun or srun.
        device: auto, cpu, cuda, cuda:N for that GPU alone, or mps.
        fc_gather: Gather what enters VGG's large layers instead of exchanging their gradients.
        skip_bad: Train without videos that cannot be decoded, instead of stopping.
        resume: Run directory to continue; it brings model, data and recipe along. --workers may be given anew, and
            --epochs to train longer than planned.
        overrides: Fields of the recipe to change.
    """
    changes = given_fields(overrides) | ({"options": _parsed(options)} if options else {})
    check_model(model, data)
    own = {"weights": weights, "out": out, "batch": batch, "frames": frames}
    processes = {"devices": devices, "nodes": nodes, "device": device, "fc_gather": fc_gather, "skip_bad": skip_bad}
    with _saying_how_to_resume():
        if resume:
            result = _resume(resume, model, data, recipe, changes, own, processes)
        else:
            result = _begin(model, data, recipe or "finetune", changes, own, processes)

    from kinema.cli.train_report import report
    from kinema.compute.environment import is_first_process

    if is_first_process():
        report(result)


WORKERS, EPOCHS = "data.num_workers", "schedule.epochs"
"""The fields that a resumed run may be given anew: the first changes no clip, the second makes it last longer."""


def _begin(
    model: str,
    data: tuple[str, ...],
    recipe: str,
    changes: dict[str, Any],
    own: dict[str, str],
    processes: dict[str, Any],
) -> TrainResult | SeriesResult:
    """Start a run, or a series where several data sets or clip lengths are given."""
    if own["frames"] and "data.frames" in changes:
        raise UserError("--frames and --data.frames both say how long a clip is; give one of them")
    with loading():
        from kinema.training.find_recipe import load_recipe
        from kinema.training.run import train as train_once
        from kinema.training.run_series import train_series

    recipes = [load_recipe(recipe, length).with_fields(changes) for length in clip_lengths(own["frames"])]
    keep_lr = "optim.lr" in changes
    weights, out, batch = own["weights"], own["out"] or None, own["batch"]
    if len(data) < 2 and len(recipes) == 1:
        one = data[0] if data else None
        return train_once(
            model,
            one,
            recipe=recipes[0],
            weights=weights or None,
            out=out,
            batch=batch or None,
            keep_lr=keep_lr,
            **processes,
        )
    return train_series(
        model, data, recipes=recipes, weights=weights, out=out, batch=batch, keep_lr=keep_lr, **processes
    )


def _resume(
    folder: str,
    model: str,
    data: tuple[str, ...],
    recipe: str,
    changes: dict[str, Any],
    own: dict[str, str],
    processes: dict[str, Any],
) -> TrainResult | SeriesResult:
    """Continue a run or a series."""
    given = [f"--{name.replace('_', '-')}" for name in changes if name not in (WORKERS, EPOCHS)]
    given += [f"--{name}" for name, value in own.items() if value]
    if given:
        raise UserError(f"a resumed run keeps its recipe and folder; leave out {', '.join(given)}")
    with loading():
        from kinema.training.run import train as train_once
        from kinema.training.run_series import resume_series
        from kinema.training.series import is_series

    processes = processes | {"num_workers": changes.get(WORKERS)}
    if not is_series(folder):
        one = data[0] if data else None
        return train_once(model, one, recipe=recipe or None, epochs=changes.get(EPOCHS), resume=folder, **processes)
    if EPOCHS in changes:
        raise UserError(f"--epochs is for one run; {folder} is a series of them: resume one of its folders")
    if model or data or recipe:
        raise UserError("resumed runs bring their own model, data and recipe; leave those out")
    return resume_series(folder, **processes)


def clip_lengths(frames: str) -> list[int] | list[None]:
    """Read ``8,16,32``; a single None, which leaves the length to the recipe, when nothing is given.

    Raises:
        UserError: It is not a list of rising numbers above 0.
    """
    words = [word.strip() for word in frames.split(",")]
    if frames and not all(word.isdigit() and int(word) for word in words):
        raise UserError(f"--frames is {frames!r}; give a number of frames, or several such as 8,16,32,64")
    if not frames:
        return [None]
    lengths = [int(word) for word in words]
    if lengths != sorted(set(lengths)):
        raise UserError(f"--frames is {frames!r}; each length must be above the one before, such as 8,16,32,64")
    return lengths


@contextmanager
def _saying_how_to_resume() -> Iterator[None]:
    """End the process of a run that was stopped as its signal asks, after one line about going on."""
    from kinema.training.stopping import TrainingStopped

    try:
        yield
    except TrainingStopped as stopped:
        print(stopped, file=sys.stderr)
        raise SystemExit(128 + stopped.signal) from None


def _parsed(options: str) -> dict[str, Any]:
    try:
        values = json.loads(options)
    except json.JSONDecodeError:
        values = None
    if not isinstance(values, dict):
        raise UserError(f'--options takes a JSON object such as \'{{"tam_init": "kaiming"}}\', not {options}')
    return values
