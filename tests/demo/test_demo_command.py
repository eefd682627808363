"""The whole of ``kinema demo``, as a newcomer runs it, and the command that it proposes next."""

import json
import subprocess
import sys

import pytest

MARKS_SECONDS = 240


@pytest.mark.slow
def test_the_demo_meets_its_marks_and_its_next_command_works(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "kinema", "demo", "--out", "here"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    results = json.loads((tmp_path / "here/results.json").read_text())
    assert results["tsm"]["forward"] > 0.95
    assert results["tsm"]["reversed"] < 0.05
    assert results["tsn"]["pair"] >= 0.95
    assert results["tsn"]["member"] == pytest.approx(0.5, abs=0.03)
    assert results["seconds"] < MARKS_SECONDS
    command = next(line for line in done.stdout.splitlines() if "kinema predict" in line)
    words = command.split("kinema predict", 1)[1].split()
    answer = subprocess.run(
        [sys.executable, "-m", "kinema", "predict", *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert words[1].split("/")[-2].replace("_", " ") in answer.stdout.splitlines()[0] + answer.stdout
