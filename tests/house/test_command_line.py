"""The list of command-line options is a promise: it changes only together with its golden file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.cli.main import run
from kinema.cli.readable import first_paragraph
from kinema.cli.verbs import GROUPS, VERBS, load_verb

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "options.txt"


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run([*name.split(), "--help"]) == 0
    return capsys.readouterr().out


def line_of(name: str, page: str) -> str:
    """A verb with the long options that its help names; sorted, as wide terminals set them in columns."""
    return " ".join(["kinema", name, *sorted(set(re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", page)))])


@pytest.mark.skipif(not os.environ.get("KINEMA_GOLDEN"), reason="writes the list instead of comparing with it")
def test_write_the_golden_list(capsys: pytest.CaptureFixture[str]) -> None:
    """After a wanted change: KINEMA_GOLDEN=1 uv run pytest -n 0 tests/house/test_command_line.py."""
    GOLDEN.write_text("".join(f"{line_of(name, help_of(name, capsys))}\n" for name in VERBS))


def test_the_golden_list_has_every_verb_in_order() -> None:
    lines = [line.partition(" --")[0] for line in GOLDEN.read_text().splitlines()]
    assert lines == [f"kinema {name}" for name in VERBS]


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_keeps_the_contract(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its help says what it does and has the options of the golden list; a wrong option is answered in a few lines."""
    page = help_of(name, capsys)
    assert first_paragraph(load_verb(name)) in " ".join(page.split())
    assert line_of(name, page) in GOLDEN.read_text().splitlines()
    assert run([*name.split(), "--no-such-option"]) == 2
    answer = capsys.readouterr().err.splitlines()
    assert answer[0].startswith("error: ")
    assert answer[-1] == f"all options: kinema {name} --help"
    assert len(answer) <= 3


def test_the_first_words_of_verbs_are_groups() -> None:
    assert list(dict.fromkeys(name.split()[0] for name in VERBS if " " in name)) == list(GROUPS)


def test_unknown_verb_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trian"]) == 2
    assert "train" in capsys.readouterr().err


def test_mistakes_end_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kinema", "predict", "no-such-checkpoint.ckpt", "no-such-video.mp4"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "no-such-checkpoint.ckpt" in done.stderr
