"""Foreign tensors find their places exactly: what is missing, left over or of another shape is listed by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from kinema import build_model, load
from kinema.cli.main import run
from kinema.errors import CheckpointError, UserError
from kinema.models.action_model import ActionModel
from kinema.weights.importing import vmz
from kinema.weights.importing.choosing import choose
from kinema.weights.importing.families import FAMILIES, REFUSED_FAMILIES
from kinema.weights.importing.family import KeyMap, Network
from kinema.weights.importing.fitting import fit
from kinema.weights.importing.importer import import_checkpoint

SMALL = "tam-resnettiny"
"""A network of IBM's zoo that is small: its code builds any ResNet."""


def as_theirs(model: ActionModel, keys: KeyMap) -> dict[str, Tensor]:
    """A model's tensors as a foreign file holds them: the key map run backwards, stacks taken apart."""
    theirs: dict[str, Tensor] = {}
    names = keys(model)
    for key, value in model.state_dict().items():
        wanted = names.get(key, "")
        for index, name in enumerate((wanted,) if isinstance(wanted, str) else wanted):
            theirs[name] = value if isinstance(wanted, str) else value[index][:, None, None, None]
    return {name: value for name, value in theirs.items() if name}


@pytest.fixture
def theirs() -> dict[str, Tensor]:
    """The small network's tensors by IBM's names, every one different."""
    torch.manual_seed(0)
    model = build_model(SMALL, num_classes=5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return as_theirs(model, FAMILIES["ibm"].networks[0].keys)


def test_a_small_twin_comes_back(theirs: dict[str, Tensor]) -> None:
    """Three convolutions of a TAM are one parameter of ours, taps in the order previous, current, next."""
    imported = import_checkpoint(theirs, "ibm", model=SMALL)
    taps = imported.model.get_parameter("layer2.0.mix.taps")
    for tap, name in zip(taps, ("prev", "curr", "next"), strict=True):
        assert torch.equal(tap, theirs[f"layer2.0.tam.{name}_se.fc1.weight"].flatten())
    assert torch.equal(imported.model.get_parameter("fc.weight"), theirs["fc.weight"])
    assert imported.classes == ("0", "1", "2", "3", "4")
    assert any("names of the 5 classes" in note for note in imported.notes)
    assert not imported.model.training


def test_counters_of_batches_may_be_absent(theirs: dict[str, Tensor]) -> None:
    before_2018 = {key: value for key, value in theirs.items() if not key.endswith("num_batches_tracked")}
    assert len(before_2018) < len(theirs)
    counter = import_checkpoint(before_2018, "ibm", model=SMALL).model.get_buffer("bn1.num_batches_tracked")
    assert counter == 0
    assert counter.dtype == torch.int64


def test_what_does_not_fit_is_listed(theirs: dict[str, Tensor]) -> None:
    changed = dict(theirs)
    del changed["layer1.0.bn2.running_mean"], changed["layer3.1.tam.next_se.fc1.weight"]
    changed["extra.weight"] = torch.zeros(3)
    changed["conv1.weight"] = torch.zeros(16, 3, 3, 3)
    with pytest.raises(CheckpointError) as raised:
        import_checkpoint(changed, "ibm", model=SMALL)
    told = str(raised.value)
    assert "do" in told
    assert "2 missing in the file: layer1.0.bn2.running_mean, layer3.1.tam.next_se.fc1.weight" in told
    # the other two taps of the broken place stay over
    assert "extra.weight (3,)" in told
    assert "layer3.1.tam.curr_se.fc1.weight" in told
    assert "1 of another shape: conv1.weight (16, 3, 3, 3) for conv1.weight (16, 3, 5, 5)" in told


def test_a_missing_or_bent_classifier_is_listed(theirs: dict[str, Tensor]) -> None:
    headless = {key: value for key, value in theirs.items() if not key.startswith("fc.")}
    with pytest.raises(CheckpointError, match=r"2 missing in the file: fc\.weight, fc\.bias"):
        import_checkpoint(headless, "ibm", model=SMALL)
    with pytest.raises(CheckpointError, match=r"1 of another shape: fc\.bias \(4,\) for fc\.bias \(5,\)"):
        import_checkpoint({**theirs, "fc.bias": torch.zeros(4)}, "ibm", model=SMALL)


def test_shapes_are_not_bent(theirs: dict[str, Tensor]) -> None:
    """Axes of one may be left out, never moved: a kernel over height is none over time."""
    weight = theirs["layer1.0.conv1.weight"]
    flat = {**theirs, "layer1.0.conv1.weight": weight[:, :, None]}
    assert import_checkpoint(flat, "ibm", model=SMALL).model.name == SMALL
    for bent in (weight[..., None], weight.transpose(0, 1)[None], weight.flatten(2)):
        with pytest.raises(CheckpointError, match=r"1 of another shape: layer1\.0\.conv1\.weight"):
            import_checkpoint({**theirs, "layer1.0.conv1.weight": bent}, "ibm", model=SMALL)


def test_class_names_are_given_known_or_numbers(theirs: dict[str, Tensor], tmp_path: Path) -> None:
    names = ["walk", "run, fast", "jump", "sit", "climb stairs"]
    listed, table = tmp_path / "names.txt", tmp_path / "classes.csv"
    listed.write_text("\n".join(names) + "\n")
    table.write_text('name,no_flip\nwalk,\n"run, fast",\njump,1\nsit,\nclimb stairs,\n')
    for given in (names, listed, table):
        assert import_checkpoint(theirs, "ibm", model=SMALL, classes=given).classes == tuple(names)
    with pytest.raises(UserError, match="the file has 5 classes, 4 names are given"):
        import_checkpoint(theirs, "ibm", model=SMALL, classes=names[1:])
    with pytest.raises(UserError, match="given more than once: walk"):
        import_checkpoint(theirs, "ibm", model=SMALL, classes=["walk", "walk", "a", "b", "c"])
    listed.write_text("\n")
    for bad in (listed, tmp_path / "absent.txt"):
        with pytest.raises(UserError, match=bad.name):
            import_checkpoint(theirs, "ibm", model=SMALL, classes=bad)


def test_preprocessing_can_be_said(theirs: dict[str, Tensor]) -> None:
    imported = import_checkpoint(theirs, "ibm", model=SMALL, preprocessing={"frames": 32, "sampling": "dense"})
    assert imported.preprocessing.frames == 32
    assert imported.preprocessing.mean == (0.485, 0.456, 0.406)
    assert "input" not in imported.assumed
    usual = import_checkpoint(theirs, "ibm", model=SMALL)
    assert usual.assumed == {"input": "8 frames, uniform, stride 1"}
    with pytest.raises(UserError, match="did you mean frames"):
        import_checkpoint(theirs, "ibm", model=SMALL, preprocessing={"frame": 32})


def test_networks_that_look_alike_must_be_told_apart() -> None:
    with torch.device("meta"):
        model = build_model("i3d-resnet18")
    tensors = as_theirs(model, FAMILIES["ibm"].networks[0].keys)
    with pytest.raises(UserError, match=r"i3d-resnet18; i3d-resnet18-tp\. Say which it is"):
        choose(FAMILIES["ibm"], tensors, "f.pth", model="", options={})
    with pytest.raises(UserError, match="tsm has no i3d-resnet18; it has: tsn-resnet50"):
        choose(FAMILIES["tsm"], tensors, "f.pth", model="i3d-resnet18", options={})


def test_an_option_says_what_the_tensors_do_not() -> None:
    """SlowFast's 8x8 and 16x8 have the same tensors and see other frames; the first is what is published."""
    with torch.device("meta"):
        model = build_model("slowfast-resnet50", options={"setting": "16x8"})
    tensors = as_theirs(model, FAMILIES["pytorchvideo"].networks[0].keys)
    for options, setting in (({}, "8x8"), ({"setting": "16x8"}, "16x8")):
        found = choose(FAMILIES["pytorchvideo"], tensors, "f.pth", model="slowfast-resnet50", options=options)
        assert found.shell.options == {"setting": setting}
    with pytest.raises(UserError, match="unknown option of slowfast-resnet50 'settings'"):
        choose(FAMILIES["pytorchvideo"], tensors, "f.pth", model="slowfast-resnet50", options={"settings": "8x8"})


def test_what_cannot_be_imported_says_why(theirs: dict[str, Tensor]) -> None:
    for name in REFUSED_FAMILIES:
        with pytest.raises(UserError, match=f"{name} cannot be imported: "):
            import_checkpoint(theirs, name)
    with pytest.raises(UserError, match="did you mean ibm"):
        import_checkpoint(theirs, "ibn")
    r2plus1d = {"backbone.layer1.0.conv1.conv.conv_s.weight": torch.zeros(83, 64, 1, 3, 3)}
    with pytest.raises(UserError, match="63,759,281 parameters"):
        import_checkpoint(r2plus1d, "mmaction2")
    with pytest.raises(UserError, match="no norm behind the lateral"):
        import_checkpoint({"backbone.slow_path.conv1.conv.weight": torch.zeros(1)}, "mmaction2")
    with pytest.raises(UserError, match="I3D-50"):
        import_checkpoint({"backbone.conv1.conv.weight": torch.zeros(64, 3, 5, 7, 7)}, "mmaction2")


def shell(network: Network) -> ActionModel | None:
    """A family's network on the meta device; None where the file has to say an option, or a shallower one is there."""
    if callable(network.options) or any(word in network.model for word in ("*", "101", "152")):
        return None
    with torch.device("meta"):
        return build_model(network.model, options=network.options)


@pytest.mark.parametrize("name", FAMILIES)
def test_networks_of_a_family_are_told_apart(name: str) -> None:
    """Each network's tensors, by the family's names, fit that network and no other, unless the tensors are the same."""
    family = FAMILIES[name]
    shells = [(network, model) for network in family.networks if (model := shell(network)) is not None]
    files = [as_theirs(model, network.keys) for network, model in shells]
    shapes = [{key: value.shape for key, value in tensors.items()} for tensors in files]
    for index, tensors in enumerate(files):
        for other, (network, model) in enumerate(shells):
            # a different number of tensors cannot fit; the rest is compared one by one
            if len(tensors) == len(files[other]):
                fits = fit(model, tensors, family, network).num_faults == 0
                assert fits == (shapes[index] == shapes[other]), (str(shells[index][1].name), model.name)


def test_tsm_flow_networks_are_seen_in_the_first_convolution() -> None:
    model = build_model("tsn-mobilenetv2", num_classes=3, in_channels=10)
    keys = next(network.keys for network in FAMILIES["tsm"].networks)
    imported = import_checkpoint(as_theirs(model, keys), "tsm")
    assert imported.model.name == "tsn-mobilenetv2"
    assert imported.model.in_channels == 10
    assert imported.preprocessing.modality == "flow"
    assert imported.preprocessing.mean == (0.5,) * 10
    assert imported.preprocessing.std == (0.226,) * 10


def test_tensorflow_variables_of_i3d(tmp_path: Path) -> None:
    """Flow scope, axes the other way round, no gamma: as kinetics-i3d has them."""
    torch.manual_seed(0)
    model = build_model("i3d-inceptioni3d", num_classes=4, in_channels=2, options={"padding": "same"})
    network = FAMILIES["kinetics-i3d"].networks[0]
    variables: dict[str, np.ndarray] = {"global_step": np.array(7)}
    for name, value in as_theirs(model, network.keys).items():
        if name.endswith("/w"):
            whole = value if value.ndim == 5 else value[:, :, None, None, None]
            variables[f"Flow/inception_i3d/{name}"] = whole.permute(2, 3, 4, 1, 0).numpy()
        elif "batch_norm" in name and not name.endswith("gamma"):
            variables[f"Flow/inception_i3d/{name}"] = value.numpy().reshape(1, 1, 1, 1, -1)
        elif not name.endswith("gamma"):
            variables[f"Flow/inception_i3d/{name}"] = value.numpy()
    imported = import_checkpoint(variables, "kinetics-i3d")
    assert imported.ignored == {"global_step": "state of the training"}
    assert imported.preprocessing.modality == "flow"
    state = imported.model.state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(state[key], value), key


def test_the_command_writes_a_checkpoint(
    theirs: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "their.pth.tar", tmp_path / "ours.ckpt"
    torch.save({"state_dict": {f"module.{key}": value for key, value in theirs.items()}, "epoch": 3}, file)
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    words = ["import", str(file), "--from", "ibm", "-o", str(out), "--model", SMALL]
    assert run([*words, "--classes", str(tmp_path / "names.txt"), "--preprocessing", '{"frames": 16}']) == 0
    shown = capsys.readouterr()
    assert f"{SMALL}, 5 classes" in shown.out
    assert "wants: 16 frames, uniform, stride 1, crop 224" in shown.out
    trained = load(out)
    assert trained.classes == ("a", "b", "c", "d", "e")
    assert trained.preprocessing.frames == 16
    assert torch.equal(trained.model.get_parameter("conv1.weight"), theirs["conv1.weight"])
    assert run([*words, "--preprocessing", "frames=16"]) == 1
    assert json.dumps({"frames": 16}) in capsys.readouterr().err
    assert run(["import", str(file), "--from", "tsm", "-o", str(out)]) == 1
    assert "missing in the file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("theirs_name", "name"),
    [
        ("resnet18", "tsn-resnet18"),
        ("resnet50", "tsn-resnet50"),
        ("googlenet", "tsn-inceptionv1"),
        ("mobilenet_v2", "tsn-mobilenetv2"),
        ("vgg11", "tsn-vgg11"),
        ("vgg16", "tsn-vgg16"),
    ],
)
def test_torchvision_image_networks_are_recognised(theirs_name: str, name: str) -> None:
    options = {"init_weights": False} if theirs_name in ("googlenet", "vgg11", "vgg16") else {}
    with torch.device("meta"):
        tensors = torchvision.models.get_model(theirs_name, **options).state_dict()
    found = choose(FAMILIES["torchvision"], tensors, "f.pth", model="", options={})
    assert found.shell.name == name
    assert found.shell.num_classes == 1000
    assert all(key.startswith("aux") for key in found.fit.ignored)


def blobs_of(name: str, num_classes: int, options: dict[str, object]) -> dict[str, Tensor]:
    """The tensors of one of VMZ's Caffe2 files, on the meta device."""
    with torch.device("meta"):
        model = build_model(name, num_classes=num_classes, options=options)
    blobs = as_theirs(model, vmz.caffe2_keys)
    return {**blobs, "conv1_w_momentum": torch.zeros(1), "lr": torch.zeros(()), "model_iter": torch.zeros(1)}


@pytest.mark.parametrize(
    ("name", "num_classes", "options"),
    [
        ("r2d-vresnet18", 101, {"frames": 8}),
        ("tsn-vresnet18", 400, {}),
        ("rmc3-vresnet18", 400, {}),
        ("r2plus1d-vresnet34", 487, {}),
    ],
)
def test_caffe2_files_of_vmz(name: str, num_classes: int, options: dict[str, object]) -> None:
    """R2D's stem shows for how many frames it was built, and the head's name for how many classes."""
    found = choose(FAMILIES["vmz"], blobs_of(name, num_classes, options), "f.pkl", model="", options={})
    assert found.shell.name == name
    assert found.shell.num_classes == num_classes
    assert found.shell.options == options
    assert found.fit.ignored == {
        "conv1_w_momentum": "state of the optimizer",
        "lr": "state of the training",
        "model_iter": "state of the training",
    }


def test_deeper_networks_of_vmz_are_refused() -> None:
    with pytest.raises(UserError, match="bottlenecks"):
        import_checkpoint({"comp_0_conv_3_w": torch.zeros(1)}, "vmz")
