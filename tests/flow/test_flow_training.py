"""Networks trained and tested on flow: from stores and computed on the way, from random, image and RGB weights."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from flow_stores import write_store

from kinema import load
from kinema.data.manifest import Manifest, Record
from kinema.data.network_input import computed_fields, network_input
from kinema.errors import UserError
from kinema.evaluation.run import evaluate
from kinema.flow.methods import find_method
from kinema.flow.quantise import quantise
from kinema.inference.views import ViewDataset
from kinema.specs.data import DataSpec
from kinema.specs.flow_input import FlowInput
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol
from kinema.specs.recipe import OptimSpec, Recipe, ScheduleSpec, TrainSpec
from kinema.training.run import train
from kinema.video.open import open_video


def recipe_for(flow: str, *, model: str = "tsn-resnettiny", frames: int = 1, epochs: int = 1) -> Recipe:
    return Recipe(
        name="flow",
        model=model,
        data=DataSpec(frames=frames, short_side=(32, 36), crop_size=32, num_workers=0, flow=flow),
        optim=OptimSpec(lr=0.05),
        schedule=ScheduleSpec(epochs=epochs),
        train=TrainSpec(batch_size=16, dropout=0.0),
    )


def test_a_network_of_stacks_learns_and_is_tested(flow_of_shapes: Manifest, tmp_path: Path) -> None:
    result = train(
        data=flow_of_shapes, recipe=recipe_for("farneback-20x5", epochs=12), out=tmp_path / "run", quiet=True
    )
    trained = load(result.path)
    assert trained.model.in_channels == 10
    assert trained.preprocessing.flow == "farneback-20x5"
    assert trained.preprocessing.modality == "flow"
    assert trained.preprocessing.mean == (0.5,) * 10
    table = evaluate(trained, flow_of_shapes, num_workers=0)
    assert table.top(1) > 0.5  # of 8 classes; they differ in nothing but their motion
    ten = evaluate(trained, flow_of_shapes, protocol="two-stream-25x10", num_workers=0)
    assert ten.scores.shape == table.scores.shape
    with pytest.raises(UserError, match="flow cannot be played backwards"):
        evaluate(trained, flow_of_shapes, reverse=True, num_workers=0)


def test_other_stores_than_the_network_wants_are_refused(shapes: Manifest, flow_of_shapes: Manifest) -> None:
    for flow, told in (("tvl1-20", "method 'farneback', but 'tvl1'"), ("farneback-15", "bound 20 pixels, but .* 15")):
        wanted = Preprocessing(crop_size=32, frames=2, flow=flow, **FlowInput.normalisation(2))
        with pytest.raises(UserError, match=told):
            _ = ViewDataset(flow_of_shapes, protocol("clip", wanted))[0]
        with pytest.raises(UserError, match="is a video, but stored flow"):
            _ = ViewDataset(shapes, protocol("clip", wanted))[0]
    with pytest.raises(UserError, match="holds stored flow, but RGB frames are wanted"):
        _ = ViewDataset(flow_of_shapes, protocol("clip", Preprocessing(crop_size=32)))[0]


def test_a_three_dimensional_network_takes_one_field_for_each_frame(flow_of_shapes: Manifest, tmp_path: Path) -> None:
    recipe = recipe_for("farneback-20-centred", model="i3d-resnettiny", frames=4)
    trained = load(train(data=flow_of_shapes, recipe=recipe, out=tmp_path / "run", quiet=True).path)
    assert trained.model.in_channels == 2
    views = ViewDataset(flow_of_shapes, protocol("clip", trained.preprocessing))[0].clips()
    assert views.shape == (1, 2, 4, 32, 32)
    clip = network_input(views, trained.preprocessing, "cpu")
    torch.testing.assert_close(clip.mean(dim=(3, 4)), torch.zeros(1, 2, 4), atol=1e-5, rtol=0)
    plain = dataclasses.replace(trained.preprocessing, flow="farneback-20")
    uncentred = network_input(views, plain, "cpu")
    torch.testing.assert_close(clip, uncentred - uncentred.mean(dim=(3, 4), keepdim=True))


def test_computed_flow_is_the_flow_between_the_frames_that_are_seen(shapes: Manifest) -> None:
    flow = FlowInput.parse("farneback-20x2-computed")
    wanted = Preprocessing(crop_size=32, frames=3, flow=str(flow), **FlowInput.normalisation(4))
    views = ViewDataset(shapes, protocol("clip", wanted))[0]
    assert views.clips().shape == (1, 9, 3, 32, 32)
    fields = computed_fields(views.clips(), flow, "cpu")
    assert fields.shape == (1, 4, 3, 32, 32)
    method = find_method("farneback", "opencv")
    with open_video(shapes[0].path) as decoder:
        frames = torch.from_numpy(decoder.frames_at(range(len(decoder))).pixels).permute(0, 3, 1, 2)
    for step, start in enumerate(views.frames[0].tolist()):
        for place in range(2):
            first, second = frames[start + place : start + place + 1], frames[start + place + 1 : start + place + 2]
            expected = quantise(method.compute(first, second), 20.0)[0]
            assert torch.equal(fields[0, 2 * place : 2 * place + 2, step], expected)


def test_training_on_computed_flow_stores_nothing(shapes: Manifest, tmp_path: Path) -> None:
    recipe = recipe_for("farneback-20x2-computed")
    trained = load(train(data=shapes, recipe=recipe, out=tmp_path / "run", quiet=True).path)
    assert trained.model.in_channels == 4
    assert np.isfinite(evaluate(trained, shapes, num_workers=0).scores).all()


def test_an_rgb_checkpoint_becomes_a_flow_network(shapes: Manifest, flow_of_shapes: Manifest, tmp_path: Path) -> None:
    rgb_recipe = recipe_for("")
    rgb = train(data=shapes, recipe=rgb_recipe, out=tmp_path / "rgb", quiet=True)
    still = dataclasses.replace(recipe_for("farneback-20x5"), optim=OptimSpec(lr=1e-12, weight_decay=0.0))
    flow = load(
        train(data=flow_of_shapes, recipe=still, weights=rgb.path / "last.ckpt", out=tmp_path / "flow", quiet=True).path
    )
    before, after = load(rgb.path / "last.ckpt").model.state_dict(), flow.model.state_dict()
    (first,) = flow.model.input_keys()
    averaged = before[first].mean(dim=1, keepdim=True).expand_as(after[first])
    torch.testing.assert_close(after[first], averaged, atol=1e-6, rtol=0)
    assert flow.preprocessing.std == (0.226,) * 10
    told = r"these weights see optical flow; say which with --data\.flow"
    with pytest.raises(UserError, match=told):
        train(data=shapes, recipe=rgb_recipe, weights=flow.path, out=tmp_path / "back", quiet=True)


def test_short_videos_repeat_their_last_field(fields: np.ndarray, tmp_path: Path) -> None:
    path = write_store(tmp_path, fields[:1])
    manifest = Manifest.from_records([Record("clip", path.name, "a", split="test")], classes=["a"], root=tmp_path)
    wanted = Preprocessing(crop_size=32, frames=1, flow="tvl1-20x10", **FlowInput.normalisation(20))
    for name in ("clip", "two-stream-25x10"):
        views = ViewDataset(manifest, protocol(name, wanted))[0]
        clip = views.clips(0, 1)
        assert clip.shape == (1, 20, 1, 32, 32)
        assert torch.equal(clip[0, 0::2], clip[0, :1].expand(10, -1, -1, -1))
