"""MobileNet-v2 is torchvision's, and with TSM's shift the public code's."""

from pathlib import Path

import pytest
import torch
import torchvision
from noisy_models import noisy_model, random_clips
from published_networks import read_reference

from kinema import build_model
from kinema.models.temporal.tsm import Shift
from kinema.models.temporal_pooling import TemporalMaxPool
from kinema.weights.importing.tsm import foreign_keys


def test_frames_get_what_torchvision_says_of_images() -> None:
    ours = noisy_model("tsn-mobilenetv2")
    theirs = torchvision.models.mobilenet_v2(num_classes=ours.num_classes).double().eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())

    clip = random_clips(1, frames=2, size=39)[..., :38]
    scores, frames = ours(clip), torch.stack([theirs(clip[:, :, time]) for time in range(2)]).mean(0)
    torch.testing.assert_close(scores, frames, rtol=1e-9, atol=1e-9)
    for logits in (scores, frames):
        (logits * torch.arange(1.0, 6.0)).sum().backward()
    for (name, our), (_, their) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert our.grad is not None
        assert their.grad is not None
        scale = max(their.grad.abs().max().item(), 1.0)
        torch.testing.assert_close(our.grad, their.grad, rtol=1e-9, atol=1e-9 * scale, msg=name)


@pytest.mark.parametrize("width", [0.35, 1.0, 1.4])
def test_all_widths_have_torchvisions_shapes(width: float) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.mobilenet_v2(width_mult=width, num_classes=7).state_dict()
        ours = build_model("tsm-mobilenetv2", num_classes=7, options={"width_multiplier": width}).state_dict()
    assert [(key, value.shape) for key, value in ours.items()] == [(key, value.shape) for key, value in theirs.items()]


def test_public_tsm_agrees(shared_published: Path) -> None:
    reference = read_reference(shared_published, "tsm-mobilenetv2-shift8_blockres")
    model = build_model("tsm-mobilenetv2").double().eval()
    keys = foreign_keys(model)
    assert sorted(keys.values()) == sorted(reference.state)
    model.load_state_dict({ours: reference.state[theirs] for ours, theirs in keys.items()})
    with torch.inference_mode():
        logits = model(reference.clip)[0]
    assert ((logits - reference.logits).abs().max() / reference.logits.abs().max()).item() < 1e-9


def test_where_frames_meet_and_time_is_halved() -> None:
    with torch.device("meta"):
        model = build_model("tsm-mobilenetv2-tp")
    shifts = [name for name, part in model.named_modules() if isinstance(part, Shift)]
    assert shifts == [f"features.{block}.mix" for block in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)]
    pools = [name for name, part in model.named_modules() if isinstance(part, TemporalMaxPool)]
    assert pools == [f"features.{block}.time_pool" for block in (4, 7, 14)]
    assert model.temporal_stride == 8


def test_parts_called_features_are_found_beside_the_method() -> None:
    model = noisy_model("tam-mobilenetv2")
    clip = random_clips(1)
    taps = model.get_parameter("features.3.mix.taps")
    assert model.stage("group2")[1].mix.taps is taps
    with torch.inference_mode():
        assert model.features(clip).shape == (1, 1280, 8, 1, 1)
