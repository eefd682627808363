"""Command lines that cannot be read: three lines with what is wrong, what was meant and where to look."""

from pathlib import Path

import pytest

import kinema
from kinema.cli.main import run
from kinema.cli.mistakes import find_command
from kinema.errors import UserError
from kinema.training.overrides import SHORT_NAMES, Overrides, given_fields


def answer(line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error after a command line that must be refused."""
    assert run(line.split()) == 2
    printed = capsys.readouterr()
    assert not printed.out
    lines = printed.err.splitlines()
    assert len(lines) <= 3
    assert lines[0].startswith("error: ")
    return lines


@pytest.mark.parametrize(
    ("line", "first", "second"),
    [
        ("train m --epoch 3", "kinema train has no option --epoch", "did you mean --epochs or --schedule.epochs?"),
        ("train m --weight-decay=1", "kinema train has no option --weight-decay", "did you mean --optim.weight-decay?"),
        ("predict a b --tpo 3", "kinema predict has no option --tpo", "did you mean --top or --step?"),
        ("trian", "kinema has no command 'trian'; did you mean train?", "commands: demo, "),
        ("data scna x", "kinema data has no command 'scna'; did you mean scan?", "commands: make, scan, "),
        ("--verbose", "kinema has no option --verbose", "commands: demo, "),
        ("train m --data d --optim.lr abc", "--optim.lr is 'abc'; it takes a number", "all options: kinema train --h"),
        ("train m --epochs 2.5", "--epochs is '2.5'; it takes a whole number", "all options: kinema train --help"),
        ("predict a b --top x", "--top is 'x'; it takes a whole number", "all options: kinema predict --help"),
        ("data split d --by year", "--by is 'year'; allowed: group, video", "all options: kinema data split --help"),
        ("train m --seed", "--seed needs a value", "all options: kinema train --help"),
        ("evaluate m", "kinema evaluate needs --data PATH [PATH ...]", "all options: kinema evaluate --help"),
        ("predict", "kinema predict needs CHECKPOINT", "CHECKPOINT: Checkpoint file, run directory, or"),
        (
            "train m list.csv",
            "kinema train cannot place all of its arguments: m list.csv",
            "did you mean --data list.c",
        ),
        ("evaluate m list.csv", "kinema evaluate needs --data PATH [PATH ...]", "did you mean --data list.csv?"),
    ],
)
def test_three_lines(line: str, first: str, second: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = answer(line, capsys)
    assert lines[0] == f"error: {first}"
    assert lines[1].startswith(second)


@pytest.mark.parametrize("line", ["", "data", "scores"])
def test_commands_without_a_verb_show_their_help(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 2
    assert "show this help" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"kinema {kinema.__version__}\n"


def test_find_command() -> None:
    verbs = ["train", "data scan", "runs"]
    assert find_command(["train", "runs"], verbs)[:] == (("train",), (), ("runs",))
    assert find_command(["data", "scan", "x"], verbs)[:] == (("data", "scan"), (), ("x",))
    assert find_command(["data", "x"], verbs)[:] == (("data",), ("scan",), ("x",))
    assert find_command(["x"], verbs)[:] == ((), ("train", "runs", "data"), ("x",))


@pytest.fixture
def trained(tmp_path: Path) -> str:
    """What looks like a run directory."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "best.ckpt").touch()
    return str(tmp_path / "first")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("predict video.mp4 RUN", "video.mp4 is a video and RUN is a run; .* kinema predict RUN video.mp4"),
        ("predict list.csv x.ckpt", "list.csv is a list of videos and x.ckpt is a checkpoint; .* predict x.ckpt list"),
        ("evaluate list.csv --data RUN", "kinema evaluate RUN --data list.csv"),
        ("features list.csv --out f.npz --data RUN", "kinema features RUN --data list.csv"),
        (
            "train list.csv --data tsm-resnet18",
            "tsm-resnet18 is a model; .*: kinema train tsm-resnet18 --data list.csv",
        ),
        ("train list.csv", "list.csv is a list of videos, no model; .* kinema train tsm-resnet18 --data list.csv"),
        ("train RUN --data list.csv", "--weights RUN; to go on with it: kinema train --resume RUN"),
    ],
)
def test_swapped_arguments(line: str, message: str, trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    assert run(line.replace("RUN", trained).split()) == 1
    assert re.search(message, capsys.readouterr().err.replace(trained, "RUN"))


def test_short_names_are_fields() -> None:
    values = {"epochs": 7, "lr": 0.5, "workers": 3}
    assert given_fields(Overrides(**values)) == {SHORT_NAMES[name]: value for name, value in values.items()}


def test_two_names_of_an_option_must_agree() -> None:
    def given(epochs: int) -> object:
        return Overrides(epochs=epochs, schedule=type(Overrides().schedule)(epochs=5))

    assert given_fields(given(5)) == {"schedule.epochs": 5}
    with pytest.raises(UserError, match=r"--epochs 4 and --schedule\.epochs 5 are the same option"):
        given_fields(given(4))
