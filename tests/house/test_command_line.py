"""The list of command-line options is a promise: it changes only together with its golden file."""

import subprocess
import sys

import pytest
from golden_options import GOLDEN, help_of, line_of

from kinema.cli.main import run
from kinema.cli.readable import first_paragraph
from kinema.cli.verbs import GROUPS, VERBS, load_verb


def test_the_golden_list_has_every_verb_in_order() -> None:
    lines = [line.partition(" --")[0] for line in GOLDEN.read_text().splitlines()]
    assert lines == [f"kinema {name}" for name in VERBS]


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_keeps_the_contract(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its help says what it does and has the options of the golden list; a wrong option is answered in a few lines."""
    page = help_of(name)
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
