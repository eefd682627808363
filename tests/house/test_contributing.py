"""A reader who follows CONTRIBUTING.md word by word adds a part, and the contract tests run it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = re.split(r"^### ", (ROOT / "CONTRIBUTING.md").read_text().partition("## House rules")[0], flags=re.MULTILINE)


def code_blocks(part: str, language: str) -> list[str]:
    """The code blocks of a part of the page, without their indentation."""
    found = re.findall(rf"^   ```{language}\n(.*?)^   ```$", part, flags=re.DOTALL | re.MULTILINE)
    return [re.sub(r"^   ", "", block, flags=re.MULTILINE) for block in found]


def follow(part: str, clone: Path) -> None:
    """Write the files of a part of the page, and put its rows at the end of their tables."""
    for block in code_blocks(part, "python"):
        first, _, code = block.partition("\n")
        if file := re.fullmatch(r"# file (\S+)", first):
            (clone / file[1]).write_text(code)
            continue
        row = re.fullmatch(r"# row of (\w+) in (\S+)", first)
        assert row, first
        path = clone / row[2]
        before, name, after = path.read_text().partition(f"\n{row[1]}: Final")
        table, end, rest = after.partition("\n}\n")
        assert name, first
        assert end, first
        path.write_text(
            before + name + table + "\n" + re.sub("^(?=.)", "    ", code, flags=re.MULTILINE)[:-1] + end + rest
        )


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS[1:], ids=lambda part: part.partition("\n")[0])
def test_following_the_page_adds_a_part(part: str, tmp_path: Path) -> None:
    for name in ("src", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    follow(part, tmp_path)
    (commands,) = code_blocks(part, "sh")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "PYTEST_ADDOPTS": "-n 0 -p no:cacheprovider"}
    for line in commands.splitlines():
        command = re.sub(r"^((?:\w+=\S+ )?)uv run ", r"\1", line)
        command = re.sub(r"(^|\s)(pytest|kinema|python)\s", rf"\1{sys.executable} -m \2 ", command).replace(
            "-m python ", ""
        )
        done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        if "pytest" in line and "golden" not in line:
            assert re.search(r"[1-9]\d* passed", done.stdout), done.stdout[-1000:]
