"""A few tiny videos, images and flow stores, and recipes cut down to them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from make_videos import numbered_frames, write_video

from kinema.data.manifest import Manifest, Record
from kinema.video.flow_store import FlowDescription
from kinema.video.flow_writer import writing_store

NUM_FIELDS = 12


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Threads only get in each other's way on maps of a few pixels."""
    torch.set_num_threads(1)


def manifest_of(paths: list[Path]) -> Manifest:
    """Training videos, of two classes in turn."""
    records = [Record(path.name, str(path), "ab"[row % 2], split="train") for row, path in enumerate(paths)]
    return Manifest.from_records(records, classes=["a", "b"], root=paths[0].parent)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory, shared_data_if_there: Path | None) -> Manifest:
    """Three real clips where there are any, else generated ones of 10 frames."""
    if shared_data_if_there is not None:
        real = shared_data_if_there / "ucf101_8c"
        return manifest_of([*sorted((real / "Lunges").glob("*.mp4"))[:2], min((real / "Punch").glob("*.mp4"))])
    folder = tmp_path_factory.mktemp("videos")
    return manifest_of([write_video(folder / f"{row}.mp4", numbered_frames(10, first=16 * row)) for row in range(3)])


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Three JPEG files."""
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{row}.jpg" for row in range(3)]
    for row, path in enumerate(paths):
        assert cv2.imwrite(str(path), numbered_frames(1, first=16 * row)[0])
    return manifest_of(paths)


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, float], Manifest]:
    """Stores of made-up flow, by method and bound."""
    fields = np.random.default_rng(0).integers(60, 200, (NUM_FIELDS, 48, 64, 2)).astype(np.uint8)
    found = {}
    for method, bound in (("tvl1", 20.0), ("farneback", 20.0), ("tvl1", 15.0)):
        folder = tmp_path_factory.mktemp(method)
        paths = [folder / f"{row}.flow.zip" for row in range(3)]
        for path in paths:
            description = FlowDescription(
                method=method,
                backend="torch",
                version="1",
                bound=bound,
                kind="jpeg",
                step=1,
                size=fields.shape[1:3],
                num_fields=0,
                fps=25.0,
                short_side=0,
                quality=95,
                source=path.name,
            )
            with writing_store(path, description) as writer:
                writer.add(fields)
        found[method, bound] = manifest_of(paths)
    return found
