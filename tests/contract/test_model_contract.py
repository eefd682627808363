"""What every network has to do, whatever its module and backbone: a new name is held to it without a new test."""

import math
from collections.abc import Iterable, Iterator

import pytest
import torch
from noisy_models import FRAMES, NUM_CLASSES, SIZE, noisy_model, random_clips

from kinema import build_model
from kinema.models.action_model import ActionModel
from kinema.models.catalogue import BACKBONES, MODULES
from kinema.models.names import ModelName, list_models, listed_on
from kinema.specs.aliases import ALIASES

# Every module on every kind of backbone. resnettiny has all its names, the others every module with or without -tp and
# the two whose temporal pooling differs, tsn and i3d, with both.
KINDS = ("resnettiny", "resnet18", "resnet50", "inceptionv1", "efficientnetlite0")
HALVED = ("resnet18", "efficientnetlite0")
DEEPER = ("resnet34", "resnet101", "resnet152", "vgg16", "vgg19", "vresnet34")
"""The same code as another backbone's with more blocks, so only run on the meta device."""
SINGLE = [module for module in listed_on("resnettiny") if "+" not in module]
RUN = [
    *list_models("*-resnettiny*"),
    *(f"{module}-{kind}{'-tp' if kind in HALVED else ''}" for kind in KINDS[1:] for module in SINGLE),
    *(f"{module}-{kind}{'' if kind in HALVED else '-tp'}" for kind in KINDS[1:] for module in ("tsn", "i3d")),
    *("tsm+nl-resnet50", "i3d+se-inceptionv1", "tam+se-efficientnetlite0-tp"),
]
FORMS: list[tuple[str, dict[str, object]]] = [
    ("slowfast-resnettiny", {}),
    ("slowfast-resnet50", {"alpha": 2, "beta_inverse": 16}),
    ("slow-resnettiny-tp", {}),
    ("slow-resnet50", {}),
    *((f"{name}-blresnet50", {"bl_alpha": 4}) for name in ("tam", "nl", "s3d", "tam+se", "i3d")),
    *((name, {"bl_alpha": 4}) for name in ("tsn-blresnet50-tp", "i3d@top3-blresnet50-tp")),
    *((name, {}) for name in ("f-r2d", "mc3-vresnet18", "r2plus1d-vresnet18", "s3d-vresnet18", "tam+se-vresnet18")),
    ("r2d-vresnet18", {"frames": FRAMES}),
    ("r2d-resnettiny", {"frames": FRAMES}),
    ("r2plus1d-resnettiny", {"width_rule": "block"}),
    *((name, {}) for name in ("r2plus1d-resnettiny-tp", "r2plus1d@top3-inceptionv1-tp", "r3d-inceptionv1")),
    *((name, {}) for name in ("r2plus1d-efficientnetlite0-tp", "r3d-efficientnetlite0")),
    *((f"{module}-mfnet", {}) for module in ("i3d", "s3d", "tam", "tsm", "nl", "conv1d", "se", "i3d@top3", "r2plus1d")),
    ("tsn-mfnet", {"multiplexer": False}),
    ("tsm+nl-mfnet", {"fibers": 12}),
    *((name, {}) for name in ("tsn-mfnetwide", "tam-mfresnet18-tp", "i3d-mfmobilenetv2-tp", "tam-mfmobilenetv2")),
    *((f"{module}-mobilenetv2-tp", {"width_multiplier": 0.35}) for module in ("tsn", "i3d", "s3d", "tsm", "conv1d")),
    *((name, {}) for name in ("i3d-resnext26-tp", "s3d-resnext26", "tam-mobilenetv2", "nl-mobilenetv2")),
    *((f"{name}-inceptioni3d", {"width_multiplier": 0.25}) for name in ("i3d", "s3d", "s3d2", "s3dg", "i3d+gate")),
    *((f"{name}-inceptioni3d", {"width_multiplier": 0.25, "padding": "same"}) for name in ("tam", "tsm", "nl", "se")),
    *((f"{name}-inceptioni3d", {"width_multiplier": 0.25}) for name in ("conv1d", "r2plus1d", "tsm+nl", "i3d@top2")),
    ("i2d", {"width_multiplier": 0.25, "context_gate": True}),
    ("s3d2+gate-inceptioni3d", {"width_multiplier": 0.25, "stem": "space_to_depth", "padding": "same", "head": "mean"}),
    ("s3d+gate-inceptioni3d", {"width_multiplier": 0.25, "stem": "whole", "temporal_norm": False, "gate_bias": False}),
    ("s3dg-resnettiny-tp", {"gate_pool": "space"}),
    ("gate-resnettiny", {"gate_pool": "time"}),
    *((name, {}) for name in ("s3dg-inceptionv1", "gate-efficientnetlite0")),
    *((f"{module}-clarifainet", {"fc_widths": (32, 16)}) for module in ("tsn", "i3d", "s3d", "tam", "conv1d", "se")),
    *((f"{module}-clarifainet-tp", {"fc_widths": (32, 16)}) for module in ("tsn", "i3d", "s3d", "tsm", "nl")),
    *((name, {"fc_widths": (32, 16)}) for name in ("tsn-vgg11", "s3dg-vgg11", "tsm@top4-vgg11", "nl-vgg11")),
    *((f"{module}-googlenet", {}) for module in ("tsn", "i3d", "s3d", "tam", "tsm", "nl", "conv1d", "se")),
]
"""Names of the other papers' forms, with options that keep them small where there are such."""


def _words(names: Iterable[str]) -> set[str]:
    """The modules and backbones of some names."""
    parsed = [ModelName.parse(name) for name in names]
    return {word for name in parsed for word in (*name.modules, name.backbone)}


def _not_named_above() -> Iterator[tuple[str, dict[str, object]]]:
    """Rows of the catalogue that the lists above lack: a backbone with all that is listed on it, a module likewise."""
    named = _words([*RUN, *(name for name, _ in FORMS)])
    for name in list_models():
        new = _words([name]) - named - set(DEEPER)
        if new and name not in ALIASES:
            yield name, dict(ModelName.parse(name).needed_options(frames=FRAMES))


ALL = [*((name, {}) for name in RUN), *FORMS, *_not_named_above()]
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(scope="module", params=ALL, ids=lambda given: given[0])
def model(request: pytest.FixtureRequest) -> Iterator[ActionModel]:
    torch.set_grad_enabled(True)
    name, options = request.param
    return noisy_model(name, options=options)


def test_every_row_of_the_catalogue_is_run() -> None:
    """A new row is held to the contract unasked, unless no list shows it."""
    run = _words(name for name, _ in ALL)
    assert run | set(DEEPER) == {*MODULES, *BACKBONES}
    assert _words(list_models()) == {*MODULES, *BACKBONES}


def test_order_and_batch(model: ActionModel) -> None:
    """Shuffled frames change the scores of exactly the models that see order; a row does not depend on its batch."""
    clips = random_clips(2)
    shuffled = clips[:1, :, torch.tensor([3, 7, 0, 5, 1, 6, 4, 2])]
    with torch.inference_mode():
        scores = model(torch.cat([clips, shuffled]))
        alone = model(clips[1:])
    assert scores.shape == (3, NUM_CLASSES)
    torch.testing.assert_close(scores[1:2], alone, **CLOSE)
    difference = ((scores[0] - scores[2]).abs().max() / scores[0].abs().max()).item()
    if model.order_blind:
        assert difference < 1e-10
    else:
        assert difference > 1e-6


def test_gradient_reaches_every_parameter(model: ActionModel) -> None:
    model.zero_grad()
    # two time steps are left where time is halved, so that a module that compares neighbours still has some
    halved = model.temporal_stride > 1 and not model.num_frames
    model(random_clips(1, frames=2 * FRAMES if halved else FRAMES)).square().sum().backward()
    modules = [MODULES[word].load() for word in ModelName.parse(model.name).modules]
    for name, parameter in model.named_parameters():
        if not any(module.may_have_no_gradient(name) for module in modules):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 1e-16, name
    model.zero_grad()


@pytest.fixture(scope="module", params=list_models("*-resnettiny*"))
def tiny(request: pytest.FixtureRequest) -> ActionModel:
    return noisy_model(request.param)


@pytest.mark.parametrize("frames", [1, 5, 8, 16])
def test_any_number_of_frames_and_size(tiny: ActionModel, frames: int) -> None:
    clip = random_clips(1, frames=frames, size=SIZE + 9)[..., :SIZE]
    with torch.inference_mode():
        features = tiny.features(clip)
        scores = tiny(clip)
    assert features.shape[:3] == (1, tiny.num_features, math.ceil(frames / tiny.temporal_stride))
    assert scores.shape == (1, NUM_CLASSES)
    assert scores.isfinite().all()


def test_physical_order_of_the_clip_does_not_matter(tiny: ActionModel) -> None:
    clip = random_clips(2)
    with torch.inference_mode():
        scores = tiny(clip)
        torch.testing.assert_close(tiny(clip.contiguous(memory_format=torch.channels_last_3d)), scores, **CLOSE)
        frames_first = clip.transpose(1, 2).contiguous().transpose(1, 2)
        torch.testing.assert_close(tiny(frames_first), scores, **CLOSE)
        assert torch.equal(tiny(clip), scores)  # evaluation draws nothing at random


def test_state_survives_a_round_trip(tiny: ActionModel) -> None:
    again = build_model(tiny.name, num_classes=NUM_CLASSES).double().eval()
    clip = random_clips(1)
    with torch.inference_mode():
        assert not torch.equal(again(clip), tiny(clip))
        again.load_state_dict(tiny.state_dict())
        assert torch.equal(again(clip), tiny(clip))


def test_training_mode_trains(tiny: ActionModel) -> None:
    """One float32 step through batch norm in training mode; afterwards the running statistics have moved."""
    trained = build_model(tiny.name, num_classes=NUM_CLASSES).train()
    before = trained.get_buffer("bn1.running_mean").clone()
    scores = trained(random_clips(2).float())
    assert scores.dtype == torch.float32
    scores.sum().backward()
    assert all(parameter.grad is not None for parameter in trained.parameters())
    assert not torch.equal(trained.get_buffer("bn1.running_mean"), before)


@pytest.mark.parametrize("name", list_models())
def test_runs_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        options = ModelName.parse(name).needed_options(frames=FRAMES)
        model = build_model(name, num_classes=NUM_CLASSES, options=options).eval()
    with torch.inference_mode():
        features = model.features(torch.empty(2, 3, FRAMES, 64, 64, device="meta"))
        scores = model.head(features)
    assert features.shape[2] == FRAMES // model.temporal_stride
    assert scores.shape == (2, NUM_CLASSES)
    assert scores.device.type == "meta"


def test_parameter_free_modules_add_no_keys() -> None:
    with torch.device("meta"):
        tsn, tsm, i3d = (build_model(f"{module}-resnet50").state_dict() for module in ("tsn", "tsm", "i3d"))
    assert list(tsn) == list(tsm) == list(i3d)
    for key, value in i3d.items():
        assert value.ndim == (5 if tsn[key].ndim == 4 else tsn[key].ndim)
