"""Fixtures of the video tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from video_kinds import make_kind


@pytest.fixture(scope="session")
def video_of_kind(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the path of a video of some kind, encoding it on first use."""
    folder = tmp_path_factory.mktemp("kinds")
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = make_kind(folder, kind)
        return made[kind]

    return get


@pytest.fixture(scope="session")
def torchcodec_loads() -> None:
    """Skip where torchcodec is not installed or finds no FFmpeg libraries."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"torchcodec does not load: {str(error).splitlines()[0]}")
