"""Stored flow: bytes and back, both kinds of file, damage, stacks and mirror images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from flow_stores import describe, write_store

from kinema.data.dataset import ClipDataset, open_record
from kinema.data.flow_view import negate_x, seen_as
from kinema.data.manifest import Manifest, Record
from kinema.data.transforms import make_augmentation
from kinema.errors import UserError, VideoError
from kinema.flow.quantise import quantise
from kinema.inference.views import ViewDataset
from kinema.specs.data import DataSpec
from kinema.specs.flow_input import FlowInput
from kinema.specs.protocol import EvalProtocol
from kinema.specs.sampling import Uniform
from kinema.video.flow_store import FlowStore, open_flow_store
from kinema.video.flow_writer import KINDS, refuse_difference, writing_store
from kinema.video.open import open_video

LARGEST_JPEG_ERROR = 12


def test_bytes_are_spread_evenly_and_zero_is_128() -> None:
    flow = torch.tensor([-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0, float("nan")])
    assert quantise(flow, 20.0).tolist() == [0, 0, 64, 128, 191, 255, 255, 128]
    middles = (2 * torch.arange(256) - 255) * (20 / 255)
    assert quantise(middles, 20.0).tolist() == list(range(256))
    fine = torch.linspace(-20, 20, 10_001)
    assert (middles[quantise(fine, 20.0).long()] - fine).abs().max() <= 20 / 255 + 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_fields_come_back_in_any_order(kind: str, fields: np.ndarray, tmp_path: Path) -> None:
    path = write_store(tmp_path, fields, kind)
    first = path.read_bytes()
    assert write_store(tmp_path, fields, kind).read_bytes() == first  # nothing of the clock or of chance inside
    wanted = [3, 4, 0, 12, 12, 7]
    with open_video(path) as store:
        assert isinstance(store, FlowStore)
        assert (len(store), store.size, store.fps, store.count_frames()) == (13, (32, 40), 25.0, 13)
        found = store.frames_at(np.array(wanted)).pixels.astype(int)
        assert np.abs(found - fields[wanted]).max() <= (0 if kind == "video" else LARGEST_JPEG_ERROR)
        with pytest.raises(VideoError, match=r"has 13 fields \(0 to 12\), but field 13"):
            store.frames_at(np.array([13]))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_half_written_files_are_refused(kind: str, share: float, fields: np.ndarray, tmp_path: Path) -> None:
    path = write_store(tmp_path, fields, kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(VideoError, match="not written to its end; delete it and extract it again"):
        open_flow_store(path)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_in_the_middle_is_noticed(kind: str, fields: np.ndarray, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, fields.shape).astype(np.uint8)
    path = write_store(tmp_path, noise, kind)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(bytes(data))
    with open_flow_store(path) as store, pytest.raises(VideoError, match="is damaged"):
        store.count_frames()


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_on_the_way_leaves_nothing(kind: str, fields: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / ("clip.flow.zip" if kind == "jpeg" else "clip.flow.mkv")

    def write_some() -> None:
        with writing_store(path, describe(kind, fields.shape[1:3])) as writer:
            writer.add(fields[:3])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_some()
    assert list(tmp_path.iterdir()) == []


def test_other_flow_than_is_wanted_is_refused_with_both_values(fields: np.ndarray, tmp_path: Path) -> None:
    path = write_store(tmp_path, fields, bound=15.0)
    with open_video(path) as store:
        with pytest.raises(UserError, match=r"of bound 15 pixels, but a bound of 20 is wanted"):
            seen_as(store, FlowInput.parse("tvl1-20x10"))
        with pytest.raises(UserError, match=r"method 'tvl1', but 'farneback' is wanted"):
            seen_as(store, FlowInput.parse("farneback-15"))
        with pytest.raises(UserError, match="holds stored flow, but RGB frames are wanted"):
            seen_as(store, None)
        assert isinstance(store, FlowStore)
        with pytest.raises(UserError, match=r"bound 15\.0, not 20\.0; give another --out"):
            refuse_difference(path, store.description, describe("video", (32, 40)))
        assert seen_as(store, FlowInput(method="any", bound=0.0)) is store


def test_names_of_flow_are_read_and_printed() -> None:
    for name in (
        "tvl1-20",
        "tvl1-20x10",
        "farneback-12.5x5-centred",
        "tvl1-20x10-centred-computed",
        "dis-20x10",
        "any-20x5",
    ):
        assert str(FlowInput.parse(name)) == name
    assert FlowInput.parse("tvl1-20x10").num_channels == 20
    for name in ("tvl1", "tvl2-20", "tvl1-0", "tvl1-20x0", "any-20-computed"):
        with pytest.raises(UserError, match="flow"):
            FlowInput.parse(name)
    with pytest.raises(UserError, match="has no colours"):
        DataSpec(flow="tvl1-20", color_jitter=(1, 1, 1))


def test_stacks_are_interleaved_and_end_with_the_video(fields: np.ndarray, tmp_path: Path) -> None:
    path = write_store(tmp_path, fields)
    with seen_as(open_video(path), FlowInput.parse("tvl1-20x10")) as stacks:
        assert len(stacks) == 13 - 10 + 1
        found = stacks.frames_at([3, 0]).pixels
        for place, start in enumerate((3, 0)):
            for field in range(10):
                assert np.array_equal(found[place, ..., 2 * field], fields[start + field, ..., 0]), "x"
                assert np.array_equal(found[place, ..., 2 * field + 1], fields[start + field, ..., 1]), "y"
    short = write_store(tmp_path, fields[:6])
    with seen_as(open_video(short), FlowInput.parse("tvl1-20x10")) as stacks:
        assert len(stacks) == 1
        assert np.array_equal(stacks.frames_at([0]).pixels[0, ..., 18:], fields[5])


def one_store(path: Path) -> Manifest:
    return Manifest.from_records([Record("clip", path.name, "a", split="train")], classes=["a"], root=path.parent)


@pytest.mark.parametrize("name", ["tvl1-20", "tvl1-20x10"])
def test_mirror_images_negate_x_exactly(name: str, fields: np.ndarray, tmp_path: Path) -> None:
    manifest, flow = one_store(write_store(tmp_path, fields)), FlowInput.parse(name)
    crops = ("center", "center-flip")
    protocol = EvalProtocol(name="mirror", sampler=Uniform(2), resize=(32, 40), crop_size=32, crops=crops, flow=flow)
    plain, mirrored = ViewDataset(manifest, protocol)[0].clips().double() - 127.5
    assert plain.shape == (flow.num_channels, 2, 32, 32)
    assert torch.equal(mirrored[0::2], -plain[0::2].flip(-1))
    assert torch.equal(mirrored[1::2], plain[1::2].flip(-1))
    # The same pictures come out of training, where half of the epochs mirror.
    spec = DataSpec(frames=2, augmentation="center", resize=(32, 40), crop_size=32, flow=name)
    dataset = ClipDataset(manifest, sampler=_Middle(2), augmentation=make_augmentation(spec), flow=spec.flow_input)
    seen = [dataset[epoch, 0].clip.double() - 127.5 for epoch in range(12)]
    assert any(torch.equal(clip, plain) for clip in seen)
    assert any(torch.equal(clip, mirrored) for clip in seen)
    assert all(torch.equal(clip, plain) or torch.equal(clip, mirrored) for clip in seen)


class _Middle(Uniform):
    """The test positions in training too."""

    def sample(self, num_frames: int, fps: float = 0.0, rng: np.random.Generator | None = None) -> np.ndarray:
        return super().sample(num_frames, fps)


def test_resizing_treats_every_channel_alike(fields: np.ndarray, tmp_path: Path) -> None:
    path = write_store(tmp_path, fields)
    spec = DataSpec(frames=1, augmentation="fixed", resize=(48, 60), crop_size=48, flow="tvl1-20x10")
    rng = [np.random.default_rng(2) for _ in range(2)]
    with seen_as(open_video(path), spec.flow_input) as stacks:
        pixels = stacks.frames_at([0]).pixels
    whole = make_augmentation(spec)(pixels, rng[0], holds_flow=True)
    pairs = [make_augmentation(spec)(pixels[..., c : c + 1].repeat(3, -1), np.random.default_rng(2)) for c in range(20)]
    separate = np.stack([pair[..., 0] for pair in pairs], -1)
    if not np.array_equal(whole, separate):
        negate_x(separate)
    assert np.array_equal(whole, separate)


def test_a_video_where_flow_is_wanted_says_what_to_do(shapes: Manifest) -> None:
    told = r"is a video, but stored flow tvl1-20x10 is wanted; store it with kinema flow"
    with pytest.raises(UserError, match=told), open_record(shapes[0], flow=FlowInput.parse("tvl1-20x10")):
        pass
    with open_record(shapes[0], flow=FlowInput.parse("tvl1-20x2-computed")) as stacks:
        assert stacks.frames_at([0, 3]).pixels.shape == (2, 32, 32, 9)
        assert len(stacks) == 4
