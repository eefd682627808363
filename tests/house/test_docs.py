"""The pages say what the code does: generated tables are current, and the README's Python prints what it claims."""

import importlib
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_tables_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    for page in pages["PAGES"]:
        text = (ROOT / page).read_text()
        assert pages["regenerated"](text) == text, f"{page} is out of date; run: python docs/generate.py"


def test_differences_from_the_papers_have_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    rows = importlib.import_module("paper_rows")
    printed = [row for table in rows.TABLES.values() for row in table]
    assert len(printed) > 50
    for row in printed:
        assert row.parameters or row.macs, row.label
        assert bool(row.reason) == rows.differs(row), row.label


@pytest.mark.parametrize(
    ("figure", "ours", "agree"),
    [
        ("33.4 M", 33_371_472, True),  # rounded
        ("33.3 M", 33_371_472, True),  # cut
        ("33.5 M", 33_371_472, False),
        ("33.2 M", 33_371_472, False),
        ("73.9 G", 73_850_000_000, True),
        ("213 G", 213_020_000_000, True),
        ("861 M", 858_606_592, False),
    ],
)
def test_figures_agree_when_rounded_or_cut(
    figure: str, ours: int, agree: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    assert importlib.import_module("paper_rows").agrees(figure, ours) == agree


def python_blocks(page: Path) -> list[tuple[str, str]]:
    """Python blocks of a page that are followed by the text they print."""
    return re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", page.read_text(), flags=re.DOTALL)


def test_readme_shows_code_on_its_first_screen() -> None:
    first = (ROOT / "README.md").read_text().splitlines()[:45]
    assert "```python" in first
    assert "uv run kinema demo" in first
    assert "uv run pytest" in first


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_code_on_pages_prints_what_they_claim(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for code, printed in python_blocks(page):
        exec(compile(code, str(page), "exec"), {})
        assert capsys.readouterr().out == printed


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_on_pages_exist(page: Path) -> None:
    from kinema.cli.verbs import GROUPS, VERBS

    text = re.sub(r"```python\n.*?```", "", page.read_text(), flags=re.DOTALL)  # an example may add a command
    quoted = [*re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL), *re.findall(r"`(kinema [^`]+)`", text)]
    for verb, sub in re.findall(r"^(?:uv run )?kinema ([a-z]+)(?: ([a-z]+))?", "\n".join(quoted), flags=re.MULTILINE):
        assert verb in GROUPS or verb in VERBS, verb
        if verb in GROUPS and sub:
            assert f"{verb} {sub}" in VERBS, sub
