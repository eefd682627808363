"""What an import refuses or takes for granted: broken values, silent parts, networks whose tensors look alike."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from test_import_checkpoint import SMALL, as_theirs
from torch import Tensor

from kinema import build_model, load
from kinema.cli.main import run
from kinema.errors import CheckpointError, UserError
from kinema.weights.importing.families import FAMILIES
from kinema.weights.importing.importer import import_checkpoint

State = dict[str, Tensor]
IBM_RUN = "kinetics400-rgb-resnet-18-ts-max-f16-cosine-bs72-e75"
"""What IBM's code calls a run of tsn-resnet18-tp; without ``-ts-max`` it is tsn-resnet18."""


@pytest.fixture
def theirs() -> State:
    """A small network's tensors by IBM's names, as training leaves them: nothing is zero throughout but counters."""
    torch.manual_seed(0)
    model = build_model(SMALL, num_classes=5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return as_theirs(model, FAMILIES["ibm"].networks[0].keys)


@pytest.fixture
def resnet18() -> State:
    """A per-frame ResNet-18 of 400 classes; with temporal pooling the tensors are the same."""
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=400).state_dict()


def broken(change: Callable[[Tensor], None], *keys: str) -> Callable[[State], None]:
    def apply(state: State) -> None:
        for key in keys:
            state[key] = state[key].clone()
            change(state[key])

    return apply


BROKEN = {
    "nan in a kernel": (
        broken(lambda value: value.view(-1)[7:8].fill_(torch.nan), "layer2.0.conv1.weight"),
        "1 with values that are not finite numbers: layer2.0.conv1.weight",
    ),
    "infinite mean": (
        broken(lambda value: value[3:4].fill_(torch.inf), "bn1.running_mean", "fc.bias"),
        "2 with values that are not finite numbers: bn1.running_mean, fc.bias",
    ),
    "negative variance": (
        broken(lambda value: value[3:4].fill_(-1e-3), "layer1.0.bn2.running_var"),
        "1 with a negative variance: layer1.0.bn2.running_var",
    ),
    "no variance": (
        broken(lambda value: value.zero_(), "layer1.0.bn2.running_var"),
        "1 with a variance of zero in every channel: layer1.0.bn2.running_var",
    ),
    "zero stem": (broken(lambda value: value.zero_(), "conv1.weight"), "do not depend on the clip.*: conv1.weight"),
    "zero classifier": (broken(lambda value: value.zero_(), "fc.weight"), "do not depend on the clip.*: fc.weight"),
    "zero norm of the stem": (
        broken(lambda value: value.zero_(), "bn1.weight"),
        "do not depend on the clip.*: bn1.weight",
    ),
}


@pytest.mark.parametrize(("breaks", "told"), BROKEN.values(), ids=BROKEN)
def test_values_of_no_trained_network_are_refused(theirs: State, breaks: Callable, told: str, tmp_path: Path) -> None:
    breaks(theirs)
    with pytest.raises(CheckpointError, match=told):
        import_checkpoint(theirs, "ibm", model=SMALL)
    file, out = tmp_path / "their.pth", tmp_path / "ours.ckpt"
    torch.save(theirs, file)
    assert run(["import", str(file), "--from", "ibm", "--model", SMALL, "-o", str(out)]) == 1
    assert not out.exists()


def test_the_fault_is_told_by_the_files_own_names(theirs: State) -> None:
    """One parameter of ours is three convolutions there."""
    broken(lambda value: value.view(-1)[0:1].fill_(torch.nan), "layer2.0.tam.next_se.fc1.weight")(theirs)
    parts = r" \+ ".join(rf"layer2\.0\.tam\.{tap}_se\.fc1\.weight" for tap in ("prev", "curr", "next"))
    with pytest.raises(CheckpointError, match=parts):
        import_checkpoint(theirs, "ibm", model=SMALL)


ZEROS = {
    "biases, offsets, means, counters": (
        ["fc.bias", "bn1.bias", "layer1.0.bn1.running_mean", "bn1.num_batches_tracked"],
        [],
    ),
    "taps of a TAM that has not learnt": (
        ["layer2.0.tam.prev_se.fc1.weight", "layer2.0.tam.next_se.fc1.weight"],
        [],
    ),
    "a branch that starts as nothing": (["layer1.0.bn2.weight"], ["layer1.0.bn2.weight"]),
    "a branch pruned away": (["layer3.1.conv2.weight"], ["layer3.1.conv2.weight"]),
}


@pytest.mark.parametrize(("zeros", "silent"), ZEROS.values(), ids=ZEROS)
def test_zeros_that_a_trained_network_may_have(theirs: State, zeros: list[str], silent: list[str]) -> None:
    broken(lambda value: value.zero_(), *zeros)(theirs)
    imported = import_checkpoint(theirs, "ibm", model=SMALL)
    wanted = f"meant to be so; zero throughout: {', '.join(silent)}" if silent else None
    assert imported.assumed.get("silent parts") == wanted


def test_weights_to_start_from_are_looked_at_too(tmp_path: Path) -> None:
    state = build_model("tsn-resnettiny", num_classes=3).state_dict()
    state["bn1.running_var"][0] = -1
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"(?s)w\.pth.*negative variance: bn1\.running_var"):
        build_model("tsn-resnettiny", num_classes=3, weights=str(tmp_path / "w.pth"))


def test_a_file_that_says_whose_it_is_is_not_taken_for_anothers(resnet18: State) -> None:
    with pytest.raises(UserError, match=f"calls itself {IBM_RUN}, a run of IBM/.*--from ibm"):
        import_checkpoint({"arch": IBM_RUN, "state_dict": resnet18, "epoch": 75}, "torchvision")
    as_examples_do = {"arch": "resnet18", "state_dict": resnet18, "epoch": 90}  # of pytorch/examples
    assert import_checkpoint(as_examples_do, "torchvision").model.name == "tsn-resnet18"


def test_names_and_pooling_of_a_network_that_could_be_one_of_videos(resnet18: State) -> None:
    imported = import_checkpoint(resnet18, "torchvision")
    assert imported.classes == tuple(map(str, range(400)))  # Kinetics by the count alone would be a guess
    assert "--from ibm --model tsn-resnet18 or tsn-resnet18-tp" in imported.assumed["temporal pooling"]
    thousand = torchvision.models.resnet18().state_dict()
    assert set(import_checkpoint(thousand, "torchvision").assumed) == {"input"}


@pytest.mark.parametrize("pools", [True, False])
def test_the_name_of_the_run_tells_pooling_and_frames(resnet18: State, pools: bool) -> None:
    """Without it, the two fit alike and the user must say."""
    text, name = (IBM_RUN, "tsn-resnet18-tp") if pools else (IBM_RUN.replace("-ts-max", ""), "tsn-resnet18")
    imported = import_checkpoint({"arch": text, "state_dict": resnet18}, "ibm")
    assert imported.model.name == name
    assert imported.preprocessing.frames == 16
    assert imported.assumed == {"input": "16 frames (as the file says), uniform, stride 1"}
    with pytest.raises(UserError, match="Say which it is"):
        import_checkpoint(resnet18, "ibm")
    other = "tsn-resnet18" if pools else "tsn-resnet18-tp"
    against = import_checkpoint({"arch": text, "state_dict": resnet18}, "ibm", model=other)
    assert against.model.name == other
    assert f"the file calls itself {text}" in against.assumed["temporal pooling"]


def test_kinetics_names_by_the_count_are_an_assumption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    network = torchvision.models.video.r3d_18(num_classes=400)
    file, out = tmp_path / "somebodys.pth", tmp_path / "ours.ckpt"
    torch.save(network.state_dict(), file)
    assert run(["import", str(file), "--from", "torchvision", "-o", str(out)]) == 0
    assert "assumed, class names: Kinetics-400 in alphabetical order, from the number" in capsys.readouterr().err
    trained = load(out)
    assert trained.classes[0] == "abseiling"
    (note,) = trained.notes
    assert "assumed when somebodys.pth was imported: class names: Kinetics-400 in alphabetical order" in note
    assert "input: 16 frames, dense, stride 2" in note
    names = [f"class {number}" for number in range(400)]
    said = import_checkpoint(network.state_dict(), "torchvision", classes=names, preprocessing={"frames": 16})
    assert said.assumed == {}
    said.save(out)
    assert load(out).notes == ()


def test_what_a_shift_leaves_no_trace_of_is_said() -> None:
    torch.manual_seed(0)
    model = build_model("tsm-resnet50", num_classes=3)
    state = as_theirs(model, FAMILIES["tsm"].networks[0].keys)
    assert "eighth" in import_checkpoint(state, "tsm").assumed["shift_div"]
    assert "shift_div" not in import_checkpoint(state, "tsm", options={"shift_div": 4}).assumed
