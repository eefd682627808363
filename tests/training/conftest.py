"""A tiny data set of real video files, and a recipe that trains on it in a second."""

from pathlib import Path

import pytest
import torch

from kinema.data.manifest import Manifest
from kinema.demo.synthetic import make_reversible_shapes
from kinema.specs.data import DataSpec
from kinema.specs.recipe import OptimSpec, Recipe, ScheduleSpec, TrainSpec


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Threads only get in each other's way on maps of a few pixels."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """80 videos of 8 classes: 48 to train on, 8 to validate on, 24 to test on."""
    return make_reversible_shapes(tmp_path_factory.mktemp("shapes"), num_videos=80, size=32, num_frames=6)


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """Everything random is on: crops, flips, dropout, mixup; an average of the weights is kept."""
    return Recipe(
        name="tiny",
        model="tsm-resnettiny",
        data=DataSpec(frames=4, short_side=(32, 36), crop_size=32, num_workers=0),
        optim=OptimSpec(lr=0.05, clip_norm=1.0),
        schedule=ScheduleSpec(epochs=2, warmup_epochs=0.5),
        train=TrainSpec(batch_size=10, mixup=0.2, label_smoothing=0.1, ema_decay=0.9),
    )


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return tmp_path / "run"
