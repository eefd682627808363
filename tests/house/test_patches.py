"""Tests speak through public doors: few of them replace parts of the package."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
MAX_PATCHES = 24


def patches(tree: ast.Module) -> Iterator[int]:
    """Lines that replace something of kinema: by ``setattr`` on a module or class of it, or on its dotted name."""
    ours = {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).startswith("kinema")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            target = node.args[0]
            named = isinstance(target, ast.Constant) and str(target.value).startswith("kinema")
            if named or (isinstance(target, ast.Name) and target.id in ours):
                yield node.lineno


def test_few_tests_patch_internals() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in patches(ast.parse(path.read_text()))
    ]
    assert len(found) <= MAX_PATCHES, found
