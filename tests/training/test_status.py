"""What a run leaves behind about its end: the state, the reason, the minutes; and that only one process trains it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from inside_run import act_in_steps, act_in_validation
from test_resume import record_steps

from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.specs.recipe import Recipe
from kinema.training.directory import read_metrics
from kinema.training.run import train
from kinema.training.runs import list_runs
from kinema.training.status import read_status, write_status
from kinema.training.stopping import TrainingStopped
from kinema.weights.checkpoint import Checkpoint


def last_words(folder: Path) -> str:
    """The last line of a run's log, without its time."""
    return (folder / "log.txt").read_text().splitlines()[-1][20:]


def test_a_finished_run(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    result = train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    assert last_words(run_folder) == "finished: all 2 epochs are done"
    (summary,) = list_runs(run_folder)
    assert (summary.state, summary.reason) == ("finished", "all 2 epochs are done")
    assert summary.minutes == pytest.approx(sum(row["seconds"] for row in result.history) / 60, rel=1e-3)


def test_a_run_that_stopped_early(shapes: Manifest, tiny_recipe: Recipe, run_folder: Path) -> None:
    recipe = tiny_recipe.with_fields({"train.patience": 1, "schedule.epochs": 30, "optim.lr": 1e-9})
    train(data=shapes, recipe=recipe, out=run_folder, quiet=True)
    assert last_words(run_folder) == "finished: it stopped early, after 1 validation without a better top1"


def test_a_stopped_run(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_steps(monkeypatch, stop_after=8)
    with pytest.raises(TrainingStopped):
        train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    assert last_words(run_folder) == "stopped: by SIGTERM in epoch 2, after step 3 of 5; the run is saved"
    (summary,) = list_runs(run_folder)
    (row,) = read_metrics(run_folder)
    assert summary.state == "stopped"
    assert summary.minutes > row["seconds"] / 60  # the epoch that was stopped counts too


@pytest.mark.parametrize("error", [UserError("a video is gone\nand more"), RuntimeError("a fault of ours")])
def test_a_failed_run(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(validate: object) -> None:
        raise error

    act_in_validation(monkeypatch, fail)
    with pytest.raises(type(error)):
        train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    said = "RuntimeError: a fault of ours" if isinstance(error, RuntimeError) else "a video is gone"
    (summary,) = list_runs(run_folder)
    assert summary.state == "failed"
    assert summary.reason.startswith(said)
    assert f"failed: {said}" in (run_folder / "log.txt").read_text()


def test_a_killed_run_is_found_out_and_says_so(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_steps(monkeypatch, stop_after=3)
    with pytest.raises(TrainingStopped):
        train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    monkeypatch.undo()
    code = "from pathlib import Path; from kinema.training.status import write_status; import sys;"
    code += "write_status(Path(sys.argv[1]), 'running', seconds=60.0)"
    subprocess.run([sys.executable, "-c", code, str(run_folder)], check=True)  # a process that is no more
    (summary,) = list_runs(run_folder)
    assert (summary.state, summary.minutes) == ("killed", 1.0)
    train(resume=run_folder, quiet=True)
    log = (run_folder / "log.txt").read_text()
    assert "killed: its process ended without a word" in log
    assert last_words(run_folder) == "finished: all 2 epochs are done"


def test_a_run_that_is_being_trained_is_left_alone(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_steps(monkeypatch, stop_after=3)
    with pytest.raises(TrainingStopped):
        train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    code = "from pathlib import Path; from kinema.training.status import write_status; import sys;"
    code += "write_status(Path(sys.argv[1]), 'running', seconds=60.0); print(flush=True); input()"
    words = [sys.executable, "-c", code, str(run_folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UserError, match=f"is being trained by process {other.pid}"):
            train(resume=run_folder, quiet=True)
        other.communicate("\n")


def test_runs_of_older_versions_have_no_status(tmp_path: Path) -> None:
    assert read_status(tmp_path).state == ""
    (tmp_path / "status.json").write_text(json.dumps({"of": "something else"}))
    assert read_status(tmp_path).state == ""


def test_a_status_of_another_machine_is_believed(tmp_path: Path) -> None:
    write_status(tmp_path, "running", seconds=1.0)
    path = tmp_path / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "elsewhere", "process": 2**22 + 1}))
    assert read_status(tmp_path).state == "running"


def test_the_whole_epoch_counts_after_a_resume(
    shapes: Manifest, tiny_recipe: Recipe, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    def slow(run, batch):
        time.sleep(0.2)
        if run.position.num_steps == 3:
            run.stop.signal = signal.SIGINT

    with monkeypatch.context() as patched:
        act_in_steps(patched, before=slow)
        with pytest.raises(TrainingStopped):
            train(data=shapes, recipe=tiny_recipe, out=run_folder, quiet=True)
    spent = Checkpoint.read(run_folder / "last.ckpt").training.position["spent"]
    assert spent[0] >= spent[1] > 0.8  # four steps before the stop took 0.2 s each
    assert spent[3] == 40
    first, _ = train(resume=run_folder, quiet=True).history
    assert first["seconds"] > spent[0]
    assert first["clips_per_sec"] < 48 / 0.8
    assert [int(row["epoch"]) for row in read_metrics(run_folder)] == [1, 2]
