"""Bring the generated tables of the documentation up to date: python docs/generate.py [--check].

A table stands between ``<!-- table: NAME -->`` and ``<!-- end: NAME -->``; the functions below write what stands there.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import paper_rows

import kinema
from kinema import cost
from kinema.data.sources.table import DATA_SETS
from kinema.models.catalogue import BACKBONES, MODULES
from kinema.models.names import list_models, listed_on
from kinema.recipes.overview import HEADINGS, recipe_lines
from kinema.specs.aliases import ALIASES
from kinema.study.find_study import STUDIES, find_study
from kinema.weights.importing.families import FAMILIES, REFUSED_FAMILIES
from kinema.weights.importing.family import Network
from kinema.weights.published import PUBLISHED

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    "README.md",
    *(f"docs/{name}.md" for name in ("api", "models", "paper-tables", "importing", "recipes", "data", "study")),
]

SHOWN = (
    "inceptionv1",
    "resnet18",
    "resnet50",
    "resnet101",
    "blresnet50",
    "mobilenetv2",
    "efficientnetlite0",
)
"""Backbones of the table of costs, for 8 frames of 224 x 224; the papers' own forms are on a page of their own."""


def markdown_table(header: list[str], rows: list[list[str]], *, text_columns: tuple[int, ...] = (0,)) -> str:
    """A Markdown table; other columns than those of text hold numbers."""
    rule = ["---" if column in text_columns else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])


@cache
def model_table(suffix: str = "") -> str:
    """Parameters and multiply-adds of the listed modules on each backbone, for 8 frames of 224x224 and 400 classes."""
    rows = []
    for module in MODULES:
        cells = []
        for backbone in SHOWN:
            if module not in listed_on(backbone, temporal_pooling=bool(suffix)):
                cells.append("")
                continue
            found = cost(f"{module}-{backbone}{suffix}", frames=8, size=224)
            cells.append(f"{found.parameters / 1e6:.1f} M, {found.macs / 1e9:.1f} G")
        if any(cells):
            rows.append([f"`{module}`", *cells])
    return markdown_table(["", *[f"`{backbone}`" for backbone in SHOWN]], rows)


def module_list() -> str:
    """Every module with its line."""
    rows = [[f"`{name}`", card.summary] for name, card in MODULES.items()]
    return markdown_table(["module", "what it is"], rows, text_columns=(0, 1))


def backbone_list() -> str:
    """Every backbone with its line, and why it has no form with ``-tp`` where it has none."""
    rows = [[f"`{name}`", card.summary, card.no_temporal_pooling] for name, card in BACKBONES.items()]
    return markdown_table(["backbone", "what it is", "no `-tp`, because"], rows, text_columns=(0, 1, 2))


def alias_list() -> str:
    """Every alias with the name it stands for."""
    rows = [[f"`{alias}`", f"`{name}`"] for alias, name in ALIASES.items()]
    return markdown_table(["alias", "stands for"], rows, text_columns=(0, 1))


def study_list() -> str:
    """Every study with its number of cells, data sets and source."""
    found = [find_study(name) for name in STUDIES]
    rows = [
        [
            f"`{study.name}`",
            str(len(study.cells(study.datasets or ("any",)))),
            ", ".join(study.datasets) or "any",
            ", ".join(study.protocols),
            study.citation,
        ]
        for study in found
    ]
    return markdown_table(["study", "cells", "data sets", "protocols", "source"], rows, text_columns=(0, 2, 3, 4))


@cache
def paper_tables() -> str:
    """Every row of the papers' tables of cost beside ours."""
    header = ["network", "model", "parameters, paper", "ours", "multiply-adds, paper", "ours", "why they differ"]
    return "\n\n".join(
        f"### {title}\n\n{markdown_table(header, [paper_rows.cells(row) for row in rows], text_columns=(0, 1, 6))}"
        for title, rows in paper_rows.TABLES.items()
    )


def family_list() -> str:
    """Every family of foreign checkpoints with its networks."""

    def shown(network: Network) -> str:
        settings = {} if callable(network.options) else network.options
        return f"`{network.model}`" + "".join(f", {key} {value}" for key, value in settings.items())

    rows = [
        [f"`{family.name}`", family.source, "; ".join(dict.fromkeys(map(shown, family.networks))), family.citation]
        for family in FAMILIES.values()
    ]
    return markdown_table(["`--from`", "code", "networks", "source"], rows, text_columns=(0, 1, 2, 3))


def refused_list() -> str:
    """What cannot be imported, with the reason."""
    rows = [[name, reason] for name, reason in REFUSED_FAMILIES.items()]
    rows += [[family.name, reason] for family in FAMILIES.values() for reason in dict.fromkeys(family.refused.values())]
    return markdown_table(["code", "why"], rows, text_columns=(0, 1))


def ignored_list() -> str:
    """Tensors of files that no network needs."""
    rows = [
        [family.name, f"`{pattern}`", reason]
        for family in FAMILIES.values()
        for pattern, reason in family.ignored.items()
    ]
    return markdown_table(["code", "tensors", "why they are not needed"], rows, text_columns=(0, 1, 2))


def published_list() -> str:
    """Published weights by name."""
    rows = []
    for record in PUBLISHED:
        fed, scores = record.preprocessing, record.scores
        clip = f"{fed.frames} frames, {fed.sampling}" + (f", every {fed.stride}" if fed.sampling == "dense" else "")
        reached = [f"{scores[key]:.1f}" if key in scores else "" for key in ("top1", "top5")]
        rows.append([f"`{record}`", clip, f"{fed.crop_size}", *reached, record.protocol, record.citation])
    header = ["name", "clip", "crop", "top-1", "top-5", "measured as", "source"]
    return markdown_table(header, rows, text_columns=(0, 1, 5, 6))


def data_set_list() -> str:
    """Every public data set that is known by name."""
    rows = []
    for name, row in DATA_SETS.items():
        counts = [f"{number:,}" if number else "" for number in (row.num_train, row.num_val, row.num_test)]
        rows.append([f"`{name}`", row.summary, f"{row.num_classes}", *counts, row.source])
    header = ["name", "what it is", "classes", "train", "val", "test", "figures from"]
    return markdown_table(header, rows, text_columns=(0, 1, 6))


def recipe_list() -> str:
    """Every recipe of a paper."""
    rows = []
    for line in recipe_lines():
        if line.source:
            cells = line._replace(name=f"`{line.name}`", model=f"`{line.model}`", data=f"`{line.data}`")
            rows.append(list(cells))
    return markdown_table(list(HEADINGS), rows, text_columns=(0, 1, 2, 3, 8))


def public_names() -> str:
    """Every public name with the first line of its docstring, and what a function returns."""
    rows = []
    for name in kinema.__all__:
        found = getattr(kinema, name)
        line = re.sub(r"``(.+?)``", r"`\1`", (inspect.getdoc(found) or "").partition("\n\n")[0].replace("\n", " "))
        gives = "" if inspect.isclass(found) else f"`{inspect.signature(found).return_annotation}`"
        rows.append([f"`{name}`", line, gives.replace("|", "\\|")])
    return markdown_table(["name", "what it does", "gives"], rows, text_columns=(0, 1, 2))


def model_list() -> str:
    """How many names the list holds."""
    return f"`kinema models` lists {len(list_models())} names; placements and other stacks can be added to each."


TABLES: dict[str, Callable[[], str]] = {
    "models": model_table,
    "models-tp": lambda: model_table("-tp"),
    "model-count": model_list,
    "modules": module_list,
    "backbones": backbone_list,
    "aliases": alias_list,
    "studies": study_list,
    "paper-tables": paper_tables,
    "families": family_list,
    "refused": refused_list,
    "ignored": ignored_list,
    "published": published_list,
    "recipes": recipe_list,
    "data-sets": data_set_list,
    "public-names": public_names,
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
