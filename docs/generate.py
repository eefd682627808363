"""Bring the generated tables of the documentation up to date: python docs/generate.py [--check].

A table stands between ``<!-- table: NAME -->`` and ``<!-- end: NAME -->``; the functions below write what stands there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from kinema import cost
from kinema.models.names import BACKBONES, MODULES, list_models

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "docs/models.md"]


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])


@cache
def model_table(suffix: str = "") -> str:
    """Parameters and multiply-adds of every module on every backbone, for 8 frames of 224x224 and 400 classes."""
    backbones = [backbone for backbone in BACKBONES if backbone != "resnettiny"]
    rows = []
    for module in MODULES:
        cells = []
        for backbone in backbones:
            found = cost(f"{module}-{backbone}{suffix}", frames=8, size=224)
            cells.append(f"{found.parameters / 1e6:.1f} M, {found.macs / 1e9:.1f} G")
        rows.append([f"`{module}`", *cells])
    return markdown_table(["", *[f"`{backbone}`" for backbone in backbones]], rows)


def model_list() -> str:
    """How many names the list holds."""
    return f"`kinema models` lists {len(list_models())} names; placements and other stacks can be added to each."


TABLES: dict[str, Callable[[], str]] = {
    "models": model_table,
    "models-tp": lambda: model_table("-tp"),
    "model-count": model_list,
}


def regenerated(text: str) -> str:
    """A page with its generated tables as the code has them now."""

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"<!-- table: {name} -->\n{TABLES[name]()}\n<!-- end: {name} -->"

    return re.sub(r"<!-- table: ([\w-]+) -->\n.*?<!-- end: \1 -->", fill, text, flags=re.DOTALL)


def main() -> None:
    """Write the pages, or with ``--check`` exit with 1 and the names of those that are out of date."""
    stale = []
    for page in PAGES:
        path = ROOT / page
        text = path.read_text()
        if (new := regenerated(text)) != text:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(new)
    print("out of date:" if "--check" in sys.argv else "written:", ", ".join(stale) or "nothing")
    sys.exit("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    main()
