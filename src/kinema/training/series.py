"""The plan of a series of runs, as files: longer and longer clips, several official splits, or both.

A series is a folder. ``series.json`` in it lists every run before the first begins, with its whole recipe, and
``manifests/`` keeps the videos as they were then; so a series can be resumed whatever happens to the originals.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinema.data.manifest import Manifest
from kinema.data.manifest_writer import write_manifests
from kinema.errors import UserError
from kinema.files import write_text
from kinema.models.names import ModelName
from kinema.specs.recipe import Recipe
from kinema.training.batch_size import check_batch
from kinema.training.directory import SERIES
from kinema.training.initial import with_initial
from kinema.training.videos import videos_to_use

MANIFESTS = "manifests"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One run of a series.

    Attributes:
        folder: Its run directory, relative to the series.
        data: Name of its manifest.
        after: Run that it starts from, relative to the series; empty when it starts as its recipe says.
        recipe: What to do, with the model filled in.
    """

    folder: str
    data: str
    after: str
    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class Series:
    """Every run of a series, in order.

    Attributes:
        folder: Where it lies.
        stages: The runs.
        batch: As ``kinema.train`` takes it; empty for the recipes' own.
        keep_lr: Leave the rate alone whatever the batch.
        skip_bad: Leave out videos that cannot be decoded.
    """

    folder: Path
    stages: tuple[Stage, ...]
    batch: str = ""
    keep_lr: bool = False
    skip_bad: bool = False

    @property
    def data(self) -> tuple[str, ...]:
        """Names of the manifests, in order."""
        return tuple(dict.fromkeys(stage.data for stage in self.stages))

    @property
    def final_stages(self) -> tuple[Stage, ...]:
        """For each manifest the last of its runs."""
        return tuple({stage.data: stage for stage in self.stages}.values())

    def manifest(self, name: str) -> Manifest:
        """Read the manifest of a stage."""
        return Manifest.read(self.folder / MANIFESTS / f"{name}.csv")

    def write(self, manifests: dict[str, Manifest]) -> None:
        """Store the plan and the manifests; the plan last, so that where it is everything is."""
        from kinema import __version__

        (self.folder / MANIFESTS).mkdir(parents=True, exist_ok=True)
        write_manifests({self.folder / MANIFESTS / f"{name}.csv": manifest for name, manifest in manifests.items()})
        stages = [{**stage.__dict__, "recipe": stage.recipe.to_dict()} for stage in self.stages]
        settings = {"batch": self.batch, "keep_lr": self.keep_lr, "skip_bad": self.skip_bad}
        plan = {"kinema_version": __version__, **settings, "stages": stages}
        write_text(self.folder / SERIES, json.dumps(plan, indent=2) + "\n")


def is_series(folder: str | Path) -> bool:
    """Whether a folder holds a series of runs."""
    return (Path(folder) / SERIES).is_file()


def read_series(folder: str | Path) -> Series:
    """Read the plan of a series.

    Raises:
        UserError: The folder holds no series, or another version of kinema wrote it and the recipes have changed.
    """
    folder = Path(folder)
    try:
        plan: dict[str, Any] = json.loads((folder / SERIES).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{folder} is no series of runs: {SERIES} cannot be read ({error})") from None
    stages = [
        Stage(folder=one["folder"], data=one["data"], after=one["after"], recipe=Recipe.from_dict(one["recipe"]))
        for one in plan["stages"]
    ]
    settings = {name: plan[name] for name in ("batch", "keep_lr", "skip_bad")}
    return Series(folder=folder, stages=tuple(stages), **settings)


def plan_series(
    model: str,
    data: Sequence[str | Path | Manifest],
    *,
    recipes: Sequence[Recipe],
    weights: str = "",
    batch: str = "",
    keep_lr: bool = False,
    skip_bad: bool = False,
) -> tuple[Series, dict[str, Manifest]]:
    """Work out the runs of a series and check what can be checked before the first.

    Args:
        model: Model name; empty when the recipes name one.
        data: Manifests or what ``Manifest.open`` takes; each gets a run of every recipe.
        recipes: The stages on each manifest; every one but the first starts from the run before it.
        weights: Where the first stage starts; empty leaves it to its recipe.
        batch: As ``kinema.train`` takes it; likewise ``keep_lr``.
        keep_lr: Leave the rate alone whatever the batch.
        skip_bad: Leave out videos that cannot be decoded.

    Returns:
        The plan, without a folder yet, and the manifests by name.

    Raises:
        UserError: Model, recipes and data do not go together; the message says what would do.
    """
    check_batch(batch)
    if not data or not recipes or len(data) * len(recipes) == 1:
        raise UserError("a series needs several data sets, or recipes for several stages; kinema.train does one run")
    manifests = _named(data)
    _check_splits(manifests)
    name = model or recipes[0].model
    if not name:
        raise UserError("name a model to train, such as tsm-resnet18; `kinema models` lists them")
    name = str(ModelName.parse(name))
    first = with_initial(recipes[0], model=name, weights=weights or None)
    chosen = [first, *(replace(recipe, model=name, weights="") for recipe in recipes[1:])]
    stages: list[Stage] = []
    for data_name, manifest in manifests.items():
        manifest.validate(check_files=not skip_bad)
        after = ""
        for recipe, length in zip(chosen, _stage_names(recipes), strict=True):
            videos_to_use(manifest, recipe, note=lambda text: None)  # it complains about what is missing
            own = "/".join(part for part in (data_name if len(manifests) > 1 else "", length) if part)
            stages.append(Stage(folder=own, data=data_name, after=after, recipe=recipe))
            after = own
    return Series(folder=Path(), stages=tuple(stages), batch=batch, keep_lr=keep_lr, skip_bad=skip_bad), manifests


def _stage_names(recipes: Sequence[Recipe]) -> list[str]:
    """Name the stages by their clips; a single stage needs no name."""
    if len(recipes) == 1:
        return [""]
    names = [f"frames-{recipe.data.frames}" for recipe in recipes]
    if len(set(names)) < len(names):
        raise UserError(f"the stages of a series have clips of different lengths; given: {', '.join(names)}")
    return names


def _named(data: Sequence[str | Path | Manifest]) -> dict[str, Manifest]:
    """Open every data set under a name for folders; several must be splits of one set."""
    named: dict[str, Manifest] = {}
    for one in data:
        manifest = Manifest.open(one)
        name = Path(manifest.name).resolve().stem
        if name in named or name == MANIFESTS:
            raise UserError(f"a series names its runs after the data, so two cannot be called {name!r}; rename one")
        named[name] = manifest
    return named


def _check_splits(manifests: dict[str, Manifest]) -> None:
    """Several manifests are splits of one set, each with test videos, or their mean would mean nothing."""
    if len(manifests) == 1:
        return
    first = next(iter(manifests.values()))
    for manifest in manifests.values():
        if manifest.classes != first.classes:
            raise UserError(
                f"{manifest.name} and {first.name} have other classes; several data sets at once must be splits of one"
            )
        if not {"test", "val"} & set(manifest.splits):
            raise UserError(f"{manifest.name} has no test videos; each of several splits is tested on its own")
