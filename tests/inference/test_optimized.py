"""The optimised copy that verbs run: when it is made, what is kept of it, and that nothing goes wrong without it."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from make_videos import numbered_frames, write_video
from noisy_models import noisy_model
from torch import nn
from trained_models import PREPROCESSING, WeighedFrames

import kinema
from kinema.compute.process import Process
from kinema.data.manifest import Manifest, Record
from kinema.inference.known_forms import KnownForms
from kinema.inference.optimized import FEW_VIEWS, choose, usual_forms
from kinema.models.action_model import ActionModel
from kinema.models.optimize import OptimizedModel, optimize_for_inference

CLASSES = tuple(f"class {number}" for number in range(5))
MANY = FEW_VIEWS
SHAPE = torch.Size([2, 3, 4, 32, 32])


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "kinema-forms"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("videos")
    records = []
    for place, num_frames in enumerate((30, 17, 41, 9)):
        write_video(folder / f"{place}.mp4", numbered_frames(num_frames, 48, 64, first=29 * place), gop=12)
        records.append(Record(f"video {place}", f"{place}.mp4", CLASSES[place], split="test"))
    return Manifest.from_records(records, classes=CLASSES, root=folder, source="numbered")


def clip() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))


def network() -> ActionModel:
    model = noisy_model("s3d-resnettiny").float()
    assert model.num_classes == len(CLASSES)
    return model


def evaluated(manifest: Manifest, model: nn.Module, **options) -> kinema.ScoreTable:
    how = {"classes": CLASSES, "preprocessing": PREPROCESSING, "protocol": "dense-4x3", "num_workers": 0}
    return kinema.evaluate(model, manifest, **(how | options))


@pytest.mark.parametrize("is_known", [False, True])
def test_scores_are_the_same_and_the_table_says_what_ran(manifest: Manifest, is_known: bool) -> None:
    model = network()
    if is_known:
        KnownForms(model, torch.Size([48, *SHAPE[1:]])).write(usual_forms(model) | {"layer1.0.conv1": "whole"})
    plain, fast = (
        evaluated(manifest, model, optimize=on, batch_views=48, protocol="dense-12x1") for on in (False, True)
    )
    assert np.abs(fast.scores - plain.scores).max() < 1e-4 * np.abs(plain.scores).max()
    assert fast.meta["inference"]["optimized"]
    assert fast.meta["inference"]["forms"] == ("known" if is_known else "usual")
    assert sum(fast.meta["inference"]["counts"].values()) > 10
    assert plain.meta["inference"] == {
        "optimized": False,
        "forms": "",
        "counts": {},
        "note": "not optimised: not wanted",
    }
    fused = kinema.fuse([plain, fast], weights=[1, 1])
    assert np.abs(fused.scores - plain.scores).max() < 1e-4 * np.abs(plain.scores).max()


def test_much_work_is_timed_once(hub: Path) -> None:
    model = network()
    first, second = (choose(model, clip(), Process(), MANY, worth_timing_sec=0) for _ in range(2))
    assert (first.forms, second.forms) == ("timed", "known")
    assert first.to_dict()["counts"] == second.to_dict()["counts"]
    assert len(list(hub.glob("*.json"))) == 1


def test_a_table_of_a_copy_is_saved_and_read(manifest: Manifest, tmp_path: Path) -> None:
    table = evaluated(manifest, network())
    read = kinema.ScoreTable.load(table.save(tmp_path / "table.npz"))
    assert read.meta["inference"] == table.meta["inference"]


def test_features_predictions_and_timelines_run_a_copy(manifest: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    model, paths = network(), [manifest[row].path for row in range(len(manifest))]
    how = {"preprocessing": PREPROCESSING, "protocol": "dense-4x3"}
    named = how | {"classes": CLASSES}
    window = {"window_sec": 0.4, "step_sec": 0.1}
    caplog.set_level("INFO", "kinema")
    for verb in (
        lambda on: kinema.features(model, manifest, num_workers=0, optimize=on, **how).features,
        lambda on: np.stack([one.probabilities for one in kinema.predict(model, paths, optimize=on, **named)]),
        lambda on: kinema.timeline(model, paths[2], optimize=on, **window, **named).probabilities,
    ):
        caplog.clear()
        plain = verb(False)
        assert "optimised" not in caplog.text
        np.testing.assert_allclose(verb(True), plain, atol=1e-4 * np.abs(plain).max())
        assert "optimised: 36 of 36 batch norms" in caplog.text


def test_little_work_runs_as_it_is(manifest: Manifest) -> None:
    table = evaluated(manifest, network(), protocol="clip")
    assert table.meta["inference"]["note"] == "not optimised: too few views"


class Odd(ActionModel):
    """Its answer is not what its parts alone would give."""

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return -super().forward(clip)


class Uncopied(nn.Identity):
    def __deepcopy__(self, memo: object) -> None:
        raise RuntimeError("a handle of another library")


def odd() -> ActionModel:
    model = network()
    model.__class__ = Odd
    return model


def uncopied() -> ActionModel:
    model = network()
    model.head.extra = Uncopied()
    return model


class Peeking(nn.Module):
    """Uses a convolution's output before its norm too, so that the norm cannot be folded."""

    def __init__(self, network: ActionModel) -> None:
        super().__init__()
        self.conv, self.norm, self.rest = network.conv1, network.bn1, nn.Identity()

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        raw = self.conv(given)
        return self.rest(self.norm(raw) + raw)


def norm_used_twice() -> ActionModel:
    model = network()
    model.conv1, model.bn1 = Peeking(model), nn.Identity()
    return model


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (WeighedFrames, "WeighedFrames is a network of its own kind"),
        (odd, "Odd is a network of its own kind"),
        (uncopied, "RuntimeError: a handle of another library"),
        (norm_used_twice, "cannot be optimised"),
    ],
)
def test_what_cannot_be_optimised_runs_as_it_is(manifest: Manifest, make, reason: str) -> None:
    model = make()
    classes = CLASSES if isinstance(model, ActionModel) else CLASSES[:3]
    wanted, plain = (
        [
            row.probabilities
            for row in kinema.predict(
                model,
                [manifest[0].path, manifest[2].path, *[manifest[1].path] * 2],
                classes=classes,
                preprocessing=PREPROCESSING,
                protocol="dense-4x3",
                optimize=on,
            )
        ]
        for on in (True, False)
    )
    np.testing.assert_array_equal(wanted, plain)
    chosen = choose(model, clip(), Process(), MANY)
    assert chosen.model is model
    assert reason in chosen.note


def test_a_copy_runs_as_it_is() -> None:
    copied = optimize_for_inference(network(), clip=clip())
    assert choose(copied, clip(), Process(), MANY).model is copied


def test_bf16_runs_a_copy_in_the_usual_forms(manifest: Manifest, hub: Path) -> None:
    model = network()
    plain, fast = (evaluated(manifest, model, precision="bf16", optimize=on) for on in (False, True))
    exact = evaluated(manifest, model, optimize=False).scores
    error = np.abs(plain.scores - exact).max()
    assert 0 < np.abs(fast.scores - exact).max() < 2 * error
    assert fast.meta["inference"]["forms"] == "usual"
    assert choose(model, clip(), Process(precision="bf16"), MANY, worth_timing_sec=0).forms == "usual"
    assert not hub.exists()


def test_usual_forms_name_every_part_that_has_forms() -> None:
    model = network()
    copied = optimize_for_inference(model, clip=clip(), forms=usual_forms(model))
    assert copied.forms.items() <= usual_forms(model).items()


def damage(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_known_forms_are_read_back(hub: Path) -> None:
    known, forms = KnownForms(network(), SHAPE), {"stem.conv": "frames"}
    assert known.read() is None
    assert known.write(forms)
    assert known.path.parent == hub
    assert known.read() == forms
    assert KnownForms(network(), torch.Size([1, *SHAPE[1:]])).read() is None
    assert KnownForms(noisy_model("tsn-resnettiny").float(), SHAPE).read() is None


def test_known_forms_are_of_one_machine_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    KnownForms(network(), SHAPE).write({})
    assert KnownForms(network(), SHAPE).read() == {}
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "1.0")
        assert KnownForms(network(), SHAPE).read() is None
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 64)
        assert KnownForms(network(), SHAPE).read() is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1]", b"{}", b'{"content": "kinema forms"', b"null"])
def test_a_damaged_file_counts_as_absent(content: bytes) -> None:
    known = KnownForms(network(), SHAPE)
    damage(known.path, content)
    assert known.read() is None
    assert known.write({"a": "frames"})
    assert known.read() == {"a": "frames"}


@pytest.mark.parametrize("change", [{"format": 99}, {"key": {}}, {"forms": [1]}, {"forms": {"a": 1}}, {"content": "x"}])
def test_a_file_of_something_else_counts_as_absent(change: dict) -> None:
    known = KnownForms(network(), SHAPE)
    known.write({"a": "frames"})
    damage(known.path, json.dumps(json.loads(known.path.read_text()) | change).encode())
    assert known.read() is None


def test_forms_that_do_not_fit_are_timed_again(hub: Path) -> None:
    model = network()
    KnownForms(model, SHAPE).write(dict.fromkeys(usual_forms(model), "no such form"))
    chosen = choose(model, clip(), Process(), MANY)
    assert chosen.forms == "known"
    assert isinstance(chosen.model, OptimizedModel)


def test_where_nothing_can_be_written_the_choice_is_made_all_the_same(hub: Path) -> None:
    damage(hub, b"a file where the folder would be")
    chosen = choose(network(), clip(), Process(), MANY, worth_timing_sec=0)
    assert chosen.forms == "timed"
    assert "kept" not in chosen.note


def _write_often(path: str) -> None:
    torch.hub.set_dir(path)
    known, forms = KnownForms(network(), SHAPE), usual_forms(network())
    for _ in range(50):
        known.write(forms)
        assert known.read() == forms


def test_two_processes_at_once_leave_a_whole_file(hub: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(str(hub.parent),)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert KnownForms(network(), SHAPE).read() == usual_forms(network())
    assert [path.suffix for path in hub.iterdir()] == [".json"]
