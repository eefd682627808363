"""Plans: the arithmetic against sums made by hand, the counts against measured sizes, and what the command prints."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import kinema
from kinema import build_model
from kinema.cli.main import run
from kinema.demo.synthetic import make_reversible_shapes
from kinema.errors import UserError
from kinema.planning.data_sheets import DEVICES, find_data_sheet
from kinema.planning.estimate import Decoding, Speed, VideoCounts, memory, plan_stage
from kinema.planning.limits import limited_by, with_loading
from kinema.planning.step_profile import measure_step
from kinema.planning.training_load import TrainingLoad, training_load
from kinema.specs.recipe import Recipe
from kinema.training.find_recipe import load_recipe

LOAD = TrainingLoad(
    parameters=1_000_000, trained=1_000_000, buffers=0, macs=10**9, saved_bytes=10**8, moved_bytes=2 * 10**8
)
SPEED = Speed(sec_per_clip=0.01, device="any", memory_gb=1.0, explanation="")
DECODING = Decoding(sec_per_clip=0.05, explanation="")


def named(recipe: str, model: str) -> Recipe:
    return load_recipe(recipe).with_fields({"model": model})


def test_a_pass_over_the_videos_is_counted_by_hand() -> None:
    """240,000 clips in batches of 1024 are 235 steps; 196 epochs of them; 16 devices of 8 clips in 8 parts."""
    recipe = load_recipe("deep-analysis-full").with_fields({"train.accumulate": 8})
    videos = VideoCounts(name="", num_train=240_000, num_val=20_000)
    stage = plan_stage(recipe, videos, LOAD, SPEED, DECODING, devices=8, nodes=2)
    assert stage.num_steps == 196 * 235
    assert stage.num_clips == 196 * 240_000
    assert stage.num_val_clips == 196 * 20_000
    assert stage.device_batch == 8
    assert stage.clips_per_sec == pytest.approx(1600)
    assert stage.train_hours == pytest.approx(196 * 240_000 / 1600 / 3600)
    assert stage.val_hours == pytest.approx(196 * 20_000 / 4800 / 3600)
    assert stage.cores_per_node == pytest.approx(40)  # 8 devices x 100 clips/s x 50 ms


def test_iterations_are_counted_by_hand() -> None:
    """R(2+1)D's epoch is a million clips: 31,250 steps of 32, whatever the number of videos."""
    stage = plan_stage(
        load_recipe("r2plus1d-kinetics"), VideoCounts(name="", num_train=0), LOAD, SPEED, DECODING, devices=1, nodes=1
    )
    assert stage.num_steps == 45 * 31_250
    assert stage.num_clips == 45_000_000
    assert stage.hours == pytest.approx(125)


def test_memory_and_checkpoints_are_counted_by_hand() -> None:
    """A million weights are 4 MB, so are their gradients, and AdamW keeps twice that."""
    recipe = named("finetune", "tsn-resnettiny")
    assert recipe.optim.optimizer == "adamw"
    held = memory(recipe, LOAD, device_batch=16)
    assert (held.weights, held.gradients, held.optimizer) == pytest.approx((0.004, 0.004, 0.008))
    assert held.activations == pytest.approx(1.6)
    narrow = memory(recipe.with_fields({"train.precision": "bf16"}), LOAD, device_batch=16)
    assert narrow.activations == pytest.approx(0.8)
    assert narrow.parts_that_fit(1.0) == 2  # 1.5 x 0.8 GB beside 16 MB
    assert narrow.parts_that_fit(0.001) == 0


def test_the_slower_of_two_limits_decides() -> None:
    """6 GFLOP and 0.7 GB a clip: a V100 has 15.7 TFLOP/s and 900 GB/s, so memory takes longer; weights add 32 bytes."""
    recipe = named("scratch", "tsn-resnettiny").with_fields({"train.batch_size": 10})
    sec, limit = limited_by(recipe, LOAD, find_data_sheet("v100"), efficiency=0.25)
    assert (sec, limit) == (pytest.approx((0.7e9 + 3.2e6) / 900e9 / 0.25), "memory bandwidth")
    heavy = replace(LOAD, macs=10**12)
    assert limited_by(recipe, heavy, find_data_sheet("v100")) == (pytest.approx(6e12 / 15.7e12 / 0.5), "arithmetic")
    with pytest.raises(UserError, match="v100 has no bf16"):
        limited_by(recipe.with_fields({"train.precision": "bf16"}), LOAD, find_data_sheet("v100"))


@pytest.mark.parametrize(
    ("decode_sec", "workers", "sec"),
    [
        (0.01, 2, 0.1),  # training is slowest
        (0.30, 2, 0.2),  # 0.1 s of two cores for training leaves 0.1 for 0.3 s of decoding
        (0.30, 1, 0.3),  # one worker is slower than that
        (0.30, 0, 0.4),  # one after the other
    ],
)
def test_decoding_shares_the_cores(decode_sec: float, workers: int, sec: float) -> None:
    assert with_loading(0.1, 0.1, decode_sec, cores=2, workers=workers) == pytest.approx(sec)


def test_counts_are_the_papers() -> None:
    load = training_load(named("finetune", "i3d-resnet50"), num_classes=87)
    assert load.macs == pytest.approx(64.2e9, rel=0.005)
    assert load.parameters == pytest.approx(46.3e6, rel=0.005)


def test_saved_bytes_are_those_of_a_real_pass() -> None:
    """The same count over real tensors; frozen stages keep less."""
    recipe = named("scratch", "tsm-resnettiny").with_fields({"data.crop_size": 32, "data.short_side": [32, 40]})
    model = build_model("tsm-resnettiny", num_classes=4).train()
    own = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(torch.zeros(1, 3, 8, 32, 32))
        _ = torch.nn.functional.cross_entropy(torch.as_tensor(logits), torch.zeros(1, dtype=torch.long))
    real = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)
    load = training_load(recipe, num_classes=4)
    assert load.saved_bytes == pytest.approx(real, rel=0.01)
    frozen = training_load(recipe.with_fields({"optim.frozen_stages": 2}), num_classes=4)
    assert frozen.saved_bytes < load.saved_bytes
    assert frozen.trained < load.trained == load.parameters


def test_published_speeds_lie_below_the_limit() -> None:
    """ResNet-50 at 224 on an A100: 938 pictures/s in TF32, 2470 in mixed precision (NVIDIA's DeepLearningExamples)."""
    recipe = named("finetune", "tsn-resnet50").with_fields({"data.frames": 1, "train.batch_size": 256})
    load = training_load(recipe, num_classes=1000)
    for precision, published in (("fp32", 938), ("fp16", 2470)):
        at_most = recipe.with_fields({"train.precision": precision})
        share = published * limited_by(at_most, load, find_data_sheet("a100"), efficiency=1.0)[0]
        assert 0.4 < share < 0.8


def test_every_device_is_whole() -> None:
    for device in DEVICES.values():
        assert 0 < device.fp32 < device.half <= 3000
        assert device.source


def test_a_real_step_is_measured() -> None:
    recipe = named("scratch", "tsn-resnettiny").with_fields({"data.crop_size": 32, "data.short_side": [32, 40]})
    step = measure_step(recipe, num_classes=3, most=4)
    assert (step.batch_size, step.device) == (4, "cpu")
    assert 0 < step.wall_sec < 10


def test_plan_of_real_videos(tmp_path: Path) -> None:
    manifest = make_reversible_shapes(tmp_path, num_videos=80, size=32, num_frames=6)
    plan = kinema.plan([named("scratch", "tsn-resnettiny")], gpu="h200", data=manifest)
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*.mp4"))
    assert plan.videos.num_train == manifest.count("train")
    assert plan.storage_gb["videos"] == pytest.approx(on_disk / 1e9)
    assert plan.stages[0].decode_sec > 0
    assert any("measured here" in text for text in plan.assumptions)


def test_table_and_json_of_progressive_training(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = [
        "plan",
        "deep-analysis-mini",
        "tsn-resnet18",
        "--frames",
        "8,16",
        "--gpu",
        "a100",
    ]
    assert run([*words, "--dataset", "mini-ssv2", "--json"]) == 0
    given = capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    own = capsys.readouterr().out
    assert own == given  # the data set of the recipe
    printed = json.loads(own)
    assert printed["is_estimate"] is True
    assert [stage["num_steps"] for stage in printed["stages"]] == [75 * 1125, 35 * 1125]
    assert printed["hours"] == pytest.approx(sum(stage["hours"] for stage in printed["stages"]) + printed["test_hours"])
    assert run(words) == 0
    table = capsys.readouterr().out
    assert "Estimate" in table
    assert "Assumed:" in table
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["finetunee"], "did you mean finetune"),
        (["finetune"], "leaves the model open"),
        (["finetune", "tsn-resnettiny"], "--dataset kinetics400 or --videos"),
        (["finetune", "tsn-resnettiny", "--gpu", "h300"], "did you mean h200"),
        (["finetune", "tsn-resnettiny", "--dataset", "kinetics401"], "did you mean kinetics400"),
        (["finetune", "tsn-resnettiny", "--dataset", "ucf101", "--videos", "3"], "say once"),
        (["finetune", "tsn-resnettiny", "--gpu", "h200", "--videos", "90", "--efficiency", "2"], "fraction"),
        (["finetune", "tsn-resnettiny", "--frames", "8,x"], "8,16,32,64"),
    ],
)
def test_mistakes_are_explained(words: list[str], printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *words]) == 1
    assert printed in capsys.readouterr().err
