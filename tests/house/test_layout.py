"""The house rules that a machine can hold: import direction, sizes, words, and what an import may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "kinema"
FILES = sorted(SOURCE.rglob("*.py"))

# A layer may import itself and whatever stands before it.
LAYERS = ["specs", "compute", "flow", "models", "weights", "video", "data", "derived", "inference", "evaluation"]
LAYERS += ["training", "detection", "recipes", "planning", "study", "report", "export", "serve", "demo", "cli"]
HEAVY = ["torch", "torchvision", "av", "cv2", "matplotlib", "sklearn", "torchmetrics"]
BANNED_WORDS = ["utils", "util", "helper", "helpers", "misc", "manager", "cfg"]
BANNED_WORDS += ["place", "places", "share", "shares", "told", "said", "wish", "wishes"]  # they hide what a name holds
ALLOWED_NAMES = {"share_memory_", "in_place", "wait_share"}  # torch's own, the usual word, and a column of metrics.csv
MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 60


def imported_modules(tree: ast.AST) -> list[str]:
    """Every absolute module name that a file imports, at any depth, except for type checking only."""
    names: list[str] = []
    checked_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in checked_only:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def layer_of(module: str) -> str:
    """The layer that a dotted kinema module belongs to ('' for shapes, errors and the package itself)."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    own = path.relative_to(SOURCE).parts[0]
    if own not in LAYERS:
        return
    allowed = LAYERS[: LAYERS.index(own) + 1]
    for module in imported_modules(ast.parse(path.read_text())):
        if module.startswith("kinema.") and layer_of(module):
            assert layer_of(module) in allowed, f"{path.name} of {own} imports {module}"


def test_specs_need_no_torch() -> None:
    for path in FILES:
        if path.is_relative_to(SOURCE / "specs"):
            packages = {module.split(".")[0] for module in imported_modules(ast.parse(path.read_text()))}
            assert packages <= {*sys.stdlib_module_names, "numpy", "kinema"}, path


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(SOURCE / "models")], ids=lambda p: p.name)
def test_models_need_only_torch(path: Path) -> None:
    top_level = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)]
    for module in imported_modules(ast.Module(body=top_level, type_ignores=[])):
        package = module.split(".")[0]
        assert package in {*sys.stdlib_module_names, "torch", "torchvision", "kinema"}, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


def test_the_page_names_every_package() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for path in sorted(SOURCE.iterdir()):
        if (path / "__init__.py").exists():
            assert path.name in LAYERS
            assert f"`{path.name}`" in page


def test_median_file_is_short() -> None:
    lengths = sorted(len(p.read_text().splitlines()) for p in FILES if p.name != "__init__.py")
    assert lengths[len(lengths) // 2] < 150


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_vague_names(path: Path) -> None:
    assert not set(path.stem.split("_")) & set(BANNED_WORDS)
    for node in ast.walk(ast.parse(path.read_text())):
        name = getattr(node, "name", None) or getattr(node, "id", None) or getattr(node, "arg", None)
        if isinstance(name, str) and name not in ALLOWED_NAMES:
            assert not set(name.lower().split("_")) & set(BANNED_WORDS), f"{path.name}: {name}"


def test_no_two_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_only_public_names_of_other_packages(path: Path) -> None:
    for module in imported_modules(ast.parse(path.read_text())):
        if not module.startswith("kinema"):
            private = [p for p in module.split(".") if p.startswith("_") and not p.endswith("__")]
            assert not private, f"{path.name} imports {module}"


def loaded_by(code: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after ``code``."""
    script = f"import sys\n{code}\nprint('\\nloaded:', *[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("loaded:", 1)[1].split())


def test_import_is_light() -> None:
    assert loaded_by("import kinema, kinema.cli.main; dir(kinema)") == set()
    light = "import kinema; kinema.ModelName.parse('tsm-resnet50'); kinema.list_models(); kinema.Recipe"
    assert loaded_by(light) == set()


def test_a_prediction_starts_without_torchvision() -> None:
    """It takes longer to import than a short video to name."""
    assert "torchvision" not in loaded_by("import kinema.evaluation.predict, kinema.evaluation.run")


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["data", "--help"], ["evaluate", "--help"]])
def test_help_is_light(words: list[str]) -> None:
    assert loaded_by(f"from kinema.cli.main import run\nassert run({words!r}) == 0") == set()


def test_a_plan_refuses_an_unknown_recipe_at_once() -> None:
    """Torch takes seconds to import, and the mistake is known without it."""
    assert loaded_by("from kinema.cli.main import run\nassert run(['plan', 'finetun', 'tsm-resnet18']) == 1") == set()


def test_public_names() -> None:
    import kinema

    assert len(kinema.__all__) <= 29  # 27 for a day's work, and the two that name parts of one's own
    for name in kinema.__all__:
        assert callable(getattr(kinema, name)), name
        assert getattr(kinema, name).__doc__
    with pytest.raises(AttributeError, match="public names are"):
        _ = kinema.nonsense
