"""Weights by ``model.tag``: out of torch.hub's cache or from their address, checked, and refused with the address."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

import kinema
from kinema import build_model
from kinema.cli.main import run
from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.models.names import ModelName
from kinema.recipes import load_recipe
from kinema.specs.preprocessing import Preprocessing
from kinema.training.initial import starting_model
from kinema.weights import tags
from kinema.weights.download import fetch
from kinema.weights.importing.families import FAMILIES, find_family
from kinema.weights.published import PUBLISHED, PublishedWeights

NAME = "tsn-resnettiny"
WANTED = Preprocessing(frames=3, sampling="dense", stride=2, crop_size=64, resize=(72,))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch.hub, and no network."""

    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PublishedWeights:
    """Weights of a small network at an address on this machine, as TSM's zoo would hold them; 4 classes."""
    theirs = tmp_path / "their.pth"
    torch.manual_seed(3)
    model = build_model(NAME, num_classes=4)
    keys = next(network.keys for network in FAMILIES["mmaction2"].networks)(model)
    state = model.state_dict()
    torch.save({"state_dict": {keys[key]: value for key, value in state.items()}}, theirs)
    checksum = hashlib.sha256(theirs.read_bytes()).hexdigest()[:8]
    theirs = theirs.rename(tmp_path / f"tiny-{checksum}.pth")
    made = PublishedWeights(
        model=NAME,
        tag="toy-f3",
        family="mmaction2",
        urls=(theirs.as_uri(),),
        preprocessing=WANTED,
        scores={"top1": 50.0},
    )
    monkeypatch.setattr(tags, "PUBLISHED", (*PUBLISHED, made))
    return made


def weight(model: ActionModel) -> torch.Tensor:
    return model.get_parameter("layer2.0.conv1.weight")


@pytest.fixture
def _with_files(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let addresses on this machine be read."""
    from urllib.request import urlopen

    monkeypatch.setattr(torch.hub, "urlopen", urlopen)


@pytest.mark.usefixtures("_with_files")
def test_a_file_is_fetched_once(cache: Path, record: PublishedWeights) -> None:
    path = fetch(record)
    assert path == cache / record.file
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(record.checksum)
    Path(record.urls[0].removeprefix("file://")).unlink()
    assert fetch(record) == path


@pytest.mark.usefixtures("_with_files")
def test_a_wrong_checksum_is_refused(cache: Path, record: PublishedWeights) -> None:
    source = Path(record.urls[0].removeprefix("file://"))
    source.write_bytes(source.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match=rf"toy-f3 .*invalid hash value .*expected \"{record.checksum}\""):
        fetch(record)
    assert not (cache / record.file).exists()


@pytest.mark.usefixtures("_with_files")
def test_the_next_address_is_tried(cache: Path, record: PublishedWeights) -> None:
    moved = replace(record, urls=(record.urls[0].replace("tiny-", "moved/tiny-"), record.urls[0]))
    assert fetch(moved).is_file()


def test_without_a_network_the_address_is_said(cache: Path, record: PublishedWeights) -> None:
    with pytest.raises(UserError) as raised:
        kinema.load(f"{NAME}.toy-f3")
    told = str(raised.value)
    assert record.urls[0] in told
    assert "no route to host" in told
    assert f"put it there as {record.file}" in told
    assert str(cache) in told


def test_tags_work_offline_from_the_cache(cache: Path, record: PublishedWeights) -> None:
    cache.mkdir(parents=True)
    source = Path(record.urls[0].removeprefix("file://"))
    source.rename(cache / record.file)
    trained = kinema.load(f"{NAME}.toy-f3")
    assert trained.model.tag == trained.path == f"{NAME}.toy-f3"
    assert trained.preprocessing == WANTED
    assert trained.classes == ("0", "1", "2", "3")
    assert trained.scores == {"published_top1": 50.0}
    assert len(trained.weights_sha256) == 64

    same = build_model(NAME, num_classes=4, weights="toy-f3")
    assert torch.equal(weight(same), weight(trained.model))
    assert torch.equal(same.get_parameter("fc.weight"), trained.model.get_parameter("fc.weight"))
    assert (same.tag, same.preprocessing) == (f"{NAME}.toy-f3", WANTED)
    other = build_model(NAME, num_classes=9, weights=f"{NAME}.toy-f3")  # another head starts anew
    assert torch.equal(weight(other), weight(trained.model))
    assert other.num_classes == 9
    flow = build_model(NAME, num_classes=4, in_channels=2, weights="toy-f3")
    assert flow.preprocessing is not None
    assert flow.preprocessing.modality == "flow"


def test_a_tag_stands_above_a_folder_of_its_name(
    cache: Path, record: PublishedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy-f3").mkdir()
    recipe = replace(load_recipe("finetune"), model=NAME, weights="toy-f3")
    with pytest.raises(UserError, match="no route to host"):
        build_model(NAME, weights="toy-f3")
    with pytest.raises(UserError, match="no route to host"):
        starting_model(recipe, ("a", "b"), note=print)


def test_training_starts_from_a_tag(cache: Path, record: PublishedWeights) -> None:
    cache.mkdir(parents=True)
    Path(record.urls[0].removeprefix("file://")).rename(cache / record.file)
    recipe = replace(load_recipe("finetune"), model=NAME, weights=f"{NAME}.toy-f3")
    model, preprocessing = starting_model(recipe, ("a", "b"), note=print)
    assert torch.equal(weight(model), weight(kinema.load(f"{NAME}.toy-f3").model))
    assert model.num_classes == 2
    assert preprocessing.frames == recipe.data.frames  # the recipe's clip, normalised as the weights want it
    assert preprocessing.mean == WANTED.mean


def test_unknown_tags_offer_the_known_ones(cache: Path) -> None:
    with pytest.raises(UserError, match=r"unknown weights of tsm-resnet50 'k400-f9'; did you mean k400-f8"):
        build_model("tsm-resnet50", weights="k400-f9")
    with pytest.raises(UserError, match="weights of i3d-resnet50, not of tsm-resnet50"):
        build_model("tsm-resnet50", weights="i3d-resnet50.k400-f32")
    with pytest.raises(UserError, match="did you mean k400-f32"):
        kinema.load("i3d-resnet50.k400-f33")
    for path in ("tsm-resnet50.ckpt", "runs/tsm-resnet50.k400-f8", "nonsense.k400-f8"):
        with pytest.raises(UserError, match="no such checkpoint file"):
            kinema.load(path)


def test_options_that_weights_need_come_with_them(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.weights import pretrained

    seen: list[PublishedWeights] = []
    monkeypatch.setattr(pretrained, "_load_published", lambda model, record: seen.append(record))
    model = build_model("mc3-vresnet18", weights="k400-f16")
    assert model.options == {"norm_eps": 1e-5}
    # the alias and what it stands for have the same weights
    assert build_model("r3d@bottom2-vresnet18", weights="k400-f16").options == model.options
    assert seen[0] is seen[1]


def test_the_verbs_take_a_tag(cache: Path, record: PublishedWeights, capsys: pytest.CaptureFixture[str]) -> None:
    video = Path(__file__)  # the weights are looked for before any video is opened
    for words in (["predict", f"{NAME}.toy-f3", str(video)], ["evaluate", f"{NAME}.toy-f3", "--data", "x.csv"]):
        assert run(words) == 1
        assert record.urls[0] in capsys.readouterr().err


@pytest.mark.parametrize("record", PUBLISHED, ids=str)
def test_records_are_consistent(record: PublishedWeights) -> None:
    ModelName.parse(record.model)
    assert re.fullmatch(r"[a-z0-9-]+", record.tag)
    family = find_family(record.family)
    assert any(
        ModelName.parse(network.model) == ModelName.parse(record.model)
        for network in family.networks
        if "*" not in network.model
    )
    assert len({url.rpartition("/")[2] for url in record.urls}) == 1
    assert all(url.startswith("https://") for url in record.urls)
    assert tags.find_tagged(str(record)) is record
    assert tags.published_as(record.file, record.family) is record
    assert record.citation


def test_tags_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--tags"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PUBLISHED)
    assert run(["models", "tsm-resnet50", "--tags", "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["name"] == "tsm-resnet50.k400-f8"
    assert first["preprocessing"]["frames"] == 8
    assert first["urls"][0].endswith("segment8_e50.pth")
