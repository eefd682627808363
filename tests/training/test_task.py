"""A task of the user's own goes through the same loop: here distillation, a student that also learns from a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from inside_run import act_in_steps
from test_resume import assert_same_state, timeless
from torch import nn
from torch.nn import functional

from kinema.data.manifest import Manifest
from kinema.models.build import build_model
from kinema.specs.recipe import Recipe
from kinema.training.classification import Classification
from kinema.training.run import train
from kinema.training.runs import list_runs
from kinema.training.stopping import TrainingStopped
from kinema.training.task import PartLoss, Task

NO_BLEND = {"train.mixup": 0.0}


class Distillation(Classification):
    """Learns the teacher's answers instead of the labels; counts how often both agree."""

    train_scores = ("top1", "agreement")
    seen: ClassVar[list[int]] = []

    def __init__(self, recipe: Recipe, **parts: Any) -> None:
        super().__init__(recipe, **parts)
        torch.manual_seed(7)
        self.teacher = build_model("tsn-resnettiny", num_classes=len(self.classes)).eval()

    def part_loss(self, network: nn.Module, batch: Any, rows: torch.Tensor, drawn: None) -> PartLoss:
        answers: list[torch.Tensor] = []

        def both(clips: torch.Tensor) -> torch.Tensor:
            answers.append(network(clips))
            with torch.no_grad():
                answers.append(self.teacher(clips))
            return answers[0]

        _, (right,) = super().part_loss(both, batch, rows, drawn)  # type: ignore[arg-type]
        student, teacher = answers
        loss = functional.cross_entropy(student, teacher.softmax(1), reduction="sum")
        self.seen.append(len(rows))
        return PartLoss(loss, (right, (student.argmax(1) == teacher.argmax(1)).sum()))


@pytest.fixture(autouse=True)
def _counted_anew() -> None:
    Distillation.seen.clear()


def test_distillation_goes_through_the_loop(shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.with_fields({**NO_BLEND, "schedule.epochs": 3, "train.accumulate": 2})
    result = train(data=shapes, recipe=recipe, out=tmp_path / "run", quiet=True, task=Distillation)
    first, *_, last = result.history
    assert last["train_agreement"] > first["train_agreement"]
    assert 0 <= last["train_top1"] <= 1
    assert "val_top1" in last
    assert sum(Distillation.seen) == 3 * len(shapes.select("train"))
    assert "agreement" in (tmp_path / "run" / "log.txt").read_text()
    (summary,) = list_runs(tmp_path)
    assert summary.num_epochs == 3


def test_it_resumes_bit_for_bit(
    shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe.with_fields(NO_BLEND)
    whole = train(data=shapes, recipe=recipe, out=tmp_path / "whole", quiet=True, task=Distillation)

    def stop(run: Any, batch: object, sums: torch.Tensor) -> None:
        run.stop.signal = 15 if run.position.num_steps == 3 else 0

    with monkeypatch.context() as patched:
        act_in_steps(patched, after=stop)
        with pytest.raises(TrainingStopped):
            train(data=shapes, recipe=recipe, out=tmp_path / "parts", quiet=True, task=Distillation)
    parts = train(resume=tmp_path / "parts", quiet=True, task=Distillation)
    assert timeless(parts.history) == timeless(whole.history)
    assert_same_state(tmp_path / "whole" / "last.ckpt", tmp_path / "parts" / "last.ckpt")


def test_a_task_has_to_answer_everything(shapes: Manifest) -> None:
    class Half(Task):
        def digest(self) -> str:
            return ""

    with pytest.raises(TypeError, match=r"abstract methods? .*part_loss"):
        Half()  # pyrefly: ignore[bad-instantiation]
    assert issubclass(Classification, Task)
