"""What a study trains: a grid of models, lengths, samplings and seeds under one recipe, as a list of cells."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kinema.errors import UserError
from kinema.models.names import ModelName
from kinema.specs.recipe import MUST_BE_GIVEN, Recipe
from kinema.wording import some_of


@dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison of models that are trained and tested in the same way.

    The grid is every module x placement x backbone x temporal pooling, on every data set, for every length of clips,
    sampling and seed.

    Attributes:
        name: What the study is called.
        recipes: One for each length of clips, the shortest first; the model is filled in.
        modules: Temporal modules, such as ``("tsn", "tsm")``.
        backbones: Backbones, such as ``("resnet18",)``.
        temporal_pooling: Without, with, or both.
        placements: Where modules sit; ``""`` is everywhere.
        models: Names of single models beside the grid.
        own_recipes: Recipes that name their model, beside the grid: each is trained on every data set with every seed.
        sampling: Values of ``data.sampling``; empty leaves it to the recipes.
        seeds: Seeds of the trainings.
        progressive: Whether each length starts from the one before it, with the same everything else.
        protocols: Test protocols; the first is the one that counts.
        datasets: Names of the data sets that it needs; empty takes whatever is given.
        recipes_of: Recipes for a data set by its name, in place of ``recipes``.
        citation: Where the study comes from.
    """

    name: str
    recipes: tuple[Recipe, ...] = ()
    modules: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    temporal_pooling: tuple[bool, ...] = (False,)
    placements: tuple[str, ...] = ("",)
    models: tuple[str, ...] = ()
    own_recipes: tuple[Recipe, ...] = ()
    sampling: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    progressive: bool = False
    protocols: tuple[str, ...] = ("clip",)
    datasets: tuple[str, ...] = ()
    recipes_of: Mapping[str, tuple[Recipe, ...]] = field(default_factory=dict)
    citation: str = ""

    def model_names(self) -> list[str]:
        """The models, in the order in which they are trained.

        Raises:
            UserError: A name is unknown or there twice, or parts do not go together.
        """
        grid = itertools.product(self.backbones, self.modules, self.placements, self.temporal_pooling)
        names = [
            f"{module}{f'@{placement}' if placement else ''}-{backbone}{'-tp' if pooled else ''}"
            for backbone, module, placement, pooled in grid
        ]
        parsed = [str(ModelName.parse(name)) for name in (*names, *self.models)]
        twice = sorted({name for name in parsed if parsed.count(name) > 1})
        if twice:
            raise UserError(f"study {self.name} has models twice: {some_of(twice, 5)}")
        return parsed

    def cells(self, datasets: Sequence[str]) -> list[Cell]:
        """Every training of the study, each before those that start from it.

        Args:
            datasets: Names of the data sets that it is done on.

        Raises:
            UserError: The study contradicts itself, or needs other data sets.
        """
        self._check(datasets)
        cells: list[Cell] = []
        for dataset, model, seed, sampling in itertools.product(
            datasets, self.model_names(), self.seeds, self.sampling or ("",)
        ):
            after = ""
            for recipe in self.recipes_of.get(dataset, self.recipes):
                changes = {"model": model, "seed": seed} | ({"data.sampling": sampling} if sampling else {})
                own = recipe.with_fields(changes)
                if after and self.progressive:
                    own = replace(own, weights="")
                else:
                    self._require_weights(own)
                cell = Cell(dataset=dataset, recipe=own, after=after if self.progressive else "")
                cells.append(cell)
                after = cell.name
        for dataset, recipe, seed in itertools.product(datasets, self.own_recipes, self.seeds):
            own = recipe.with_fields({"model": str(ModelName.parse(recipe.model)), "seed": seed})
            self._require_weights(own)
            cells.append(Cell(dataset=dataset, recipe=own, is_own=True))
        names = [cell.name for cell in cells]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise UserError(f"study {self.name} has cells twice: {some_of(twice, 3)}; give each own recipe a name")
        if not cells:
            raise UserError(f"study {self.name} has no models; give it modules and backbones, models, or own_recipes")
        return cells

    def _require_weights(self, recipe: Recipe) -> None:
        if recipe.weights == MUST_BE_GIVEN:
            raise UserError(
                f"study {self.name}: recipe {recipe.name} with {recipe.data.frames} frames starts from weights that "
                "must be given; make the study progressive, or give the recipe weights"
            )

    def _check(self, datasets: Sequence[str]) -> None:
        for what, values in (("seeds", self.seeds), ("protocols", self.protocols), ("data sets", datasets)):
            if not values:
                raise UserError(f"study {self.name} has no {what}")
            if len(set(values)) < len(values):
                raise UserError(f"study {self.name} has {what} twice: {', '.join(map(str, values))}")
        if self.datasets and set(self.datasets) != set(datasets):
            raise UserError(
                f"study {self.name} is on the data sets {', '.join(self.datasets)}; given: {', '.join(datasets)}. Name "
                f"them with --data {self.datasets[0]}=CSV"
            )
        unknown = sorted(set(self.recipes_of) - set(datasets))
        if unknown:
            raise UserError(f"study {self.name} has recipes for {', '.join(unknown)}, which is no data set of it")
        for recipes in (self.recipes, *self.recipes_of.values()):
            if not recipes and (self.models or self.modules):
                raise UserError(f"study {self.name} has models, but no recipes to train them")
            lengths = [recipe.data.frames for recipe in recipes]
            if lengths != sorted(set(lengths)):
                raise UserError(
                    f"study {self.name}: its recipes must have longer and longer clips; given {lengths} frames"
                )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training of a study.

    Attributes:
        dataset: Name of its data set.
        recipe: What to do, with model and seed filled in.
        after: Name of the cell whose network it starts from; empty when it starts as its recipe says.
        is_own: Whether the recipe, and not the model, sets it apart from the others.
    """

    dataset: str
    recipe: Recipe
    after: str = ""
    is_own: bool = False

    @property
    def name(self) -> str:
        """Its folder below that of the study, which no other cell has."""
        recipe = self.recipe
        if self.is_own:
            return f"{self.dataset}/{recipe.name}-s{recipe.seed}"
        return f"{self.dataset}/{recipe.model}-f{recipe.data.frames}-{recipe.data.sampling}-s{recipe.seed}"
