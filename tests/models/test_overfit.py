"""Every family learns eight real clips by heart: the loss falls to a tenth within sixty steps, all values finite."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kinema import build_model
from kinema.models.action_model import TrainingScores
from kinema.video.open import open_video

STEPS = 60
NORMED = {"lr": 0.02, "size": 64, "frames": 8}
"""Networks with batch norm: plain SGD with momentum."""
UNNORMED = {"lr": 0.01, "size": 56, "frames": 2}
"""Networks without: smaller steps, so few frames that sixty steps of VGG-16 take minutes."""

FAMILIES = {
    **{f"{module}-resnet18": NORMED for module in ("tsn", "i3d", "s3d", "tam", "tsm", "conv1d", "nl", "se")},
    "tam-inceptionv1": NORMED,
    "tsm-efficientnetlite0": NORMED,
    "tam-mobilenetv2": NORMED,
    "tam-blresnet50": NORMED,
    "slowfast-resnet50": NORMED,
    "slow-resnet18": NORMED,
    "r2plus1d-vresnet18": NORMED,
    "r3d-vresnet18": NORMED,
    "r2d-vresnet18": NORMED,
    "mc3-vresnet18": NORMED,
    "rmc3-vresnet18": NORMED,
    "i3d-inceptioni3d": NORMED,
    "i2d": NORMED,
    "s3d-inceptioni3d": NORMED,
    "s3dg-inceptioni3d": NORMED,
    "i3d-mfnet": NORMED,
    "tsn-mfnet": NORMED,
    "tsn-mfresnet18": NORMED,
    "tsn-resnext26": NORMED,
    "tsn-vgg11": UNNORMED,
    "tsn-vgg16": UNNORMED,
    "tsn-googlenet": UNNORMED,
    "tsn-clarifainet": UNNORMED,
}
OPTIONS = {
    "r2d-vresnet18": {"frames": 8},
    "tsn-googlenet": {"aux": True},
    "tsn-vgg11": {"fc_dropout": (0.0, 0.0)},
    "tsn-vgg16": {"fc_dropout": (0.0, 0.0)},
    "tsn-clarifainet": {"fc_dropout": (0.0, 0.0)},
}


@pytest.fixture(scope="module")
def videos(shared_data: Path) -> list[Path]:
    """One video of each of eight classes."""
    folders = sorted(folder for folder in (shared_data / "ucf101_8c").iterdir() if folder.is_dir())
    return [sorted(folder.glob("*.mp4"))[0] for folder in folders[:8]]


def read_clips(videos: list[Path], frames: int, size: int) -> Tensor:
    """Evenly spaced frames, ``b c t h w``, scaled without regard to aspect and normalised."""
    clips = []
    for path in videos:
        with open_video(path) as video:
            places = [(2 * i + 1) * len(video) // (2 * frames) for i in range(frames)]
            pixels = torch.as_tensor(video.frames_at(places).pixels).permute(0, 3, 1, 2).float() / 255
        clips.append(F.interpolate(pixels, (size, size), mode="bilinear", antialias=True).transpose(0, 1))
    return (torch.stack(clips) - 0.45) / 0.225


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_overfits_eight_real_clips(name: str, videos: list[Path]) -> None:
    settings = FAMILIES[name]
    clips, labels = read_clips(videos, settings["frames"], settings["size"]), torch.arange(8)
    torch.manual_seed(0)
    model = build_model(name, num_classes=8, dropout=0.0, options=OPTIONS.get(name)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=settings["lr"], momentum=0.9)
    losses = []
    for _ in range(STEPS):
        answer = TrainingScores.of(model(clips))
        loss = F.cross_entropy(answer.logits, labels)
        losses.append(loss.item())
        if losses[-1] < 0.1 * losses[0]:
            break
        helping = sum((F.cross_entropy(scores, labels) for scores in answer.auxiliary), torch.zeros(()))
        optimizer.zero_grad()
        (loss + 0.3 * helping).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0, error_if_nonfinite=True)
        optimizer.step()
    assert all(map(torch.isfinite, map(torch.tensor, losses)))
    assert losses[-1] < 0.1 * losses[0], f"from {losses[0]:.3f} to {losses[-1]:.3f}"
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
