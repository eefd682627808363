"""From a name to a network: options, placements, composing from objects, and what the network says of itself."""

import pytest
import torch
from torch import nn

from kinema import build_model
from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.models.backbones.base import BackbonePlan
from kinema.models.backbones.resnet import RESNETS
from kinema.models.catalogue import BACKBONES, MODULES
from kinema.models.layers import ClipConv3d
from kinema.models.sites import Site
from kinema.models.temporal.base import TemporalModule
from kinema.models.temporal.nonlocal_block import NonLocalBlock
from kinema.models.temporal.tam import TemporalTaps
from kinema.models.temporal_pooling import TemporalMaxPool


def blocks_with(model: nn.Module, kind: type[nn.Module]) -> list[str]:
    return [name.rpartition(".")[0] for name, part in model.named_modules() if isinstance(part, kind)]


def meta(name: str, **arguments: object) -> ActionModel:
    with torch.device("meta"):
        return build_model(name, num_classes=3, **arguments)


def test_every_row_of_the_catalogue_has_a_home() -> None:
    for name, module in MODULES.items():
        assert issubclass(module.load(), TemporalModule), name
    for name, backbone in BACKBONES.items():
        assert isinstance(backbone.load(name), BackbonePlan), name


@pytest.mark.parametrize(
    ("placement", "blocks"),
    [
        ("@tophalf", ["layer3.0", "layer3.1", "layer4.0", "layer4.1"]),
        ("@bottomhalf", ["layer1.0", "layer1.1", "layer2.0", "layer2.1"]),
        ("@uniformhalf", ["layer1.0", "layer2.0", "layer3.0", "layer4.0"]),
        ("@top1", ["layer4.1"]),
        ("@top0", []),
    ],
)
def test_a_placement_is_where_the_module_sits(placement: str, blocks: list[str]) -> None:
    assert blocks_with(meta(f"tam{placement}-resnet18"), TemporalTaps) == blocks


def test_placement_decides_what_is_inflated_and_what_strides_time() -> None:
    model = meta("i3d@tophalf-resnet18-tp")
    kernels = {name: part.kernel_size[0] for name, part in model.named_modules() if isinstance(part, ClipConv3d)}
    assert kernels["conv1"] == kernels["layer2.1.conv2"] == 1
    assert kernels["layer3.0.conv1"] == kernels["layer4.1.conv2"] == 3
    assert blocks_with(model, TemporalMaxPool) == ["layer2.0"]  # outside the placement -tp pools
    assert model.get_submodule("layer3.0.conv1").stride[0] == 2
    assert model.get_submodule("layer3.0.downsample.0").stride[0] == 2
    assert not meta("i3d-resnet18-tp").order_blind


@pytest.mark.parametrize(
    ("name", "order_blind"),
    [
        ("tsn-resnet18", True),
        ("nl-resnet18", True),
        ("se-resnet18", True),
        ("i3d@top0-resnet18", True),
        ("tsn-resnet18-tp", False),
        ("tsm+nl-resnet18", False),
        ("tam@top1-resnet18", False),
    ],
)
def test_order_blind_is_what_no_part_sees(name: str, order_blind: bool) -> None:
    assert meta(name).order_blind is order_blind


def test_inception_has_tam_after_stem_convolutions_and_modules() -> None:
    parts = blocks_with(meta("tam-inceptionv1"), TemporalTaps)
    assert len(parts) == 12
    assert sum(part.startswith("inception") for part in parts) == 9


def test_tsm_on_inverted_bottlenecks_shifts_in_residual_branches_only() -> None:
    model = meta("tsm-efficientnetlite0")
    shifting = [index for index in range(16) if "Shift" in type(model.get_submodule(f"blocks.{index}.mix")).__name__]
    assert shifting == [2, 4, 6, 7, 9, 10, 12, 13, 14]


def test_nonlocal_blocks_sit_where_the_paper_or_the_option_says() -> None:
    usual = ["layer2.1", "layer2.3", "layer3.1", "layer3.3", "layer3.5"]
    assert blocks_with(meta("nl-resnet50"), NonLocalBlock) == usual
    chosen = ["layer2.0", "layer3.4"]
    assert blocks_with(meta("tsm+nl-resnet50", options={"nl_blocks": chosen}), NonLocalBlock) == chosen


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("tam-resnet18", {"options": {"tam_inti": "kaiming"}}, "did you mean tam_init"),
        ("tam-resnet18", {"options": {"shift_div": 4}}, "unknown option of tam-resnet18"),
        ("tam-resnet18", {"options": {"tam_init": "zeros"}}, "identity, kaiming"),
        ("tsm-resnet18", {"options": {"shift_div": 1}}, "shift_div must be 2 or more"),
        ("nl-resnet18", {"options": {"nl_blocks": ["layer2.9"]}}, "unknown block 'layer2.9'"),
        ("i3d-resnet18", {"options": {"inflation": "center"}}, "did you mean centre"),
        ("i3d+s3d-resnet18", {}, "both replace"),
        ("tsn-resnet18", {"num_classes": 0}, "num_classes"),
        ("tsn-resnet18", {"in_channels": 0}, "in_channels"),
        ("tsn-resnet18", {"dropout": 1.5}, "dropout"),
    ],
)
def test_wrong_options_are_explained(name: str, arguments: dict[str, object], told: str) -> None:
    with pytest.raises(UserError) as raised, torch.device("meta"):
        build_model(name, **arguments)
    assert told in str(raised.value)


def test_unknown_keywords_are_errors() -> None:
    with pytest.raises(TypeError):
        build_model("tsn-resnet18", classes=3)


def test_options_travel_with_the_model() -> None:
    options = {"tam_init": "kaiming", "se_reduction": 8, "inflation": "repeat"}
    model = meta("tam+se-resnet18", options=options)
    assert model.options == options
    assert model.get_submodule("layer1.0.branch_end.reduce").out_features == 8


class Reverse(TemporalModule):
    """A user's own module: it plays the frames backwards before every block of the last stage."""

    sees_order = False

    def mix(self, site: Site) -> nn.Module:
        return Flip() if site.stage == 4 else nn.Identity()


class Flip(nn.Module):
    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return clip.flip(2)


def test_a_module_of_ones_own_needs_no_registration() -> None:
    model = ActionModel.compose(RESNETS["resnettiny"], Reverse(), num_classes=4)
    assert model.name == "reverse-resnet"
    assert len(blocks_with(model, Flip)) == 2
    assert model(torch.randn(2, 3, 4, 32, 32)).shape == (2, 4)


def test_stages_and_head_cover_every_parameter_once() -> None:
    for name in ("tsm-resnettiny", "tam-inceptionv1", "se-efficientnetlite0"):
        model = meta(name)
        staged = [id(p) for stage in model.stage_names() for p in model.stage(stage).parameters()]
        head = [id(p) for p in model.head_parameters()]
        assert sorted(staged + head) == sorted(id(p) for p in model.parameters())
        assert len(head) == 2
    with pytest.raises(UserError, match="layer3"):
        meta("tsm-resnettiny").stage("layer33")


def test_stage_maps_end_in_the_features_and_compute_no_more_than_asked() -> None:
    model = build_model("tsm-resnettiny", num_classes=3).eval()
    clip = torch.randn(1, 3, 4, 64, 64)
    with torch.inference_mode():
        maps = dict(model.stage_maps(clip))
        assert list(maps) == model.stage_names() == ["stem", "layer1", "layer2", "layer3", "layer4"]
        assert [maps[stage].shape[-1] for stage in maps] == [16, 16, 8, 4, 2]
        assert torch.equal(maps["layer4"], model.features(clip))
        model.layer4 = None
        assert next(iter(model.stage_maps(clip)))[0] == "stem"


@pytest.mark.parametrize(
    "clip",
    [torch.zeros(3, 8, 32, 32), torch.zeros(1, 8, 3, 32, 32), torch.zeros(1, 3, 8, 32, 32, dtype=torch.uint8)],
    ids=["four axes", "frames before channels", "uint8"],
)
def test_wrong_clips_are_explained(clip: torch.Tensor) -> None:
    with pytest.raises(UserError, match="axes b c t h w and c = 3"):
        build_model("tsn-resnettiny", num_classes=3)(clip)


def test_scores_are_the_average_over_frames_also_with_dropout() -> None:
    """Dropout acts on every frame by itself, as in per-frame networks; the expected score stays the same."""
    model = build_model("tsn-resnettiny", num_classes=3, dropout=0.5)
    features = torch.rand(1, model.num_features, 4000, 1, 1)
    with torch.inference_mode():
        dropped = model.train().fc(features)
        kept = model.eval().fc(features)
    torch.testing.assert_close(dropped, kept, atol=0.02, rtol=0.0)
    assert not torch.equal(dropped, kept)
