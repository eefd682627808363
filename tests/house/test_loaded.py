"""Which heavy packages each verb loads: importing them takes longer than most of the verbs' own work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.demo.synthetic import make_reversible_shapes

HEAVY = {
    "torch": "torch",
    "compiler": "torch._dynamo",
    "sympy": "sympy",
    "onnx": "torch.onnx",
    "torchvision": "torchvision",
    "torchmetrics": "torchmetrics",
    "tensorboard": "torch.utils.tensorboard",
    "tensorflow": "tensorflow",
    "matplotlib": "matplotlib",
    "scipy": "scipy",
    "sklearn": "sklearn",
    "pandas": "pandas",
    "av": "av",
    "cv2": "cv2",
}
"""What is looked for, each with the module that shows it. Torch's compiler takes as long to import as torch itself, and
torchvision loads it; neither is ever wanted."""

READING = {"torch", "av", "cv2"}
TINY = ["--epochs", "1", "--schedule.epoch-clips", "10", "--schedule.min-steps", "0", "--workers", "0"]
TINY += ["--data.frames", "2", "--data.crop-size", "32", "--data.short-side", "32", "32", "--batch", "5"]


def loaded_by(*words: object) -> set[str]:
    """The heavy packages that a fresh process has loaded when a command is done."""
    texts = [str(word) for word in words]
    script = f"""
import json, sys
from kinema.cli.main import run
status = run({texts!r})
print("\\nloaded:" + json.dumps([status, [name for name, module in {HEAVY!r}.items() if module in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    status, names = json.loads(done.stdout.rsplit("loaded:", 1)[1])
    assert status == 0, done.stderr
    return set(names)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loaded")
    make_reversible_shapes(folder, num_videos=80, size=32, num_frames=3)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def training(videos: Path) -> tuple[Path, set[str]]:
    """A run, and what training it has loaded."""
    run = videos.parent / "run"
    return run, loaded_by("train", "tsm-resnettiny", "--recipe", "scratch", "--data", videos, "--out", run, *TINY)


@pytest.fixture(scope="module")
def scores(training: tuple[Path, set[str]], videos: Path) -> tuple[Path, set[str]]:
    """A score table, and what evaluating has loaded."""
    table = videos.parent / "scores.npz"
    words = ["--data", videos, "--split", "val", "--num-workers", "0", "--out", table]
    return table, loaded_by("evaluate", training[0], *words)


def test_training_and_evaluating(training: tuple[Path, set[str]], scores: tuple[Path, set[str]]) -> None:
    assert training[1] <= READING | {"tensorboard"}
    assert scores[1] <= READING


def test_predicting(training: tuple[Path, set[str]], videos: Path) -> None:
    clip = next(videos.parent.rglob("*.mp4"))
    assert loaded_by("predict", training[0], clip) <= READING
    assert loaded_by("predict", training[0], clip, "--window", "0.2") <= READING


def test_features_and_probe(training: tuple[Path, set[str]], videos: Path) -> None:
    words = ["--data", videos, "--num-workers", "0"]
    assert loaded_by("features", training[0], *words, "--split", "val", "--out", videos.parent / "f.npz") <= READING
    assert loaded_by("probe", training[0], *words, "--out", videos.parent / "probe") <= READING


def test_planning(videos: Path) -> None:
    """It counts on torch's meta device, parts of which load the compiler."""
    loaded = loaded_by("plan", "scratch", "tsm-resnettiny", "--data", videos, "--gpu", "a100")
    assert loaded <= READING | {"compiler", "sympy", "onnx", "tensorboard"}


def test_data(videos: Path) -> None:
    scanned = videos.parent / "scanned.csv"
    assert loaded_by("data", "scan", videos, "--out", scanned, "--num-workers", "0") <= READING
    assert (
        loaded_by("data", "pack", "--data", videos, "--out", videos.parent / "packed", "--num-workers", "0") <= READING
    )
    assert (
        loaded_by("data", "make", "folder", "--videos", videos.parent / "videos", "--out", videos.parent / "m.csv")
        == set()
    )


def test_flow(videos: Path) -> None:
    words = ["--out", videos.parent / "flow", "--method", "farneback", "--num-workers", "0"]
    assert loaded_by("flow", "extract", "--data", videos, *words) <= READING


def test_pictures(videos: Path) -> None:
    assert loaded_by("data", "show", videos, "--out", videos.parent / "sheet.png") <= READING | {"matplotlib"}


@pytest.mark.parametrize(
    "words", ["models tsm-*", "models --tags", "models tsn-* --json", "recipes", "recipes scratch"]
)
def test_lists_are_instant(words: str) -> None:
    assert loaded_by(*words.split()) == set()


def test_tables_are_instant(training: tuple[Path, set[str]], scores: tuple[Path, set[str]]) -> None:
    assert loaded_by("runs", training[0].parent) == set()
    assert loaded_by("scores", "show", scores[0]) == set()
    assert loaded_by("fuse", scores[0], scores[0]) == set()
