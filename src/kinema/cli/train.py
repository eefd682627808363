"""``kinema train``: fit a model to a folder or a list of videos, in one run or in a series of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from kinema.cli.argument_kinds import check_model
from kinema.cli.waiting import loading
from kinema.errors import UserError
from kinema.training.overrides import Overrides, given_fields

if TYPE_CHECKING:
    from kinema.specs.recipe import Recipe
    from kinema.training.run import TrainResult
    from kinema.training.run_series import SeriesResult, Where


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
    device: Annotated[str, tyro.conf.arg(aliases=["--accelerator"])] = "auto",
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
    wish = Wish(model, data, recipe, frames, weights, changes, out, batch, skip_bad, resume)
    wish.check()

    from kinema.cli.train_report import report
    from kinema.compute.environment import is_first_process

    with loading():
        from kinema.training.run_series import Where

    where = Where(devices=devices, nodes=nodes, device=device, fc_gather=fc_gather)
    with _saying_how_to_resume():
        result = wish.resumed(where) if resume else wish.begun(where)
    if is_first_process():
        report(result)


WORKERS, EPOCHS = "data.num_workers", "schedule.epochs"
"""The fields that a resumed run may be given anew: the first changes no clip, the second makes it last longer."""


class Wish(NamedTuple):
    """What a command line asks for, besides devices: the options of ``kinema train`` of the same names."""

    model: str
    data: tuple[str, ...]
    recipe: str
    frames: str
    weights: str
    changes: dict[str, Any]
    out: str
    batch: str
    skip_bad: bool
    resume: str

    def check(self) -> None:
        """Refuse options that contradict each other, and arguments in each other's place."""
        check_model(self.model, self.data)
        if self.frames and "data.frames" in self.changes:
            raise UserError("--frames and --data.frames both say how long a clip is; give one of them")
        if not self.resume:
            return
        given = [f"--{name.replace('_', '-')}" for name in self.changes if name not in (WORKERS, EPOCHS)]
        given += [f"--{name}" for name in ("weights", "out", "batch", "frames") if getattr(self, name)]
        if given:
            raise UserError(f"a resumed run keeps its recipe and folder; leave out {', '.join(given)}")

    def begun(self, where: Where) -> TrainResult | SeriesResult:
        """Start a run, or a series where several data sets or clip lengths are given."""
        from kinema.training.find_recipe import load_recipe
        from kinema.training.run_series import train_series

        name, keep_lr = self.recipe or "finetune", "optim.lr" in self.changes
        recipes = [load_recipe(name, frames).with_fields(self.changes) for frames in clip_lengths(self.frames)]
        if len(self.data) < 2 and len(recipes) == 1:
            return self._run(where, recipe=recipes[0], keep_lr=keep_lr)
        return train_series(
            self.model,
            self.data,
            recipes=recipes,
            weights=self.weights,
            out=self.out or None,
            batch=self.batch,
            keep_lr=keep_lr,
            skip_bad=self.skip_bad,
            where=where,
        )

    def resumed(self, where: Where) -> TrainResult | SeriesResult:
        """Continue a run or a series."""
        from kinema.training.run_series import resume_series
        from kinema.training.series import is_series

        where = replace(where, num_workers=self.changes.get(WORKERS))
        if not is_series(self.resume):
            return self._run(where, recipe=self.recipe or None, keep_lr=False, epochs=self.changes.get(EPOCHS))
        if EPOCHS in self.changes:
            raise UserError(f"--epochs is for one run; {self.resume} is a series of them: resume one of its folders")
        if self.model or self.data or self.recipe:
            raise UserError("resumed runs bring their own model, data and recipe; leave those out")
        return resume_series(self.resume, skip_bad=self.skip_bad, where=where)

    def _run(
        self, where: Where, *, recipe: Recipe | str | None, keep_lr: bool, epochs: int | None = None
    ) -> TrainResult:
        from kinema.training.run import train as run_training

        return run_training(
            self.model,
            self.data[0] if self.data else None,
            recipe=recipe,
            weights=self.weights or None,
            out=self.out or None,
            batch=self.batch or None,
            keep_lr=keep_lr,
            devices=where.devices,
            nodes=where.nodes,
            device=where.device,
            fc_gather=where.fc_gather,
            num_workers=where.num_workers,
            epochs=epochs,
            skip_bad=self.skip_bad,
            resume=self.resume or None,
        )


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
