"""The list of command-line options is a promise: it changes only together with its golden file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.cli.main import run
from kinema.cli.verbs import GROUPS, VERBS

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "options.txt"


def options_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The long options that the help of a verb names; sorted, as wide terminals set them in columns."""
    assert run([*words, "--help"]) == 0
    usage_and_list = capsys.readouterr().out
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", usage_and_list)))


def test_options_are_the_golden_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Regenerate after a wanted change: KINEMA_GOLDEN=1 pytest tests/house/test_command_line.py."""
    lines = [" ".join(["kinema", name, *options_of(name.split(), capsys)]) for name in VERBS]
    text = "\n".join(lines) + "\n"
    if os.environ.get("KINEMA_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


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
