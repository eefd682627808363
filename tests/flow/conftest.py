"""Flow stores of made-up fields and of tiny videos."""

import numpy as np
import pytest
import torch

from kinema.data.manifest import Manifest
from kinema.demo.synthetic import make_reversible_shapes
from kinema.derived.extract_flow import extract_flow


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Threads only get in each other's way on maps of a few pixels."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def fields() -> np.ndarray:
    """13 smooth fields, uint8 ``n h w c``; every one differs from the others."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (13, 4, 5, 2))
    return np.kron(coarse, np.ones((1, 8, 8, 1), np.int64)).astype(np.uint8)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """80 videos of 8 classes, 6 frames of 32 x 32 pixels each."""
    return make_reversible_shapes(tmp_path_factory.mktemp("shapes"), num_videos=80, size=32, num_frames=6)


@pytest.fixture(scope="session")
def flow_of_shapes(shapes: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The Farneback flow of ``shapes``: 5 fields each."""
    out = tmp_path_factory.mktemp("flow")
    result = extract_flow(shapes, out, method="farneback", backend="opencv", num_workers=0)
    assert result.bad == []
    assert result.manifest is not None
    return Manifest.read(result.manifest)
