"""A study from beginning to end: done cell by cell, stopped, gone on with, failing, and its table."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kinema.data.manifest import Manifest
from kinema.demo.synthetic import make_reversible_shapes
from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable
from kinema.recipes.scratch import scratch
from kinema.specs.compute import Compute
from kinema.study.cell import do_cell, recipe_digest
from kinema.study.folder import FAILURE, RESULT, StudyFolder, open_data
from kinema.study.grid import Study
from kinema.study.results import COLUMNS, study_table, tidy_rows, write_tidy
from kinema.study.run import run_study
from kinema.study.states import cell_states, minutes_left
from kinema.study.table import StudyTable

RECIPE = scratch().with_fields(
    {
        "data.frames": 2,
        "data.crop_size": 32,
        "data.short_side": [32, 36],
        "data.num_workers": 0,
        "schedule.epochs": 1,
        "schedule.warmup_epochs": 0.0,
        "train.batch_size": 8,
    }
)
LONGER = RECIPE.with_fields({"data.frames": 4})


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_reversible_shapes(tmp_path_factory.mktemp("videos"), num_videos=80, size=32, num_frames=4)


def tiny(**changed: object) -> Study:
    grid = {"name": "tiny", "recipes": (RECIPE, LONGER), "modules": ("tsn",), "backbones": ("resnettiny",)}
    return Study(**(grid | {"progressive": True, "protocols": ("clip", "uniform-2x1")} | changed))


@pytest.fixture(scope="module")
def done(videos: Manifest, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study of two cells, of which the second starts from the first, and one that cannot be trained."""
    out = tmp_path_factory.mktemp("study")
    broken = RECIPE.with_fields({"name": "broken", "model": "tsn-resnettiny", "weights": str(out / "none.ckpt")})
    states = run_study(tiny(own_recipes=(broken,)), {"shapes": videos}, out, device="cpu", parallel=2)
    assert [one.state for one in states] == ["done", "done", "failed"]
    return StudyFolder.read(out)


def test_cells_are_runs_with_scores(done: StudyFolder) -> None:
    first, second, broken = cell_states(done)
    assert "none.ckpt" in broken.reason
    for one in (first, second):
        path = done.cell_path(one.cell)
        assert (path / "best.ckpt").exists()
        assert one.epochs == 1
        assert ScoreTable.load(done.scores_path(one.cell, "uniform-2x1")).meta["protocol"] == "uniform-2x1"
    about = json.loads((done.cell_path(second.cell) / "recipe.json").read_text())
    assert first.cell.name in about["weights"], "the longer clips start from the shorter"
    assert minutes_left([first, second]) == 0.0


def test_done_cells_are_left_alone_and_failed_ones_tried_again(done: StudyFolder, videos: Manifest) -> None:
    broken = done.cells["shapes/broken-s0"]
    before = {
        name: (done.cell_path(cell) / RESULT).stat().st_mtime_ns for name, cell in done.cells.items() if cell != broken
    }
    (done.cell_path(broken) / FAILURE).unlink()
    run_study(tiny(own_recipes=(broken.recipe,)), {"shapes": videos}, done.path, device="cpu")
    assert (done.cell_path(broken) / FAILURE).exists()
    assert before == {name: (done.cell_path(done.cells[name]) / RESULT).stat().st_mtime_ns for name in before}


def test_tidy_table(done: StudyFolder, tmp_path: Path) -> None:
    rows = tidy_rows(done)
    assert [(row["frames"], row["protocol"]) for row in rows] == [
        (2, "clip"), (2, "uniform-2x1"), (4, "clip"), (4, "uniform-2x1")
    ]  # fmt: skip
    with write_tidy(done, tmp_path / "t.csv").open() as file:
        first = next(csv.DictReader(file))
    assert tuple(first) == COLUMNS
    cell = done.cells[first["cell"]]
    assert first["recipe_sha256"] == recipe_digest(cell)
    expected = ScoreTable.load(done.scores_path(cell, "clip"))
    assert float(first["video_top1"]) == pytest.approx(100 * expected.top(1), rel=1e-5)
    assert float(first["peak_memory_mb"]) > 100
    assert int(first["parameters"]) > 500_000
    pyarrow = pytest.importorskip("pyarrow.parquet")
    stored = pyarrow.read_table(write_tidy(done, tmp_path / "t.parquet")).to_pylist()
    assert stored == rows
    assert study_table(done, protocol="uniform-2x1").rows[1].frames == 4
    with pytest.raises(UserError, match="no results under dense; it has clip, uniform-2x1"):
        study_table(done, protocol="dense")
    with pytest.raises(UserError, match=r"\.csv or \.parquet; given"):
        write_tidy(done, tmp_path / "t.xlsx")


def test_recipes_of_one_model_keep_rows_of_their_own(videos: Manifest, tmp_path: Path) -> None:
    """As in Multi-Fiber's ablation, whose networks share a name and differ in options."""
    own = tuple(RECIPE.with_fields({"name": name, "model": "tsn-resnettiny"}) for name in ("one", "two"))
    folder, _ = StudyFolder.prepare(tmp_path, tiny(modules=(), own_recipes=own), {"shapes": videos})
    for accuracy, cell in enumerate(folder.cells.values(), 50):
        folder.cell_path(cell).mkdir(parents=True)
        scores = {"clip": {"video_top1": accuracy}, "uniform-2x1": {"video_top1": accuracy}}
        (folder.cell_path(cell) / RESULT).write_text(json.dumps({"scores": scores}))
    rows = study_table(folder).rows
    assert [(row.variant, row.results["video_top1"]) for row in rows] == [("one", 50.0), ("two", 51.0)]
    again = StudyTable.read(write_tidy(folder, tmp_path / "t.csv"))
    assert [row.variant for row in again.select(protocol="clip")] == ["one", "two"]


def test_a_study_keeps_what_it_was(done: StudyFolder, videos: Manifest) -> None:
    path = done.path
    with pytest.raises(UserError, match="holds the study tiny, not other"):
        StudyFolder.prepare(path, tiny(name="other"), {"shapes": videos})
    with pytest.raises(UserError, match="tested with clip, uniform-2x1, not clip"):
        StudyFolder.prepare(path, tiny(protocols=("clip",)), {"shapes": videos})
    changed = tiny(recipes=(RECIPE.with_fields({"optim.lr": 0.5}), LONGER))
    with pytest.raises(UserError, match=r"1 cell of tiny have changed .*optim.lr 0.05 -> 0.5"):
        StudyFolder.prepare(path, changed, {"shapes": videos})
    with pytest.raises(UserError, match="the videos of shapes have changed"):
        StudyFolder.prepare(path, tiny(), {"shapes": videos.select(split="train")})
    with pytest.raises(UserError, match="is not empty and holds no study"):
        StudyFolder.prepare(path / "shapes", tiny(), {"shapes": videos})


def test_a_study_may_grow(videos: Manifest, tmp_path: Path) -> None:
    StudyFolder.prepare(tmp_path, tiny(), {"shapes": videos})
    grown, notes = StudyFolder.prepare(tmp_path, tiny(modules=("tsm",)), {"shapes": videos})
    assert len(grown.cells) == 4
    assert notes == [
        "2 new cells: shapes/tsm-resnettiny-f2-uniform-s0, shapes/tsm-resnettiny-f4-uniform-s0",
        "2 cells no longer named stay: shapes/tsn-resnettiny-f2-uniform-s0, shapes/tsn-resnettiny-f4-uniform-s0",
    ]
    assert [one.state for one in cell_states(grown)] == ["waiting"] * 4
    assert minutes_left(cell_states(grown)) is None


def test_blocked_cells_say_by_which(videos: Manifest, tmp_path: Path) -> None:
    study = tiny(recipes=(RECIPE.with_fields({"weights": str(tmp_path / "none.ckpt")}), LONGER))
    states = run_study(study, {"shapes": videos}, tmp_path / "out", device="cpu")
    assert [one.state for one in states] == ["failed", "blocked"]
    assert states[1].reason == "shapes/tsn-resnettiny-f2-uniform-s0 failed"


def test_a_stopped_study_goes_on(videos: Manifest, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a cell: its epochs are kept, and the same command ends it."""
    videos.write(tmp_path / "shapes.csv")
    long = LONGER.with_fields({"schedule.epochs": 20, "name": "long"})
    (tmp_path / "own.py").write_text(
        "from kinema.specs.recipe import Recipe\nfrom kinema.study.grid import Study\n"
        f"RECIPE = Recipe.from_json('''{long.to_json()}''')\n"
        "def study():\n"
        "    return Study(name='one', recipes=(RECIPE,), modules=('tsn',), backbones=('resnettiny',))\n"
    )
    words = ["study", "run", f"{tmp_path}/own.py:study", "--data", f"{tmp_path}/shapes.csv", "--out", f"{tmp_path}/out"]
    words = [sys.executable, "-m", "kinema", *words, "--device", "cpu"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    cell = tmp_path / "out" / "shapes" / "tsn-resnettiny-f4-uniform-s0"
    _wait_until(lambda: (cell / "metrics.csv").exists(), process)
    with pytest.raises(UserError, match="is being trained by process"):
        run_study(tiny(name="one"), {"shapes": videos}, tmp_path / "out", device="cpu")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT
    assert "go on with the same command" in errors
    (state,) = cell_states(StudyFolder.read(tmp_path / "out"))
    assert state.state == "stopped"
    assert 0 < state.epochs < 20
    assert subprocess.run(words, capture_output=True, timeout=300).returncode == 0
    (state,) = cell_states(StudyFolder.read(tmp_path / "out"))
    assert (state.state, state.epochs) == ("done", 20)


def test_a_cell_ends_with_the_study(videos: Manifest, tmp_path: Path) -> None:
    """A study that is killed leaves no cell behind that goes on alone."""
    endless = LONGER.with_fields({"schedule.epochs": 9999})
    folder, _ = StudyFolder.prepare(tmp_path, tiny(recipes=(endless,), progressive=False), {"shapes": videos})
    (cell,) = folder.cells.values()
    folder.process_path(cell).mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "kinema.study.cell", str(tmp_path), cell.name, "cpu", "0"], stdin=subprocess.PIPE
    )
    _wait_until(lambda: (folder.cell_path(cell) / "metrics.csv").exists(), process)
    process.stdin.close()  # what happens when the other end's process is gone
    assert process.wait(timeout=120) == 130


def test_a_cell_is_not_done_twice(done: StudyFolder) -> None:
    cell = next(iter(done.cells.values()))
    before = (done.cell_path(cell) / "last.ckpt").stat().st_mtime_ns
    do_cell(done, cell, compute=Compute(device="cpu"), num_workers=0)
    assert (done.cell_path(cell) / "last.ckpt").stat().st_mtime_ns == before


def test_data_of_a_study(videos: Manifest, tmp_path: Path) -> None:
    videos.write(tmp_path / "a.csv")
    assert list(open_data([str(tmp_path / "a.csv"), f"b={tmp_path / 'a.csv'}"])) == ["a", "b"]
    for words, error in (
        ([], "needs data"),
        ([str(tmp_path / "a.csv")] * 2, "a folder 'a'; give NAME=CSV"),
        ([f"x/y={tmp_path / 'a.csv'}"], "a folder 'x/y'"),
    ):
        with pytest.raises(UserError, match=error):
            open_data(words)


def _wait_until(ready: object, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, "it ended before it was to"
        assert time.monotonic() < deadline
        time.sleep(0.1)
