"""Which trainings a study asks for, and which studies contradict themselves."""

import pytest

from kinema.errors import UserError
from kinema.recipes.scratch import scratch
from kinema.study.find_study import STUDIES, find_study
from kinema.study.grid import Study

SHORT, LONG = scratch(), scratch().with_fields({"data.frames": 16})


def study(**changed: object) -> Study:
    return Study(
        **({"name": "s", "recipes": (SHORT,), "modules": ("tsn", "tsm"), "backbones": ("resnettiny",)} | changed)
    )


def test_cells_of_a_grid() -> None:
    cells = study(temporal_pooling=(False, True), seeds=(0, 3), sampling=("uniform", "dense")).cells(["a", "b"])
    assert len(cells) == len({cell.name for cell in cells}) == 2 * 2 * 2 * 2 * 2
    names = [cell.name for cell in cells]
    assert names[0] == "a/tsn-resnettiny-f8-uniform-s0"
    assert "b/tsm-resnettiny-tp-f8-dense-s3" in names
    last = cells[names.index("b/tsm-resnettiny-tp-f8-dense-s3")]
    assert (last.recipe.model, last.recipe.seed, last.recipe.data.sampling) == ("tsm-resnettiny-tp", 3, "dense")


def test_progressive_lengths_start_from_the_one_before() -> None:
    first, second = study(modules=("tsm",), recipes=(SHORT, LONG), progressive=True).cells(["a"])
    assert (first.after, second.after) == ("", first.name)
    alone = study(modules=("tsm",), recipes=(SHORT, LONG)).cells(["a"])
    assert [cell.after for cell in alone] == ["", ""]


def test_recipes_of_a_data_set_and_of_their_own() -> None:
    slow = SHORT.with_fields({"optim.lr": 0.001})
    own = SHORT.with_fields({"name": "mine", "model": "i3d-resnettiny"})
    cells = study(recipes_of={"b": (slow,)}, own_recipes=(own,)).cells(["a", "b"])
    rates = {cell.name: cell.recipe.optim.lr for cell in cells}
    assert rates["a/tsm-resnettiny-f8-uniform-s0"] == SHORT.optim.lr
    assert rates["b/tsm-resnettiny-f8-uniform-s0"] == 0.001
    assert {"a/mine-s0", "b/mine-s0"} < set(rates)


@pytest.mark.parametrize("name", STUDIES)
def test_studies_of_the_papers(name: str) -> None:
    found = find_study(name)
    cells = found.cells(found.datasets or ("data",))
    assert len(cells) == len({cell.name for cell in cells})
    assert found.name == name
    assert found.citation or name == "small"
    counts = {"deep-analysis": 288, "deep-analysis-placement": 8, "r2plus1d": 12, "r2plus1d-lengths": 6}
    assert len(cells) == counts.get(name, len(cells))


def test_the_deep_analysis_is_progressive() -> None:
    cells = {cell.name: cell for cell in find_study("deep-analysis").cells(["mini-ssv2", "mini-kinetics", "mini-mit"])}
    last = cells["mini-kinetics/tam-resnet50-tp-f64-uniform-s0"]
    assert last.after == "mini-kinetics/tam-resnet50-tp-f32-uniform-s0"
    assert (last.recipe.schedule.epochs, cells["mini-mit/tsn-resnet18-f8-uniform-s0"].recipe.schedule.epochs) == (
        45,
        75,
    )


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"modules": ("tsx",)}, "unknown temporal module 'tsx'"),
        ({"modules": ("tsm", "tsm")}, "models twice: tsm-resnettiny"),
        ({"modules": ()}, "no models"),
        ({"seeds": ()}, "no seeds"),
        ({"seeds": (1, 1)}, "seeds twice: 1, 1"),
        ({"protocols": ("clip", "clip")}, "protocols twice"),
        ({"recipes": ()}, "models, but no recipes"),
        ({"recipes": (LONG, SHORT)}, r"longer and longer clips; given \[16, 8\]"),
        ({"recipes": (SHORT, SHORT)}, "longer and longer clips"),
        ({"own_recipes": (SHORT.with_fields({"model": "tsn-resnettiny"}),) * 2}, "cells twice: a/scratch-s0"),
        ({"datasets": ("x",)}, "is on the data sets x; given: a. Name them with --data x=CSV"),
        ({"recipes_of": {"x": (SHORT,)}}, "recipes for x, which is no data set"),
        ({"recipes": (SHORT.with_fields({"weights": "?"}),)}, "starts from weights that must be given"),
    ],
)
def test_contradictions(changes: dict[str, object], error: str) -> None:
    with pytest.raises(UserError, match=error):
        study(**changes).cells(["a"])


def test_studies_that_are_not_there(tmp_path) -> None:
    with pytest.raises(UserError, match="unknown study 'smal'; did you mean small"):
        find_study("smal")
    file = tmp_path / "own.py"
    file.write_text("def number():\n    return 1\n")
    with pytest.raises(UserError, match=r"must return a kinema\.study\.grid\.Study, not int"):
        find_study(f"{file}:number")
    with pytest.raises(UserError, match="has no function 'other'"):
        find_study(f"{file}:other")
    with pytest.raises(UserError, match="no such file"):
        find_study(f"{tmp_path}/none.py:study")
