"""Fixtures that every test file may use."""

import os
import tempfile
from pathlib import Path

import pytest

# One intra-op thread: results do not depend on the machine's core count, and two test processes do not fight.
os.environ["OMP_NUM_THREADS"] = "1"

# What is known of videos is kept in a file of this test process, away from that of whoever runs the tests.
_SCRATCH = tempfile.TemporaryDirectory()
os.environ["KINEMA_VIDEO_INDEX"] = f"{_SCRATCH.name}/videos.sqlite3"

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


def _shared_folder(name: str) -> Path:
    folder = (SHARED / name).resolve()
    if not folder.is_dir():
        pytest.skip(f"the folder of real {name} is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def shared_data_if_there() -> Path | None:
    """The folder of real clips, for tests that make do with others."""
    folder = (SHARED / "data").resolve()
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips, annotation files, scores and weights; tests that want them skip where they are absent."""
    return _shared_folder("data")


@pytest.fixture(scope="session")
def shared_published() -> Path:
    """Published numbers, key lists and reference outputs of public implementations."""
    return _shared_folder("published")


@pytest.fixture(autouse=True)
def _no_terminal_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep command output plain and wide, so that assertions on text do not depend on the terminal."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
