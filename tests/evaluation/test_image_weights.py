"""``model.imagenet``: features of networks that nobody has trained on videos, and no answers that they cannot give."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from make_videos import numbered_frames, write_video

import kinema
from kinema import build_model, load
from kinema.cli.main import run
from kinema.errors import CheckpointError, UserError
from kinema.specs.preprocessing import Preprocessing

NAME = "tsn-efficientnetlite0"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos whose short side is 256 pixels, so that nothing is resized."""
    folder = tmp_path_factory.mktemp("videos")
    for place, num_frames in enumerate((21, 5)):
        write_video(folder / f"{place}.mp4", numbered_frames(num_frames, 256, 288, first=40 * place), gop=8)
    (folder / "my.csv").write_text("video_id,path,label,split\na,0.mp4,,test\nb,1.mp4,,test\n")
    return folder


def test_features_are_those_of_the_frames(videos: Path) -> None:
    """Worked out again from the decoded pixels: 8 even places, centre crop, the weights' own normalisation."""
    table = kinema.features(f"{NAME}.imagenet", videos / "my.csv", num_workers=0)
    model = build_model(NAME, num_classes=1000, weights="imagenet").eval()
    for row, num_frames in enumerate((21, 5)):
        places = [min(int(num_frames / 16 + x * num_frames / 8), num_frames - 1) for x in range(8)]
        with kinema.open_video(videos / f"{row}.mp4") as video:
            pixels = torch.from_numpy(np.array(video.frames_at(places).pixels))[:, 16:240, 32:256]
        clip = ((pixels / 255 - 127 / 255) / (128 / 255)).permute(3, 0, 1, 2)[None]
        with torch.inference_mode():
            expected = model.features(clip).mean(dim=(0, 2, 3, 4)).numpy()
        np.testing.assert_allclose(table.features[row], expected, rtol=1e-4, atol=1e-5)
    assert table.meta["model"] == table.meta["checkpoint"] == f"{NAME}.imagenet"
    assert table.meta["seen"].startswith("protocol clip for a network of 8 frames, uniform")


@pytest.mark.parametrize(
    "name", [NAME, "tsm-efficientnetlite0-tp", "i3d@top2-efficientnetlite0", "se-efficientnetlite0"]
)
def test_load_is_the_same_every_time(name: str) -> None:
    """Untrained parts too, and without touching the caller's random numbers."""
    torch.manual_seed(5)
    trained = load(f"{name}.imagenet")
    drawn = torch.rand(1)
    assert trained.weights_sha256 == load(f"{name}.imagenet").weights_sha256
    assert (trained.classes, trained.model.tag, trained.path) == ((), f"{name}.imagenet", f"{name}.imagenet")
    assert trained.preprocessing == Preprocessing(frames=8, resize=(256,), mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    assert bool(trained.notes) == (name == "se-efficientnetlite0")


def test_untrained_parts_are_said(videos: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kinema"):
        kinema.features("se-efficientnetlite0.imagenet", videos / "my.csv", protocol="image", num_workers=0)
    added = sum(p.numel() for p in build_model("se-efficientnetlite0").parameters())
    added -= sum(p.numel() for p in build_model(NAME).parameters())
    assert f"se adds {added:,} parameters that ImageNet weights lack; they are untrained" in caplog.text


@pytest.mark.parametrize("loaded", [False, True])
def test_no_actions_are_named(videos: Path, loaded: bool) -> None:
    network = load(f"{NAME}.imagenet") if loaded else f"{NAME}.imagenet"
    for ask in (
        lambda: kinema.evaluate(network, videos / "my.csv"),
        lambda: kinema.predict(network, videos / "0.mp4"),
        lambda: kinema.timeline(network, videos / "0.mp4", window_sec=0.5),
    ):
        with pytest.raises(UserError, match=rf"^{NAME}\.imagenet tells objects .*features \(kinema features {NAME}"):
            ask()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("tsn-googlenet.imagenet", UserError, "there are no ImageNet weights of googlenet; there are of resnet18"),
        ("slowfast-resnet50.imagenet", UserError, "slowfast-resnet50 cannot start from ImageNet weights: its pathways"),
        ("tsn-resnet18.imagnet", UserError, "did you mean imagenet"),
        ("tsnn-resnet18.imagenet", UserError, "unknown temporal module 'tsnn'; did you mean tsn"),
        ("tsm-resnet50", CheckpointError, r"weights of this model: tsm-resnet50\.k400-f8, .*, tsm-resnet50\.imagenet$"),
        ("tsn-googlenet", CheckpointError, "no such checkpoint file or run directory$"),
    ],
)
def test_weights_that_there_are_not(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load(name)


def test_command(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "f.npz"
    assert run(["features", f"{NAME}.imagenet", "--data", str(videos / "my.csv"), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "2 videos x 1,280 features" in printed.out
    assert "8 frames, uniform, stride 1; short side 256 pixels, 1 crop of 224" in printed.err
    assert run(["evaluate", f"{NAME}.imagenet", "--data", str(videos / "my.csv")]) == 1
    assert "knows no action" in capsys.readouterr().err
