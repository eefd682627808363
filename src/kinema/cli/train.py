"""``kinema train``: fit a model to a folder or a list of videos."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from kinema.errors import UserError
from kinema.training.overrides import Overrides, given_fields

if TYPE_CHECKING:
    from kinema.training.run import TrainResult


def train(
    model: tyro.conf.Positional[str] = "",
    *,
    data: str = "",
    recipe: str = "",
    weights: str = "",
    options: str = "",
    out: str = "",
    batch: str = "",
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = "auto",
    fc_gather: bool = False,
    skip_bad: bool = False,
    resume: str = "",
    overrides: Annotated[Overrides, tyro.conf.arg(name="")] = Overrides(),  # noqa: B008  (frozen)
) -> None:
    """Train a model on videos.

    --seed and the options with a dot change fields of the recipe; its other fields need a recipe file.

    Args:
        model: Model name, such as tsm-resnet18; "kinema models" lists them.
        data: Manifest CSV, or a folder with one sub-folder of videos per class.
        recipe: finetune (used when none is given), scratch or demo; file.py:function, which runs that file; or the
            recipe.json of a run.
        weights: Where to start: imagenet, a tag such as k400-f32, a weights file, a checkpoint or a run directory.
        options: Options of the model's parts as JSON, such as '{"tam_init": "kaiming"}'.
        out: Run directory. When none is given, runs/DATE-MODEL.
        batch: Clips of one step over all devices, or auto for the largest batch that fits; the learning rate changes
            with it unless --optim.lr is given.
        devices: Processes on this machine, one per device.
        nodes: Machines; more than one needs torchrun or srun.
        accelerator: auto, cpu, cuda or mps.
        fc_gather: Gather what enters VGG's large layers instead of exchanging their gradients.
        skip_bad: Train without videos that cannot be decoded, instead of stopping.
        resume: Run directory to continue; it brings model, data and recipe along.
        overrides: Fields of the recipe to change.
    """
    changes = given_fields(overrides) | ({"options": _parsed(options)} if options else {})
    if resume:
        _refuse_with_resume(changes, weights=weights, out=out, batch=batch)

    from kinema.launched import is_first_process
    from kinema.training.find_recipe import load_recipe
    from kinema.training.run import train as run_training

    with _saying_how_to_resume():
        result = run_training(
            model,
            data or None,
            recipe=recipe or None if resume else load_recipe(recipe or "finetune").with_fields(changes),
            weights=weights or None,
            out=out or None,
            batch=batch or None,
            keep_lr="optim.lr" in changes,
            devices=devices,
            nodes=nodes,
            accelerator=accelerator,
            fc_gather=fc_gather,
            skip_bad=skip_bad,
            resume=resume or None,
        )
    if is_first_process():
        _report(result)


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


def _refuse_with_resume(changes: dict[str, Any], **settings: str) -> None:
    given = [f"--{name.replace('_', '-')}" for name in changes]
    given += [f"--{name}" for name, value in settings.items() if value]
    if given:
        raise UserError(f"a resumed run keeps its recipe and folder; leave out {', '.join(given)}")


def _report(result: TrainResult) -> None:
    """Print what the run reached, beside the paper where the recipe has one, and what to type next."""
    from kinema.data.manifest_csv import CLASSES_FILE, read_classes

    best, checkpoint = result.best, result.path / "best.ckpt"
    print(f"best epoch {best['epoch']} of {len(result.history)}:")
    names = {"val_top1": "top-1", "val_top5": "top-5", "val_mean_class": "mean class"}
    classes = read_classes(result.path / CLASSES_FILE)
    for name, shown in names.items():
        if name in best and not (name == "val_top5" and classes and len(classes[0]) <= 5):  # always 100 %
            print(f"  validation {shown}: {100 * best[name]:.1f} %")
    for name, value in result.recipe.paper_scores.items():
        print(f"  the paper has {name}: {value} ({result.recipe.citation})")
    print(f"saved: {checkpoint}")
    print(f"next:  kinema evaluate {result.path} --data CSV    or    kinema predict {result.path} VIDEO")
