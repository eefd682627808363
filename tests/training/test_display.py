"""What people see of a run: a bar that fits their terminal, and a line for each epoch that holds no empty numbers."""

import io
import re
import sys
import time
from pathlib import Path

import pytest

from kinema.specs.recipe import Recipe
from kinema.training.display import Display, describe
from kinema.training.position import Position

ROW = {"epoch": 4, "train_loss": 1.25, "train_top1": 0.5, "clips_per_sec": 8.0, "wait_share": 0.25, "seconds": 3.0}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("width", "has_bar"), [(80, False), (160, True)])
def test_bar_fits_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, has_bar: bool) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    position = Position(epoch=11, sums=[1234.5, 500.0, 1000.0])
    recipe = Recipe(name="x").with_fields({"schedule.epochs": 196})
    display = Display(tmp_path, main=True)
    with display.running(recipe, position, steps_per_epoch=470, score_names=["top1"]):
        display.start_epoch(position)
        with display.waiting():
            time.sleep(0.05)
        display.step(20)
        display.show(position)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "…" not in shown
    assert re.search(r"epoch 12/196 .*5171/92120 loss 1\.23\w .*clips/s .*waiting .* % +left [-0-9]", shown)
    assert ("━" in shown, "top-1 50.0 %" in shown) == (has_bar, has_bar)


def test_an_epoch_without_steps_has_no_speed() -> None:
    assert describe(ROW, 9) == "epoch 4/9, loss 1.2500, top-1 50.0 %, 8.0 clips/s, waited for data 25 %, 3.0 s"
    assert describe(ROW | {"clips_per_sec": 0.0}, 9) == "epoch 4/9, loss 1.2500, top-1 50.0 %, 3.0 s"
