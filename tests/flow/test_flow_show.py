"""``kinema flow show``: what the colours mean, both kinds of picture, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from make_videos import numbered_frames, write_video
from matplotlib.image import imread

from kinema.cli.main import run
from kinema.data.manifest import Manifest
from kinema.report.colour_wheel import flow_colours, wheel
from kinema.report.flow_picture import full_colour
from kinema.video.open import open_video


def test_colours_name_directions() -> None:
    flow = np.array([[[2.0, 0], [0, 2], [-2, 0], [0, 0]]])
    right, down, left, still = flow_colours(flow, largest=2.0)[0].tolist()
    assert right == [255, 0, 0]
    assert down[2] == 0
    assert min(down[:2]) > 200, "down is yellow"
    assert left[0] == 0
    assert min(left[1:]) > 180, "left is cyan"
    assert still == [255, 255, 255]


def test_wheel_shows_what_flow_gets() -> None:
    legend = wheel(101)
    assert legend[50, 50].min() > 245
    assert legend[50, -1].tolist() == flow_colours(np.array([[[1.0, 0.0]]]), largest=1.0)[0, 0].tolist() or (
        legend[50, -1, 0] == 255 and legend[50, -1, 1:].max() < 10
    )
    assert legend[0, 0].tolist() == [255, 255, 255]


def test_still_videos_stay_white() -> None:
    assert full_colour(np.full((1, 4, 4, 2), 0.01)) == 0.5


def test_png_and_mp4(shapes: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(shapes[0].path)
    picture = tmp_path / "new" / "flow.png"
    words = ["flow", "show", video, "--method", "farneback", "--short-side", "0"]
    assert run([*words, "--out", str(picture), "--count", "3"]) == 0
    assert "3 fields, farneback (opencv), step 1" in capsys.readouterr().out
    drawn = imread(picture)
    assert drawn.shape[2] == 4
    assert (np.ptp(drawn[..., :3], axis=-1) > 0.5).any(), "no colours"
    film = tmp_path / "flow.mp4"
    assert run([*words, "--out", str(film), "--step", "2"]) == 0
    with open_video(film) as made:
        assert made.size == (32, 64)
        assert made.count_frames() == 2  # 0 to 2 and 2 to 4 of six frames


def test_mistakes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    single = tmp_path / "single.mp4"
    write_video(single, numbered_frames(1))
    out = str(tmp_path / "flow.png")
    assert run(["flow", "show", str(single), "--out", out]) == 1
    assert "single.mp4: has one frame; flow with step 1 needs at least 2" in capsys.readouterr().err
    assert run(["flow", "show", str(single), "--out", "flow.gif"]) == 1
    assert ".png or .mp4; given flow.gif" in capsys.readouterr().err
    assert run(["flow", "show", str(single), "--step", "0"]) == 1
    assert "--step must be at least 1" in capsys.readouterr().err
    assert run(["flow", "show", str(tmp_path / "none.mp4"), "--out", out]) == 1
    assert "no such file" in capsys.readouterr().err
