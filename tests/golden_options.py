"""The list of every verb with its long options; ``python tests/golden_options.py`` writes it after a wanted change."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

from kinema.cli.main import run
from kinema.cli.verbs import VERBS

GOLDEN = Path(__file__).with_name("golden") / "options.txt"


def help_of(name: str) -> str:
    """The help of a verb, such as ``data scan``."""
    page = io.StringIO()
    with redirect_stdout(page):
        assert run([*name.split(), "--help"]) == 0
    return page.getvalue()


def line_of(name: str, page: str) -> str:
    """A verb with the long options that its help names; sorted, as wide terminals set them in columns."""
    return " ".join(["kinema", name, *sorted(set(re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", page)))])


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{line_of(name, help_of(name))}\n" for name in VERBS))
