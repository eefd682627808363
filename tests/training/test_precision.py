"""``--train.precision auto``: the faster of fp32 and bf16, and nothing else about the run changed."""

import json
import time
from pathlib import Path

import pytest
import torch

from kinema import build_model, train
from kinema.compute.engine import Engine
from kinema.data.manifest import Manifest
from kinema.demo.synthetic import make_reversible_shapes
from kinema.recipes.scratch import scratch
from kinema.training.precision import with_faster_precision

RECIPE = scratch().with_fields(
    {
        "data.frames": 2,
        "data.crop_size": 32,
        "data.short_side": [32, 36],
        "data.num_workers": 0,
        "schedule.epochs": 2,
        "schedule.warmup_epochs": 0.0,
        "train.batch_size": 16,
        "train.precision": "auto",
    }
)


class TimedTask:
    """Passes that take a given time in each precision, and change the statistics of norms."""

    def __init__(self, engine: Engine, seconds: dict[str, float]) -> None:
        self.engine, self.seconds, self.passes = engine, seconds, []

    def blank_loss(self, model: torch.nn.Module, clips: torch.Tensor) -> torch.Tensor:
        self.passes.append((self.engine.precision, len(clips)))
        time.sleep(self.seconds[self.engine.precision])
        return model(clips).sum() + torch.rand(())


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"fp32": 0.2, "bf16": 0.01}, "bf16"),
        ({"fp32": 0.01, "bf16": 0.2}, "fp32"),
        ({"fp32": 0.2, "bf16": 0.2}, "fp32"),
    ],
)
def test_the_faster_is_taken(seconds: dict[str, float], chosen: str) -> None:
    engine, notes = Engine(), []
    model = build_model("tsn-resnettiny", num_classes=4).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    task = TimedTask(engine, seconds)
    torch.manual_seed(5)
    recipe = with_faster_precision(engine, task, model, RECIPE, torch.Size([3, 2, 32, 32]), notes.append)
    assert (recipe.train.precision, engine.precision) == (chosen, chosen)
    assert notes[0].startswith(f"precision {chosen}: a pass over 4 clips takes ")
    assert set(task.passes) == {("fp32", 4), ("bf16", 4)}
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3)), "the random numbers of the run are left alone"
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_other_precisions_are_left_alone() -> None:
    recipe = RECIPE.with_fields({"train.precision": "bf16"})
    assert with_faster_precision(None, None, None, recipe, torch.Size(), print) is recipe


def test_a_run_is_that_of_the_chosen_precision(tmp_path: Path) -> None:
    videos: Manifest = make_reversible_shapes(tmp_path / "videos", num_videos=80, size=32, num_frames=3)
    options = {"data": videos, "device": "cpu", "quiet": True}
    found = train("tsn-resnettiny", recipe=RECIPE, out=tmp_path / "auto", **options)
    chosen = json.loads((tmp_path / "auto" / "recipe.json").read_text())["train"]["precision"]
    assert chosen in ("fp32", "bf16")
    assert f"precision {chosen}: a pass over 4 clips" in (tmp_path / "auto" / "log.txt").read_text()
    assert found.recipe.train.precision == chosen
    same = RECIPE.with_fields({"train.precision": chosen})
    again = train("tsn-resnettiny", recipe=same, out=tmp_path / "again", **options)
    losses = [[row["train_loss"] for row in run.history] for run in (found, again)]
    assert losses[0] == losses[1]
